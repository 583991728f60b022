# A block in a function that is inlined: an error about pyobject.
# parallel=False nogil=True boundscheck=False seed=main2-19
@inlined
def folded(cond, v):
    with held(cond):
        v += 1
    return v

@kernel_options
def kernel(x, cond):
    x = folded(cond, x)
    return x
