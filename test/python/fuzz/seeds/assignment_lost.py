# In a block, `x = f(x)` of a variable that is set elsewhere too: the assignment was lost.
# parallel=False nogil=True boundscheck=False seed=main5-48
@kernel_options
def kernel(y, rw):
    q = False
    with held(rw, "read"):
        if not q:
            y = -y
    return (y, q)
