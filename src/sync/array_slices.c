/* Slices of the caller's arrays. See array_atomics.h.

   Elements are processed in order: each source element is read when its index is reached, and then
   the destination element is updated. This defines what an overlap means.

   Where most elements keep their values, a minimum or maximum is a search for those that do not.
   The search uses vectors, a block at a time; only in a block in which something changes are the
   elements processed one by one. A block in which nothing changes writes nothing, so an overlap
   does not matter within it.

   The search reads, in vectors, elements that other threads may be writing. C cannot express that;
   processors can: any load reads an aligned element of at most one word whole. The loads are
   volatile, so each happens exactly once. ThreadSanitizer does not check them.

   All loads of a minimum or maximum are between two seq_cst fences, so they are as strong as
   seq_cst loads with respect to everything before and after the call. An add has no fences: it
   loads each source element seq_cst. */
#include "array_atomics.h"

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

#define DEFINE_VECTOR(T, TYPE, BITS)                                                               \
  typedef TYPE vector_##T __attribute__((vector_size(VECTOR_BYTES), aligned(BITS / 8), may_alias));

/* Elements larger than a word cannot be searched. Nor are integers of 64 bits searched: x86-64
   cannot compare them in vectors without SSE4.2, and a compiler that takes the vectors apart makes
   the search slower than none. ((TYPE)0.5 is 0 if the type is one of integers.) */
#define IS_SEARCHED(TYPE, BITS) (BITS == 32 || ((TYPE)0.5 != 0 && sizeof(void *) == 8))

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
      if (IS_SEARCHED(TYPE, BITS))                                                                 \
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
      add_one_##T(d + k, load_seq_cst(s + k));                                                     \
    return ILK_OK;                                                                                 \
  }

#define DEFINE_ADD_INTEGER(T, TYPE, BITS)                                                          \
  static inline void add_one_##T(atomic_u##BITS *d, uint##BITS##_t bits)                           \
  {                                                                                                \
    add_seq_cst(d, bits);                                                                          \
  }                                                                                                \
  DEFINE_ADD(T, TYPE, BITS)

#define DEFINE_ADD_FLOAT(T, TYPE, BITS)                                                            \
  static inline void add_one_##T(atomic_u##BITS *d, uint##BITS##_t bits)                           \
  {                                                                                                \
    uint##BITS##_t seen = load_relaxed(d);                                                         \
    while (!cas_seq_cst(d, &seen, bits_##T(value_##T(seen) + value_##T(bits))))                    \
      ;                                                                                            \
  }                                                                                                \
  DEFINE_ADD(T, TYPE, BITS)

#define DEFINE_EXTREMES_INTEGER(T, TYPE, BITS)                                                     \
  DEFINE_EXTREME(min, T, TYPE, BITS, LESS)                                                         \
  DEFINE_EXTREME(max, T, TYPE, BITS, GREATER)

#define DEFINE_EXTREMES_FLOAT(T, TYPE, BITS)                                                       \
  DEFINE_EXTREME(min, T, TYPE, BITS, LESS_OR_NAN)                                                  \
  DEFINE_EXTREME(max, T, TYPE, BITS, GREATER_OR_NAN)

SIGNED(DEFINE_VALUE)
SIGNED(DEFINE_VECTOR)
FLOATS(DEFINE_VECTOR)
SIGNED(DEFINE_ADD_INTEGER)
FLOATS(DEFINE_ADD_FLOAT)
SIGNED(DEFINE_EXTREMES_INTEGER)
FLOATS(DEFINE_EXTREMES_FLOAT)
