"""Random kernels, run compiled and as plain Python: the results must agree, or the kernel must be refused clearly.

world      the arguments that a program may name, how they are made, and what their state is afterwards
generate   random programs
control    the same program without interlock
oracle     one program: run in every way, and a verdict
pool       verdicts from worker processes, with hangs and crashes
shrink     the smallest program with the same verdict
report     the findings, counted
"""
