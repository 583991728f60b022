# Two parallel loops that call methods of one object were fused.
# parallel=True nogil=True boundscheck=False seed=main3-72
@kernel_options
def kernel(a, b, counter):
    for i5 in prange(len(a)):
        counter.fetch_add(1)
    for i8 in prange(len(a)):
        b[i8] = counter.load()
