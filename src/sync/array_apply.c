/* One element of any type, for callers that learn type and operation at run time. One loop serves
   all: load, compute, and compare-and-swap. Values are stored as bits and computed with as numbers,
   so values that are only stored keep their bits. See array_atomics.h. */
#include <string.h>

#include "array_atomics.h"

typedef _Atomic uint8_t atomic_u8;
typedef _Atomic uint16_t atomic_u16;

/* Half floats, IEEE's binary16, by hand, because not every compiler has them. They are compared and
   added as floats, which have more than twice their digits: so a sum that is rounded twice equals
   the sum rounded once. */

static inline float value_f16(uint16_t bits)
{
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
  if (magnitude < 0x400) /* subnormal, in units of 2^-24 */
    return sign ? -(float)magnitude * 0x1p-24f : (float)magnitude * 0x1p-24f;
  /* NaN and infinity stay what they are. */
  uint32_t exponent = magnitude < 0x7c00 ? 127 - 15 : 255 - 31;
  return value_f32(sign | ((magnitude << 13) + (exponent << 23)));
}

/* Converts back the sum or difference of two half floats. */
static inline uint16_t bits_f16(float sum)
{
  uint32_t bits = bits_f32(sum);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) /* a NaN: made quiet, so that it does not become infinity */
    return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
  if (magnitude >= 0x47800000) /* 2^16 */
    return (uint16_t)(sign | 0x7c00);
  /* 2^-14: a multiple of 2^-24, like all half floats, so this is exact */
  if (magnitude < 0x38800000)
    return (uint16_t)(sign | (uint32_t)((sign ? -sum : sum) * 0x1p24f));
  magnitude -= (127 - 15) << 23;
  /* To nearest, a tie to even. */
  return (uint16_t)(sign | (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

/* Applies the operation to `old`. 1: the result is `*new`. 0: the element keeps its value. < 0:
   there is no such operation. */
#define DEFINE_STEP(T, TYPE, BITS, SUM, DIFFERENCE, MORE)                                          \
  static int step_##T(int operation, uint##BITS##_t old, const uint##BITS##_t *operand,            \
                      uint##BITS##_t *new)                                                         \
  {                                                                                                \
    const TYPE o = value_##T(old), v = value_##T(operand[0]);                                      \
    *new = operand[0];                                                                             \
    switch (operation) {                                                                           \
    case ILK_ATOMIC_LOAD: return 0;                                                                \
    case ILK_ATOMIC_STORE:                                                                         \
    case ILK_ATOMIC_EXCHANGE: return 1;                                                            \
    case ILK_ATOMIC_COMPARE_EXCHANGE: *new = operand[1]; return o == v;                            \
    case ILK_ATOMIC_ADD: *new = (SUM); return 1;                                                   \
    case ILK_ATOMIC_SUB: *new = (DIFFERENCE); return 1;                                            \
    case ILK_ATOMIC_MIN: return LESS_OR_NAN(o, v);                                                 \
    case ILK_ATOMIC_MAX: return GREATER_OR_NAN(o, v);                                              \
    case ILK_ATOMIC_NANMIN: return LESS_OR_MISSING(o, v);                                          \
    case ILK_ATOMIC_NANMAX: return GREATER_OR_MISSING(o, v);                                       \
    default: return ILK_EINVAL; MORE                                                               \
    }                                                                                              \
  }                                                                                                \
                                                                                                   \
  static int apply_##T(void *address, int operation, const void *operand, void *previous)          \
  {                                                                                                \
    if (!is_element(address, BITS / 8) || (!operand && operation != ILK_ATOMIC_LOAD))              \
      return ILK_EINVAL;                                                                           \
    uint##BITS##_t values[2] = {0}, new;                                                           \
    if (operand)                                                                                   \
      memcpy(values, operand,                                                                      \
             operation == ILK_ATOMIC_COMPARE_EXCHANGE ? sizeof values : sizeof *values);           \
    uint##BITS##_t seen = load_seq_cst((atomic_u##BITS *)address);                                 \
    int result;                                                                                    \
    do                                                                                             \
      result = step_##T(operation, seen, values, &new);                                            \
    while (result > 0 && !cas_seq_cst((atomic_u##BITS *)address, &seen, new));                     \
    if (result >= 0 && previous)                                                                   \
      memcpy(previous, &seen, sizeof seen);                                                        \
    return result < 0 ? result : ILK_OK;                                                           \
  }

#define WRAPPED(BITS, expression) ((uint##BITS##_t)(expression))
#define INTEGER_STEPS(BITS)                                                                        \
  case ILK_ATOMIC_AND: *new = old &operand[0]; return 1;                                           \
  case ILK_ATOMIC_OR: *new = old | operand[0]; return 1;                                           \
  case ILK_ATOMIC_XOR: *new = old ^ operand[0]; return 1;                                          \
  case ILK_ATOMIC_INC: *new = o >= v ? 0 : WRAPPED(BITS, old + UINT64_C(1)); return 1;             \
  case ILK_ATOMIC_DEC:                                                                             \
    *new = o == 0 || o > v ? operand[0] : WRAPPED(BITS, old - UINT64_C(1));                        \
    return 1;

#define DEFINE_INTEGER(letter, T, TYPE, BITS)                                                      \
  DEFINE_VALUE(T, TYPE, BITS)                                                                      \
  DEFINE_STEP(T, TYPE, BITS, WRAPPED(BITS, (uint64_t)old + operand[0]),                            \
              WRAPPED(BITS, (uint64_t)old - operand[0]), INTEGER_STEPS(BITS))
#define DEFINE_FLOAT(letter, T, TYPE, BITS)                                                        \
  DEFINE_STEP(T, TYPE, BITS, bits_##T(o + v), bits_##T(o - v), )

/* The struct module's letter for each type. */
#define INTEGERS(X)                                                                                \
  X('b', i8, int8_t, 8)                                                                            \
  X('B', u8, uint8_t, 8)                                                                           \
  X('h', i16, int16_t, 16)                                                                         \
  X('H', u16, uint16_t, 16)                                                                        \
  X('i', i32, int32_t, 32)                                                                         \
  X('I', u32, uint32_t, 32)                                                                        \
  X('q', i64, int64_t, 64)                                                                         \
  X('Q', u64, uint64_t, 64)
#define FLOATS(X) X('e', f16, float, 16) X('f', f32, float, 32) X('d', f64, double, 64)

INTEGERS(DEFINE_INTEGER)
FLOATS(DEFINE_FLOAT)

static int apply(void *address, int type, int operation, const void *operand, void *previous)
{
  switch (type) {
#define CALL(letter, T, TYPE, BITS)                                                                \
  case letter: return apply_##T(address, operation, operand, previous);
    INTEGERS(CALL)
    FLOATS(CALL)
  default: return ILK_EINVAL;
  }
}

int ilk_atomic_apply(void *address, int type, int operation, void *operand, void *previous)
{
  return return_code(apply(address, type, operation, operand, previous));
}
