/* How test_faults.c controls faults.c. */
#ifndef FAULTS_CONTROL_H
#define FAULTS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the n-th call of that kind fails (1: the next), and with `on` all later ones. FAULTS:
   none. */
void faults_begin(int kind, int64_t n, bool on);

/* Ends the failures. Returns how many calls of that kind were made since. */
int64_t faults_end(void);

#endif
