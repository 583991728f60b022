# An atomic at a negative index of a parallel loop: written before the array (Numba takes the index for unsigned).
# parallel=True nogil=True boundscheck=False seed=k13
@kernel_options
def kernel(a):
    for i in prange(len(a)):
        atomic.add(a, -i, 1)
