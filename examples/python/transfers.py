"""Threads move money between accounts: a lock for each account, two taken at once, in any order, without a deadlock."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from numpy.typing import NDArray

from interlock import LockArray, held

THREADS, ROUNDS = 4, 50_000


@njit(nogil=True, cache=True)
def move(balance: NDArray[np.int64], locks: LockArray, seed: int, rounds: int) -> int:
    np.random.seed(seed)
    refused = 0
    for _ in range(rounds):
        source, target = np.random.randint(0, len(balance), 2)
        with held(locks, "pair", source, target):  # acquire_pair, and release_pair on every way out
            if balance[source] == 0:
                refused += 1
                continue
            balance[source] -= 1
            balance[target] += 1
    return refused


def main() -> int:
    balance = np.full(8, 10, np.int64)
    locks = LockArray(len(balance))
    move(balance, locks, 0, 0)  # compiled here, once
    with ThreadPoolExecutor(THREADS) as pool:
        moves = [pool.submit(move, balance, locks, seed, ROUNDS) for seed in range(THREADS)]
    refused = sum(done.result() for done in moves)
    print(f"{THREADS * ROUNDS - refused} transfers, {refused} refused; accounts: {balance.tolist()}")
    return 0 if balance.sum() == 80 and balance.min() >= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
