# The same with `not`, in a branch of the block.
# parallel=False nogil=True boundscheck=False seed=main4-27
@kernel_options
def kernel(n, x, mutex, event):
    q = True
    p = (x, n)
    with held(mutex):
        if event.is_set():
            pass
        else:
            q = not q
    return (q, p[1])
