# An empty list that is appended to in a block: a TypingError about an internal function.
# parallel=False nogil=True boundscheck=False seed=main3-2
@kernel_options
def kernel(cond):
    k = 0
    out = []
    with held(cond):
        out.append(k)
    return len(out)
