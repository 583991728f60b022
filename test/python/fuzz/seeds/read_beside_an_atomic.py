# As read_beside_a_block, with an atomic in the block.
# parallel=True nogil=True boundscheck=False seed=main6-97
@kernel_options
def kernel(n, a, rw):
    for i1 in prange(n):
        turns4 = 0
        while a[3] < 12 and turns4 < 20:
            turns4 += 1
            with held(rw, "read"):
                atomic.add(a, 3, 1)
