/* Functions of a shared library that do nothing: what no lock behind a call can go below. */
#ifndef BENCH_NOTHING_H
#define BENCH_NOTHING_H

int nothing(void *object);
int nothing_again(void *object);

#endif
