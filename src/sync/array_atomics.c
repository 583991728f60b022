/* One element. See array_atomics.h. */
#include "array_atomics.h"

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
  X(u32, int, uint32_t, 32)                                                                        \
  X(i64, int64_t, int64_t, 64)                                                                     \
  X(u64, int64_t, uint64_t, 64)

#define RETURN_VALUE(T, V, BITS, name, expression)                                                 \
  V ilk_atomic_##name##_##T(void *address, V value)                                                \
  {                                                                                                \
    atomic_u##BITS *element = address;                                                             \
    return is_element(address, BITS / 8) ? (V)(expression) : no_value_##BITS();                    \
  }

#define DEFINE_FETCH(op, T, TYPE, BITS, REPLACES)                                                  \
  static inline uint##BITS##_t fetch_##op##_##T(atomic_u##BITS *element, TYPE value)               \
  {                                                                                                \
    uint##BITS##_t seen = load_seq_cst(element);                                                   \
    while (REPLACES((TYPE)seen, value) && !cas_seq_cst(element, &seen, (uint##BITS##_t)value))     \
      ;                                                                                            \
    return seen;                                                                                   \
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
  DEFINE_FETCH(min, T, TYPE, BITS, LESS)                                                           \
  DEFINE_FETCH(max, T, TYPE, BITS, GREATER)                                                        \
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
