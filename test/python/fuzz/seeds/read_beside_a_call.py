# As read_beside_a_block, with the write in a function that the block calls.
# parallel=True nogil=True boundscheck=False seed=main5-62
@kernel_options
def kernel(a, locks):
    for i5 in prange(8):
        turns8 = 0
        while a[0] < 12 and turns8 < 20:
            turns8 += 1
            with held(locks, 1):
                bump(a, 0, 1)
