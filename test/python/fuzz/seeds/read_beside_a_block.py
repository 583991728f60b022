# The read in the loop's condition was hoisted out of the parallel loop, as the block's write was not seen.
# parallel=True nogil=True boundscheck=False seed=main5-53
@kernel_options
def kernel(n, b, rlock):
    for i1 in prange(n):
        turns4 = 0
        while b[0] < 12 and turns4 < 20:
            turns4 += 1
            with held(rlock):
                b[0] += 1
