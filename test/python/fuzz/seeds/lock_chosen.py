# An argument of held that is set in two places: KeyError.
# parallel=False nogil=True boundscheck=False seed=main2-31
@kernel_options
def kernel(x, y, a, lock, lock2):
    chosen = lock
    if x > y:
        chosen = lock2
    with held(chosen):
        a[0] += 1
