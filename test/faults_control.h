/* What test_faults.c tells faults.c. */
#ifndef FAULTS_CONTROL_H
#define FAULTS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the n-th call of that kind fails (1: the next), or, with `on`, all from it on. FAULTS: none. */
void faults_begin(int kind, int64_t n, bool on);

/* None fails any more. Returns how many of that kind were made since. */
int64_t faults_end(void);

#endif
