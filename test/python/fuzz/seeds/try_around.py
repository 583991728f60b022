# A `try` around a block, and an error of the lock itself.
# parallel=False nogil=True boundscheck=False seed=main3-21
@kernel_options
def kernel(x, locks):
    k = 7
    try:
        with held(locks, k):
            x += 1
    except Exception:
        x = -1
    return x
