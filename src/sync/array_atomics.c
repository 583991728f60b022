/* Atomics on the elements of the caller's arrays: one element, or whole slices.

   The elements are plain memory to their owner, and atomic objects here: of the same size,
   lock-free, and aligned, which is checked. Floats are handled as their bits.

   Minimum and maximum write only what changes: they load the element, and compare-and-swap as long
   as the value that they loaded is to be replaced. When nothing changes, the load is the operation,
   and is as seq_cst as the compare-and-swap would have been. */
#include <string.h>

#include "atomic.h"
#include "common.h"

/* --- what changes an element -------------------------------------------------------

   Does `new` replace `old`? Written so that it works for numbers and for vectors of numbers. As in
   numpy.minimum and numpy.maximum, a NaN wins, and the first NaN stays: a number is replaced by
   everything that is not <= (>=) it; a NaN, which is not equal to itself, by nothing. -0 and +0 are
   equal: neither replaces the other. */
#define LESS(old, new) ((new) < (old))
#define GREATER(old, new) ((new) > (old))
#define LESS_OR_NAN(old, new) (((old) <= (new)) != ((old) == (old)))
#define GREATER_OR_NAN(old, new) (((old) >= (new)) != ((old) == (old)))

/* As in numpy.fmin and numpy.fmax, for numbers only: any number replaces a NaN, and a NaN replaces
   none. */
#define LESS_OR_MISSING(old, new) ((new) == (new) && !((old) <= (new)))
#define GREATER_OR_MISSING(old, new) ((new) == (new) && !((old) >= (new)))

/* --- one element ----------------------------------------------------------------------- */

static inline bool is_element(const void *address, size_t size)
{
  return likely(address && (uintptr_t)address % size == 0);
}

COLD static int no_value_32(void)
{
  fail(ILK_EINVAL);
  return INT32_MIN;
}

COLD static int64_t no_value_64(void)
{
  return fail_value(ILK_EINVAL);
}

/* T: the suffix; V: the type that passes the values; TYPE: their own type; BITS: their size. The
   arithmetic is done on unsigned integers, which wrap. */
#define INTEGERS(X)                                                                                \
  X(i32, int, int32_t, 32)                                                                         \
  X(u32, int, uint32_t, 32) X(i64, int64_t, int64_t, 64) X(u64, int64_t, uint64_t, 64)

#define RETURN_VALUE(T, V, BITS, name, expression)                                                 \
  V ilk_atomic_##name##_##T(void *address, V value)                                                \
  {                                                                                                \
    atomic_u##BITS *element = address;                                                             \
    return is_element(address, BITS / 8) ? (V)(expression) : no_value_##BITS();                    \
  }

