# The read after a parallel loop of atomics was moved before it.
# parallel=True nogil=True boundscheck=False seed=main6-1
@kernel_options
def kernel(n, x, a, idx):
    k = -2
    g6 = a + 1
    for i5 in prange(n):
        atomic.add(g6, idx[i5], 2)
    x = g6[6]
    return (x, k)
