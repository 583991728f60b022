# A block in a closure: an error about the type of `held`.
# parallel=False nogil=True boundscheck=False seed=main2-67
@kernel_options
def kernel(n, x, lock):
    def inner(v):
        with held(lock):
            v = max(v, n)
        return v
    x = inner(x)
    return x