#define DEFINE(T, V, TYPE, BITS)                                                                   \
  V ilk_atomic_load_##T(void *address)                                                             \
  {                                                                                                \
    return is_element(address, BITS / 8) ? (V)load_seq_cst((atomic_u##BITS *)address)              \
                                         : no_value_##BITS();                                      \
  }                                                                                                \
                                                                                                   \
  int ilk_atomic_store_##T(void *address, V value)                                                 \
  {                                                                                                \
    if (!is_element(address, BITS / 8))                                                            \
      return fail(ILK_EINVAL);                                                                     \
    store_seq_cst((atomic_u##BITS *)address, (uint##BITS##_t)value);                               \
    return ILK_OK;                                                                                 \
  }                                                                                                \
                                                                                                   \
  V ilk_atomic_compare_exchange_##T(void *address, V expected, V desired)                          \
  {                                                                                                \
    if (!is_element(address, BITS / 8))                                                            \
      return no_value_##BITS();                                                                    \
    uint##BITS##_t seen = (uint##BITS##_t)expected;                                                \
    cas_seq_cst((atomic_u##BITS *)address, &seen, (uint##BITS##_t)desired);                        \
    return (V)seen;                                                                                \
  }                                                                                                \
                                                                                                   \
  static inline uint##BITS##_t fetch_min_##T(atomic_u##BITS *element, TYPE value)                  \
  {                                                                                                \
    uint##BITS##_t seen = load_seq_cst(element);                                                   \
    while (LESS((TYPE)seen, value) && !cas_seq_cst(element, &seen, (uint##BITS##_t)value))         \
      ;                                                                                            \
    return seen;                                                                                   \
  }                                                                                                \
                                                                                                   \
  static inline uint##BITS##_t fetch_max_##T(atomic_u##BITS *element, TYPE value)                  \
  {                                                                                                \
    uint##BITS##_t seen = load_seq_cst(element);                                                   \
    while (GREATER((TYPE)seen, value) && !cas_seq_cst(element, &seen, (uint##BITS##_t)value))      \
      ;                                                                                            \
    return seen;                                                                                   \
  }                                                                                                \
                                                                                                   \
  RETURN_VALUE(T, V, BITS, exchange, exchange_seq_cst(element, (uint##BITS##_t)value))             \
  RETURN_VALUE(T, V, BITS, fetch_add, add_seq_cst(element, (uint##BITS##_t)value))                 \
  RETURN_VALUE(T, V, BITS, fetch_sub, sub_seq_cst(element, (uint##BITS##_t)value))                 \
  RETURN_VALUE(T, V, BITS, fetch_and, and_seq_cst(element, (uint##BITS##_t)value))                 \
  RETURN_VALUE(T, V, BITS, fetch_or, or_seq_cst(element, (uint##BITS##_t)value))                   \
  RETURN_VALUE(T, V, BITS, fetch_xor, xor_seq_cst(element, (uint##BITS##_t)value))                 \
  RETURN_VALUE(T, V, BITS, fetch_min, fetch_min_##T(element, (TYPE)value))                         \
  RETURN_VALUE(T, V, BITS, fetch_max, fetch_max_##T(element, (TYPE)value))

INTEGERS(DEFINE)

int ilk_atomic_fence(void)
{
  fence_seq_cst();
  return ILK_OK;
}

/* --- one element of any type -------------------------------------------------------------

   For callers that learn type and operation at run time. One loop serves all: load, compute, and
   compare-and-swap. Values are stored as bits and computed with as numbers, so values that are only
   stored keep their bits. */

typedef _Atomic uint8_t atomic_u8;
typedef _Atomic uint16_t atomic_u16;

/* Half floats, IEEE's binary16, by hand, because not every compiler has them. They are compared and
   added as floats, which have more than twice their digits: so a sum that is rounded twice equals
   the sum rounded once. */

static inline float half_value(uint16_t bits)
{
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, magnitude = bits & 0x7fff;
  if (magnitude < 0x400) /* subnormal, in units of 2^-24 */
    return sign ? -(float)magnitude * 0x1p-24f : (float)magnitude * 0x1p-24f;
  /* NaN and infinity stay what they are. */
  uint32_t exponent = magnitude < 0x7c00 ? 127 - 15 : 255 - 31;
  return ((union {
           uint32_t b;
           float value;
         }){sign | ((magnitude << 13) + (exponent << 23))})
    .value;
}

/* Converts back the sum or difference of two half floats. */
static inline uint16_t half_bits(float sum)
{
  uint32_t bits = ((union {
                    float value;
                    uint32_t b;
                  }){sum})
                    .b;
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
#define DEFINE_STEP(T, TYPE, BITS, VALUE, SUM, DIFFERENCE, MORE)                                   \
  static int step_##T(int operation, uint##BITS##_t old, const uint##BITS##_t *operand,            \
                      uint##BITS##_t *new)                                                         \
  {                                                                                                \
    const TYPE o = VALUE(TYPE, BITS, old), v = VALUE(TYPE, BITS, operand[0]);                      \
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
    case ILK_ATOMIC_NANMAX: return GREATER_OR_MISSING(o, v); MORE default : return ILK_EINVAL;     \
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

#define SAME_BITS(TYPE, BITS, bits)                                                                \
  (((union {                                                                                       \
     uint##BITS##_t b;                                                                             \
     TYPE value;                                                                                   \
   }){bits})                                                                                       \
     .value)
#define FLOAT_BITS(TYPE, BITS, sum)                                                                \
  (((union {                                                                                       \
     TYPE value;                                                                                   \
     uint##BITS##_t b;                                                                             \
   }){sum})                                                                                        \
     .b)
#define HALF_VALUE(TYPE, BITS, bits) half_value(bits)

#define WRAPPED(BITS, expression) ((uint##BITS##_t)(expression))
#define INTEGER_STEPS(BITS)                                                                        \
  case ILK_ATOMIC_AND: *new = old &operand[0]; return 1;                                           \
  case ILK_ATOMIC_OR: *new = old | operand[0]; return 1;                                           \
  case ILK_ATOMIC_XOR: *new = old ^ operand[0]; return 1;                                          \
  case ILK_ATOMIC_INC: *new = o >= v ? 0 : WRAPPED(BITS, old + UINT64_C(1)); return 1;             \
  case ILK_ATOMIC_DEC:                                                                             \
    *new = o == 0 || o > v ? operand[0] : WRAPPED(BITS, old - UINT64_C(1));                        \
    return 1;

#define DEFINE_INTEGER_STEP(T, TYPE, BITS)                                                         \
  DEFINE_STEP(T, TYPE, BITS, SAME_BITS, WRAPPED(BITS, (uint64_t)old + operand[0]),                 \
              WRAPPED(BITS, (uint64_t)old - operand[0]), INTEGER_STEPS(BITS))
#define DEFINE_FLOAT_STEP(T, TYPE, BITS)                                                           \
  DEFINE_STEP(T, TYPE, BITS, SAME_BITS, FLOAT_BITS(TYPE, BITS, o + v),                             \
              FLOAT_BITS(TYPE, BITS, o - v), )
#define DEFINE_HALF_STEP(T, TYPE, BITS)                                                            \
  DEFINE_STEP(T, TYPE, BITS, HALF_VALUE, half_bits(o + v), half_bits(o - v), )

/* The struct module's letter for each type. */
#define EACH_TYPE(INTEGER, HALF, FLOAT)                                                            \
  INTEGER('b', i8, int8_t, 8)                                                                      \
  INTEGER('B', u8, uint8_t, 8)                                                                     \
  INTEGER('h', i16, int16_t, 16) INTEGER('H', u16, uint16_t, 16) INTEGER('i', i32, int32_t, 32)    \
    INTEGER('I', u32, uint32_t, 32) INTEGER('q', i64, int64_t, 64) INTEGER('Q', u64, uint64_t, 64) \
      HALF('e', f16, float, 16) FLOAT('f', f32, float, 32) FLOAT('d', f64, double, 64)

#define INTEGER(letter, T, TYPE, BITS) DEFINE_INTEGER_STEP(T, TYPE, BITS)
#define HALF(letter, T, TYPE, BITS) DEFINE_HALF_STEP(T, TYPE, BITS)
#define FLOAT(letter, T, TYPE, BITS) DEFINE_FLOAT_STEP(T, TYPE, BITS)
EACH_TYPE(INTEGER, HALF, FLOAT)

static int apply(void *address, int type, int operation, const void *operand, void *previous)
{
  switch (type) {
#define CALL(letter, T, TYPE, BITS)                                                                \
  case letter: return apply_##T(address, operation, operand, previous);
    EACH_TYPE(CALL, CALL, CALL)
  default: return ILK_EINVAL;
  }
}

int ilk_atomic_apply(void *address, int type, int operation, void *operand, void *previous)
{
  return return_code(apply(address, type, operation, operand, previous));
}

/* --- slices --------------------------------------------------------------------------------

   Elements are processed in order: each source element is read when its index is reached, and then
   the destination element is updated. This defines what an overlap means.

   Where most elements keep their values, a minimum or maximum is a search for those that do not.
   The search uses vectors, a block at a time; only in a block in which something changes are the
   elements processed one by one. A block in which nothing changes writes nothing, so an overlap
   does not matter within it.

   The search reads, in vectors, elements that other threads may be writing. C cannot express that;
   processors can: any load reads an aligned element of at most one word whole. The loads are
   volatile, so each happens exactly once. ThreadSanitizer does not check them. Elements wider than
   a word are not searched.

   All loads of a call are between two seq_cst fences, so they are as strong as seq_cst loads with
   respect to everything before and after the call. */

static inline bool are_slices(const void *destination, const void *source, int64_t n, size_t size)
{
  bool aligned = (uintptr_t)destination % size == 0 && (uintptr_t)source % size == 0;
  return likely(n >= 0 && aligned && ((destination && source) || n == 0));
}

#define BLOCK_BYTES 64
#define VECTOR_BYTES 16

typedef int64_t mask_vector __attribute__((vector_size(VECTOR_BYTES)));

#if defined(__clang__)
#define UNCHECKED_LOADS __attribute__((noinline, no_sanitize("thread")))
#else
#define UNCHECKED_LOADS __attribute__((noinline, no_sanitize_thread))
#endif

#define FLOATS(X) X(f32, float, 32) X(f64, double, 64)
#define SIGNED(X) X(i32, int32_t, 32) X(i64, int64_t, 64)

#define DEFINE_TYPE(T, TYPE, BITS)                                                                 \
  typedef TYPE vector_##T                                                                          \
    __attribute__((vector_size(VECTOR_BYTES), aligned(BITS / 8), may_alias));                      \
                                                                                                   \
  /* No value is converted, so NaNs keep their bits. */                                            \
  static inline TYPE value_##T(uint##BITS##_t bits)                                                \
  {                                                                                                \
    union {                                                                                        \
      uint##BITS##_t bits;                                                                         \
      TYPE value;                                                                                  \
    } u = {bits};                                                                                  \
    return u.value;                                                                                \
  }

/* The number of leading elements that keep their values; a multiple of the block size. */
#define DEFINE_SEARCH(op, T, TYPE, BITS, REPLACES)                                                 \
  UNCHECKED_LOADS static int64_t search_##op##_##T(const void *destination, const void *source,    \
                                                   int64_t n)                                      \
  {                                                                                                \
    const volatile vector_##T *d = destination, *s = source;                                       \
    enum { BLOCK = BLOCK_BYTES / sizeof(TYPE), VECTORS = BLOCK_BYTES / VECTOR_BYTES };             \
    int64_t k = 0;                                                                                 \
    for (; n - k >= BLOCK; k += BLOCK, d += VECTORS, s += VECTORS) {                               \
      mask_vector changes = {0};                                                                   \
      for (int v = 0; v < VECTORS; v++) {                                                          \
        vector_##T new = s[v], old = d[v];                                                         \
        changes |= (mask_vector)(REPLACES(old, new));                                              \
      }                                                                                            \
      if (changes[0] | changes[1])                                                                 \
        break;                                                                                     \
    }                                                                                              \
    return k;                                                                                      \
  }

#define DEFINE_EXTREME(op, T, TYPE, BITS, REPLACES)                                                \
  DEFINE_SEARCH(op, T, TYPE, BITS, REPLACES)                                                       \
                                                                                                   \
  static inline void op##_one_##T(atomic_u##BITS *d, const atomic_u##BITS *s)                      \
  {                                                                                                \
    uint##BITS##_t new = load_relaxed(s), seen = load_relaxed(d);                                  \
    while (REPLACES(value_##T(seen), value_##T(new)) && !cas_seq_cst(d, &seen, new))               \
      ;                                                                                            \
  }                                                                                                \
                                                                                                   \
  int ilk_atomic_##op##_##T(void *destination, void *source, int64_t n)                            \
  {                                                                                                \
    if (!are_slices(destination, source, n, sizeof(TYPE)))                                         \
      return fail(ILK_EINVAL);                                                                     \
    atomic_u##BITS *d = destination;                                                               \
    const atomic_u##BITS *s = source;                                                              \
    fence_seq_cst();                                                                               \
    for (int64_t k = 0; k < n;) {                                                                  \
      if (sizeof(TYPE) <= sizeof(void *))                                                          \
        k += search_##op##_##T(d + k, s + k, n - k);                                               \
      int64_t rest = n - k, block = BLOCK_BYTES / sizeof(TYPE);                                    \
      for (int64_t end = k + (rest < block ? rest : block); k < end; k++)                          \
        op##_one_##T(d + k, s + k);                                                                \
    }                                                                                              \
    fence_seq_cst();                                                                               \
    return ILK_OK;                                                                                 \
  }

#define DEFINE_ADD(T, TYPE, BITS)                                                                  \
  int ilk_atomic_add_##T(void *destination, void *source, int64_t n)                               \
  {                                                                                                \
    if (!are_slices(destination, source, n, sizeof(TYPE)))                                         \
      return fail(ILK_EINVAL);                                                                     \
    atomic_u##BITS *d = destination;                                                               \
    const atomic_u##BITS *s = source;                                                              \
    for (int64_t k = 0; k < n; k++)                                                                \
      add_one_##T(d + k, load_relaxed(s + k));                                                     \
    return ILK_OK;                                                                                 \
  }

#define DEFINE_ADD_INTEGER(T, TYPE, BITS)                                                          \
  static inline void add_one_##T(atomic_u##BITS *d, uint##BITS##_t bits)                           \
  {                                                                                                \
    add_seq_cst(d, bits);                                                                          \
  }                                                                                                \
  DEFINE_ADD(T, TYPE, BITS)

/* The sum is stored to memory, which gives it its own type's precision on every platform. */
#define DEFINE_ADD_FLOAT(T, TYPE, BITS)                                                            \
  static inline void add_one_##T(atomic_u##BITS *d, uint##BITS##_t bits)                           \
  {                                                                                                \
    uint##BITS##_t seen = load_relaxed(d);                                                         \
    union {                                                                                        \
      TYPE value;                                                                                  \
      uint##BITS##_t bits;                                                                         \
    } sum;                                                                                         \
    do                                                                                             \
      sum.value = value_##T(seen) + value_##T(bits);                                               \
    while (!cas_seq_cst(d, &seen, sum.bits));                                                      \
  }                                                                                                \
  DEFINE_ADD(T, TYPE, BITS)

#define DEFINE_EXTREMES_INTEGER(T, TYPE, BITS)                                                     \
  DEFINE_EXTREME(min, T, TYPE, BITS, LESS)                                                         \
  DEFINE_EXTREME(max, T, TYPE, BITS, GREATER)

#define DEFINE_EXTREMES_FLOAT(T, TYPE, BITS)                                                       \
  DEFINE_EXTREME(min, T, TYPE, BITS, LESS_OR_NAN)                                                  \
  DEFINE_EXTREME(max, T, TYPE, BITS, GREATER_OR_NAN)

SIGNED(DEFINE_TYPE)
FLOATS(DEFINE_TYPE)
SIGNED(DEFINE_ADD_INTEGER)
FLOATS(DEFINE_ADD_FLOAT)
SIGNED(DEFINE_EXTREMES_INTEGER)
FLOATS(DEFINE_EXTREMES_FLOAT)
