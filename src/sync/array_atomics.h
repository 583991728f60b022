/* Atomics on the elements of the caller's arrays: one element (array_atomics.c), one element of any
   type (array_apply.c), or whole slices (array_slices.c).

   The elements are plain memory to their owner, and atomic objects here: of the same size,
   lock-free, and aligned, which is checked. Floats are handled as their bits.

   Minimum and maximum write only what changes: they load the element, and compare-and-swap as long
   as the value that they loaded is to be replaced. When nothing changes, the load is the operation,
   and is as seq_cst as the compare-and-swap would have been. */
#ifndef INTERLOCK_ARRAY_ATOMICS_H
#define INTERLOCK_ARRAY_ATOMICS_H

#include "atomic.h"
#include "common.h"

static inline bool is_element(const void *address, size_t size)
{
  return likely(address && (uintptr_t)address % size == 0);
}

/* The value of an element with these bits. It is not converted, so NaNs keep their bits. */
#define DEFINE_VALUE(T, TYPE, BITS)                                                                \
  union both_##T {                                                                                 \
    TYPE value;                                                                                    \
    uint##BITS##_t bits;                                                                           \
  };                                                                                               \
  static inline TYPE value_##T(uint##BITS##_t bits)                                                \
  {                                                                                                \
    return ((union both_##T){.bits = bits}).value;                                                 \
  }

/* And back. Storing a sum to memory rounds it to its own type. (x87 has rounded it before.) */
#define DEFINE_BITS(T, TYPE, BITS)                                                                 \
  static inline uint##BITS##_t bits_##T(TYPE value)                                                \
  {                                                                                                \
    return ((union both_##T){.value = value}).bits;                                                \
  }

DEFINE_VALUE(f32, float, 32)
DEFINE_VALUE(f64, double, 64)
DEFINE_BITS(f32, float, 32)
DEFINE_BITS(f64, double, 64)

/* Does `new` replace `old`? Written so that it works for numbers and for vectors of numbers. As in
   numpy.minimum and numpy.maximum, a NaN wins, and the first NaN stays: a number is replaced by
   everything that is not <= (>=) it; a NaN, which is not equal to itself, by nothing. -0 and +0 are
   equal: neither replaces the other. (^ instead of !=, because x86-64 without SSE4.1 cannot compare
   masks of 64 bits.) */
#define LESS(old, new) ((new) < (old))
#define GREATER(old, new) ((new) > (old))
#define LESS_OR_NAN(old, new) (((old) <= (new)) ^ ((old) == (old)))
#define GREATER_OR_NAN(old, new) (((old) >= (new)) ^ ((old) == (old)))

/* As in numpy.fmin and numpy.fmax, for numbers only: any number replaces a NaN, and a NaN replaces
   none. */
#define LESS_OR_MISSING(old, new) ((new) == (new) && !((old) <= (new)))
#define GREATER_OR_MISSING(old, new) ((new) == (new) && !((old) >= (new)))

#endif
