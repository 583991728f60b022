# A property was read once, before the parallel loop.
# parallel=True nogil=True boundscheck=False seed=main3-47
@kernel_options
def kernel(n, a, latch):
    g2 = a
    for i1 in prange(n):
        latch.add(1)
        g2[i1] = latch.value
