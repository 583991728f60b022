/* array_atomics.c. */
#include "support.h"

#include <float.h>
#include <math.h>

/* --- one element --------------------------------------------------------------------- */

static const int64_t some_values[] = {
  0, 1, -1, 77, -78, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, UINT32_MAX, INT64_C(1) << 40};

/* Each operation on each pair of values, against what C says. */
#define EACH_OPERATION(T, V, TYPE, UNSIGNED)                                                       \
  static void check_##T(int64_t first, int64_t second)                                             \
  {                                                                                                \
    TYPE a = (TYPE)first, b = (TYPE)second, x;                                                     \
    V va = (V)a, vb = (V)b;                                                                        \
    UNSIGNED ua = (UNSIGNED)a, ub = (UNSIGNED)b;                                                   \
    x = a;                                                                                         \
    expect(ilk_atomic_load_##T(&x), va);                                                           \
    expect(ilk_atomic_store_##T(&x, vb), ILK_OK);                                                  \
    must(x == b);                                                                                  \
    expect(ilk_atomic_exchange_##T(&x, va), vb);                                                   \
    must(x == a);                                                                                  \
    expect(ilk_atomic_fetch_add_##T(&x, vb), va);                                                  \
    must((UNSIGNED)x == (UNSIGNED)(ua + ub));                                                      \
    expect(ilk_atomic_fetch_sub_##T(&x, vb), (V)(TYPE)(UNSIGNED)(ua + ub));                        \
    must(x == a);                                                                                  \
    expect(ilk_atomic_fetch_and_##T(&x, vb), va);                                                  \
    must((UNSIGNED)x == (ua & ub));                                                                \
    x = a;                                                                                         \
    expect(ilk_atomic_fetch_or_##T(&x, vb), va);                                                   \
    must((UNSIGNED)x == (ua | ub));                                                                \
    x = a;                                                                                         \
    expect(ilk_atomic_fetch_xor_##T(&x, vb), va);                                                  \
    must((UNSIGNED)x == (ua ^ ub));                                                                \
    x = a;                                                                                         \
    expect(ilk_atomic_fetch_min_##T(&x, vb), va);                                                  \
    must(x == (b < a ? b : a));                                                                    \
    x = a;                                                                                         \
    expect(ilk_atomic_fetch_max_##T(&x, vb), va);                                                  \
    must(x == (b > a ? b : a));                                                                    \
    x = a;                                                                                         \
    expect(ilk_atomic_compare_exchange_##T(&x, vb, 5), va);                                        \
    must(x == (a == b ? 5 : a));                                                                   \
    x = a;                                                                                         \
    expect(ilk_atomic_compare_exchange_##T(&x, va, vb), va);                                       \
    must(x == b);                                                                                  \
  }

EACH_OPERATION(i32, int, int32_t, uint32_t)
EACH_OPERATION(u32, int, uint32_t, uint32_t)
EACH_OPERATION(i64, int64_t, int64_t, uint64_t)
EACH_OPERATION(u64, int64_t, uint64_t, uint64_t)

START_TEST(each_operation)
{
  must(ilk_mutex_new(-1) == NULL);
  for (int j = 0; j < LENGTH(some_values); j++) {
    check_i32(some_values[_i], some_values[j]);
    check_u32(some_values[_i], some_values[j]);
    check_i64(some_values[_i], some_values[j]);
    check_u64(some_values[_i], some_values[j]);
  }
  /* No success has changed it, though values look like failures. */
  expect(ilk_last_error(), ILK_EINVAL);
}
END_TEST

/* A failure tells its code, which was another before. */
#define REFUSED(call, answer)                                                                      \
  do {                                                                                             \
    expect(ilk_mutex_unlock(NULL), ILK_EHANDLE);                                                   \
    expect(call, answer);                                                                          \
    expect(ilk_last_error(), ILK_EINVAL);                                                          \
  } while (0)

#define REFUSES(T, no_value)                                                                       \
  do {                                                                                             \
    REFUSED(ilk_atomic_load_##T(p), no_value);                                                     \
    REFUSED(ilk_atomic_store_##T(p, 1), ILK_EINVAL);                                               \
    REFUSED(ilk_atomic_exchange_##T(p, 1), no_value);                                              \
    REFUSED(ilk_atomic_fetch_add_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_fetch_sub_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_fetch_and_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_fetch_or_##T(p, 1), no_value);                                              \
    REFUSED(ilk_atomic_fetch_xor_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_fetch_min_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_fetch_max_##T(p, 1), no_value);                                             \
    REFUSED(ilk_atomic_compare_exchange_##T(p, 1, 2), no_value);                                   \
  } while (0)

START_TEST(null_and_misaligned)
{
  int64_t room[3] = {0x0102030405060708, 0x0102030405060708, 0x0102030405060708}, before = room[0];
  for (int offset = 0; offset < 8; offset++) {
    void *p = offset ? (char *)room + offset : NULL;
    if (offset != 4) {
      REFUSES(i32, INT32_MIN);
      REFUSES(u32, INT32_MIN);
    }
    REFUSES(i64, ILK_NO_VALUE);
    REFUSES(u64, ILK_NO_VALUE);
  }
  for (int i = 0; i < 3; i++)
    must(room[i] == before);
}
END_TEST

/* --- one element, all at once ----------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = TSAN ? 4000 : 20000 };

static struct {
  int32_t add32, min32;
  uint32_t xor32, max32;
  int64_t add64, max64;
  uint64_t or64, min64;
  int64_t cas64, swap64;
  _Atomic int64_t swapped;
} shared;

static void *hammer(void *unused)
{
  (void)unused;
  int64_t taken = 0;
  for (int i = 1; i <= ROUNDS; i++) {
    int64_t r = (int64_t)(chance() >> 1);
    ilk_atomic_fetch_add_i32(&shared.add32, 3);
    ilk_atomic_fetch_sub_i32(&shared.add32, 2);
    ilk_atomic_fetch_add_i64(&shared.add64, INT64_C(1) << 33);
    ilk_atomic_fetch_xor_u32(&shared.xor32, i);
    ilk_atomic_fetch_or_u64(&shared.or64, (int64_t)(UINT64_C(1) << (i % 64)));
    ilk_atomic_fetch_min_i32(&shared.min32, -i);
    ilk_atomic_fetch_max_u32(&shared.max32, -1 - (ROUNDS - i));
    ilk_atomic_fetch_max_i64(&shared.max64, i);
    ilk_atomic_fetch_min_u64(&shared.min64, ROUNDS - i + 7);
    for (int64_t seen = ilk_atomic_load_i64(&shared.cas64), was = seen - 1; seen != was;) {
      was = seen;
      seen = ilk_atomic_compare_exchange_i64(&shared.cas64, was, was + 1);
    }
    taken += ilk_atomic_exchange_i64(&shared.swap64, r % 1000) - r % 1000;
  }
  shared.swapped += taken;
  return NULL;
}

START_TEST(no_update_is_lost)
{
  memset(&shared, 0, sizeof shared);
  shared.min64 = UINT64_MAX;
  in_threads(THREADS, hammer, NULL);
  expect(shared.add32, THREADS * ROUNDS);
  expect(shared.add64, (int64_t)THREADS * ROUNDS << 33);
  expect(shared.xor32, 0);
  must(shared.or64 == UINT64_MAX);
  expect(shared.min32, -ROUNDS);
  must(shared.max32 == UINT32_MAX);
  expect(shared.max64, ROUNDS);
  must(shared.min64 == 7);
  expect(shared.cas64, THREADS * ROUNDS);
  expect(shared.swap64 + shared.swapped, 0);
}
END_TEST

static struct {
  _Alignas(64) _Atomic int arrived;
  _Alignas(64) int32_t flag[2][16];
  int64_t saw[2];
  int how;
} dekker;

/* These tests end after some rounds, or some time: where others want the processors, too, each of
   the two threads may have to wait for all of them in each round. */
static struct {
  int64_t end;
  _Atomic bool over;
} pair;

static void pair_begin(void)
{
  pair.end = stress_end(2000);
  pair.over = false;
}

/* Both at the same moment, as near as can be. */
static void meet(int *met)
{
  dekker.arrived++;
  *met += 2;
  for (int i = 0; dekker.arrived < *met; i++)
    if (i > 500)
      sched_yield();
}

static void store_then_load(int mine)
{
  int32_t seen[16] = {0}, *other = dekker.flag[!mine];
  if (dekker.how == 3) {
    atomic_store_explicit((_Atomic int32_t *)dekker.flag[mine], 1, memory_order_relaxed);
    ilk_atomic_fence();
    dekker.saw[mine] = atomic_load_explicit((_Atomic int32_t *)other, memory_order_relaxed);
    return;
  }
  ilk_atomic_store_i32(dekker.flag[mine], 1);
  if (dekker.how == 0)
    seen[0] = ilk_atomic_load_i32(other);
  else if (dekker.how == 1)
    seen[0] = ilk_atomic_fetch_max_i32(other, -1); /* changes nothing */
  else
    ilk_atomic_max_i32(seen, other, 16);
  dekker.saw[mine] = seen[0];
}

static void *dekker_run(void *argument)
{
  int mine = argument != NULL, met = 0;
  for (int i = 0; i < ROUNDS / 2 && !pair.over; i++) {
    dekker.flag[mine][0] = 0;
    meet(&met);
    store_then_load(mine);
    meet(&met);
    must(dekker.saw[0] || dekker.saw[1]);
    if (mine && now() > pair.end)
      pair.over = true; /* both threads read it between this meeting and the next */
    meet(&met);
  }
  return NULL;
}

/* Each stores, then loads what the other stores: not both may load the old value. A weaker store
   fails here, on x86 too; so does a fence that is none. */
START_TEST(sequentially_consistent)
{
  dekker.how = _i;
  pair_begin();
  pthread_t threads[2] = {start(dekker_run, NULL), start(dekker_run, &dekker)};
  for (int i = 0; i < 2; i++)
    join(threads[i]);
}
END_TEST

static struct {
  _Alignas(64) int32_t least;
  uint32_t least_u;
  int64_t most;
  uint64_t most_u;
} extremes;

static void *extremes_run(void *argument)
{
  int far = argument ? 2 : 1, met = 0;
  for (int i = 0; i < ROUNDS / 2 && !pair.over; i++) {
    meet(&met);
    must(*(volatile int32_t *)&extremes.least == 0); /* both have it at hand */
    meet(&met);
    ilk_atomic_fetch_min_i32(&extremes.least, -far);
    ilk_atomic_fetch_min_u32(&extremes.least_u, -far);
    ilk_atomic_fetch_max_i64(&extremes.most, far);
    ilk_atomic_fetch_max_u64(&extremes.most_u, far);
    meet(&met);
    must(extremes.least == -2 && extremes.least_u == UINT32_MAX - 1 && extremes.most == 2 &&
         extremes.most_u == 2);
    if (argument && now() > pair.end)
      pair.over = true; /* as above */
    meet(&met);
    if (argument) {
      extremes.least = 0;
      extremes.least_u = UINT32_MAX;
      extremes.most = extremes.most_u = 0;
    }
  }
  return NULL;
}

/* Two at the same moment: the more extreme value wins, whichever comes first. */
START_TEST(further_of_two)
{
  dekker.arrived = 0;
  pair_begin();
  extremes.least_u = UINT32_MAX;
  pthread_t threads[2] = {start(extremes_run, NULL), start(extremes_run, &extremes)};
  for (int i = 0; i < 2; i++)
    join(threads[i]);
}
END_TEST

static int64_t letter; /* plain memory that the atomics order */
static int32_t flag;

static void *read_letter(void *unused)
{
  (void)unused;
  for (int i = 1; i <= ROUNDS / 4 && !pair.over; i++) {
    while (ilk_atomic_load_i32(&flag) != i)
      if (below(8) == 0)
        sched_yield();
    must(letter == i);
    expect(ilk_atomic_fence(), ILK_OK);
    if (now() > pair.end)
      pair.over = true; /* before the other thread sees the flag */
    ilk_atomic_fetch_min_i32(&flag, -i);
  }
  return NULL;
}

START_TEST(missing_release_or_acquire_nsync_88fa032)
{
  pair_begin();
  pthread_t reader = start(read_letter, NULL);
  for (int i = 1; i <= ROUNDS / 4 && !pair.over; i++) {
    letter = i;
    ilk_atomic_fetch_max_i32(&flag, i);
    while (ilk_atomic_load_i32(&flag) != -i)
      if (below(8) == 0)
        sched_yield();
  }
  join(reader);
}
END_TEST

/* --- one element of any type ---------------------------------------------------------------- */

static const struct {
  int letter, bits;
  bool is_signed, is_float;
} types[] = {{'b', 8, true, false},   {'B', 8, false, false},  {'h', 16, true, false},
             {'H', 16, false, false}, {'i', 32, true, false},  {'I', 32, false, false},
             {'q', 64, true, false},  {'Q', 64, false, false}, {'e', 16, true, true},
             {'f', 32, true, true},   {'d', 64, true, true}};

static bool little_endian(void)
{
  const uint16_t one = 1;
  return *(const uint8_t *)&one == 1;
}

static bool less(uint64_t a, uint64_t b, bool is_signed)
{
  return is_signed ? (int64_t)a < (int64_t)b : a < b;
}

/* What the operation makes of it: its low bits count. Whether there is such an operation. */
static bool applied(int operation, bool is_signed, uint64_t old, uint64_t a, uint64_t b,
                    uint64_t *new)
{
  switch (operation) {
  case ILK_ATOMIC_LOAD: *new = old; return true;
  case ILK_ATOMIC_STORE:
  case ILK_ATOMIC_EXCHANGE: *new = a; return true;
  case ILK_ATOMIC_COMPARE_EXCHANGE: *new = old == a ? b : old; return true;
  case ILK_ATOMIC_ADD: *new = old + a; return true;
  case ILK_ATOMIC_SUB: *new = old - a; return true;
  case ILK_ATOMIC_AND: *new = old &a; return true;
  case ILK_ATOMIC_OR: *new = old | a; return true;
  case ILK_ATOMIC_XOR: *new = old ^ a; return true;
  case ILK_ATOMIC_MIN:
  case ILK_ATOMIC_NANMIN: *new = less(a, old, is_signed) ? a : old; return true;
  case ILK_ATOMIC_MAX:
  case ILK_ATOMIC_NANMAX: *new = less(old, a, is_signed) ? a : old; return true;
  case ILK_ATOMIC_INC: *new = !less(old, a, is_signed) ? 0 : old + 1; return true;
  case ILK_ATOMIC_DEC: *new = old == 0 || less(a, old, is_signed) ? a : old - 1; return true;
  default: return false;
  }
}

/* The value of that many low bits, in 64. */
static uint64_t fitted(int64_t value, int bits, bool is_signed)
{
  uint64_t high = (uint64_t)value << (64 - bits);
  return is_signed ? (uint64_t)((int64_t)high >> (64 - bits)) : high >> (64 - bits);
}

static void expect_bits(uint64_t actual, uint64_t wanted, int bits)
{
  must(((actual ^ wanted) << (64 - bits)) == 0);
}

static uint64_t low_bits(const void *address, int bits)
{
  uint64_t all = 0;
  for (int byte = 0; byte < bits / 8; byte++) /* as a number, whatever the byte order */
    all |= (uint64_t)((const uint8_t *)address)[little_endian() ? byte : bits / 8 - 1 - byte]
           << 8 * byte;
  return all;
}

static void put(void *address, uint64_t value, int bits)
{
  for (int byte = 0; byte < bits / 8; byte++)
    ((uint8_t *)address)[little_endian() ? byte : bits / 8 - 1 - byte] =
      (uint8_t)(value >> 8 * byte);
}

START_TEST(apply_to_integers)
{
  int bits = types[_i].bits, size = bits / 8;
  bool is_signed = types[_i].is_signed;
  for (int i = 0; i < LENGTH(some_values); i++)
    for (int j = 0; j < LENGTH(some_values); j++)
      for (int operation = 0; operation <= ILK_ATOMIC_DEC; operation++) {
        uint64_t old = fitted(some_values[i], bits, is_signed),
                 a = fitted(some_values[j], bits, is_signed), new;
        uint64_t b = fitted(some_values[(i + j) % LENGTH(some_values)], bits, is_signed);
        _Alignas(16) uint8_t room[32], operand[17], previous[9];
        memset(room, 0xa5, sizeof room);
        put(room + 16, old, bits);
        put(operand + 1, a, bits); /* these may be misaligned */
        put(operand + 1 + size, b, bits);
        must(applied(operation, is_signed, old, a, b, &new));
        expect(ilk_atomic_apply(room + 16, types[_i].letter, operation, operand + 1, previous + 1),
               ILK_OK);
        expect_bits(low_bits(room + 16, bits), new, bits);
        expect_bits(low_bits(previous + 1, bits), old, bits);
        for (int k = 0; k < 32; k++)
          must(k / size == 16 / size || room[k] == 0xa5);
      }
}
END_TEST

/* What becomes of a float `o`, by the number of the operation; a compare-and-swap stores 7. */
#define WANTED(o, v)                                                                               \
  {o,                                                                                              \
   v,                                                                                              \
   v,                                                                                              \
   o == v ? 7 : o,                                                                                 \
   o + v,                                                                                          \
   o - v,                                                                                          \
   0,                                                                                              \
   0,                                                                                              \
   0,                                                                                              \
   isnan(o)            ? o                                                                         \
   : isnan(v) || v < o ? v                                                                         \
                       : o,                                                                        \
   isnan(o)            ? o                                                                         \
   : isnan(v) || v > o ? v                                                                         \
                       : o,                                                                        \
   isnan(v) || o <= v ? o : v,                                                                     \
   isnan(v) || o >= v ? o : v}

/* Of old and operand, for a float; NAN is made by arithmetic too. */
START_TEST(apply_to_floats)
{
  const double some[] = {0.0, -0.0, 1.5, -2.25, INFINITY, -INFINITY, NAN};
  for (int i = 0; i < LENGTH(some); i++)
    for (int j = 0; j < LENGTH(some); j++) {
      double o = some[i], v = some[j];
      double wanted[] = WANTED(o, v);
      for (int operation = 0; operation <= ILK_ATOMIC_NANMAX; operation++) {
        double d = o, d_operand[] = {v, 7}, d_previous = 99;
        float f = (float)o, f_operand[] = {(float)v, 7}, f_previous = 99;
        if (operation >= ILK_ATOMIC_AND && operation <= ILK_ATOMIC_XOR)
          continue;
        expect(ilk_atomic_apply(&d, 'd', operation, d_operand, &d_previous), ILK_OK);
        expect(ilk_atomic_apply(&f, 'f', operation, f_operand, &f_previous), ILK_OK);
        float f_expected = (float)wanted[operation], f_old = (float)o;
        must(memcmp(&d, &wanted[operation], sizeof d) == 0 ||
             (isnan(d) && isnan(wanted[operation])));
        must(memcmp(&f, &f_expected, sizeof f) == 0 || (isnan(f) && isnan(f_expected)));
        must(memcmp(&d_previous, &o, sizeof o) == 0 &&
             memcmp(&f_previous, &f_old, sizeof f_old) == 0);
      }
    }
}
END_TEST

/* A half's value, and what a number becomes as one: to nearest, a tie to even. */

static double half(uint16_t bits)
{
  int exponent = bits >> 10 & 31, digits = bits & 0x3ff;
  double magnitude = exponent == 31 ? (digits ? NAN : INFINITY)
                     : exponent     ? ldexp(1024 + digits, exponent - 25)
                                    : ldexp(digits, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static double as_half(double number)
{
  int exponent;
  if (isnan(number) || isinf(number) || number == 0)
    return number;
  frexp(number, &exponent);
  double unit = ldexp(1, exponent > -13 ? exponent - 11 : -24),
         nearest = nearbyint(number / unit) * unit;
  return fabs(nearest) > 65504 ? copysign(INFINITY, number) : nearest;
}

/* Every half, with some. */
START_TEST(apply_to_halfs)
{
  static const uint16_t some[] = {0,      0x8000, 1,      0x8001, 0x03ff, 0x0400, 0x83ff,
                                  0x2c01, 0xac00, 0x3bff, 0x3c00, 0xbc01, 0x4f6d, 0x5001,
                                  0xd00f, 0x7800, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e12};
  const uint16_t seven = 0x4700;
  must(half(seven) == 7 && half(0x7bff) == 65504 && isnan(half(0x7e12)));
  for (int bits = _i; bits < 0x10000; bits += 16)
    for (int j = 0; j < LENGTH(some); j++) {
      uint16_t old = (uint16_t)bits, operand[] = {some[j], seven};
      double o = half(old), v = half(*operand), wanted[] = WANTED(o, v);
      for (int operation = 0; operation <= ILK_ATOMIC_NANMAX; operation++) {
        uint16_t h = old, previous = 99;
        if (operation >= ILK_ATOMIC_AND && operation <= ILK_ATOMIC_XOR)
          continue;
        expect(ilk_atomic_apply(&h, 'e', operation, operand, &previous), ILK_OK);
        expect(previous, old);
        double is = half(h), must_be = as_half(wanted[operation]);
        must(isnan(must_be) ? isnan(is) : is == must_be && !signbit(is) == !signbit(must_be));
        must((operation >= ILK_ATOMIC_COMPARE_EXCHANGE && operation <= ILK_ATOMIC_SUB) ||
             h == old || h == *operand);
      }
    }
}
END_TEST

START_TEST(apply_refuses)
{
  int64_t room[3] = {1, 2, 3}, one = 1, previous = 77;
  int letter = types[_i].letter, size = types[_i].bits / 8;
  REFUSED(ilk_atomic_apply(NULL, letter, ILK_ATOMIC_ADD, &one, &previous), ILK_EINVAL);
  for (int offset = 1; offset < size; offset++)
    REFUSED(ilk_atomic_apply((char *)room + offset, letter, ILK_ATOMIC_ADD, &one, &previous),
            ILK_EINVAL);
  REFUSED(ilk_atomic_apply(room, letter, ILK_ATOMIC_ADD, NULL, &previous), ILK_EINVAL);
  REFUSED(ilk_atomic_apply(room, letter, -1, &one, &previous), ILK_EINVAL);
  REFUSED(ilk_atomic_apply(room, letter, ILK_ATOMIC_DEC + 1, &one, &previous), ILK_EINVAL);
  REFUSED(ilk_atomic_apply(room, 'g', ILK_ATOMIC_ADD, &one, &previous), ILK_EINVAL);
  REFUSED(ilk_atomic_apply(room, letter + 256, ILK_ATOMIC_ADD, &one, &previous), ILK_EINVAL);
  static const int integers_only[] = {ILK_ATOMIC_AND, ILK_ATOMIC_OR, ILK_ATOMIC_XOR, ILK_ATOMIC_INC,
                                      ILK_ATOMIC_DEC};
  for (int i = 0; types[_i].is_float && i < LENGTH(integers_only); i++)
    REFUSED(ilk_atomic_apply(room, letter, integers_only[i], &one, &previous), ILK_EINVAL);
  must(room[0] == 1 && room[1] == 2 && room[2] == 3 && previous == 77);
  expect(ilk_atomic_apply(room, letter, ILK_ATOMIC_LOAD, NULL, NULL), ILK_OK);
}
END_TEST

static struct {
  _Alignas(64) uint8_t bytes[4]; /* neighbours, each its thread's own but the last */
  uint16_t pair[2];
  uint16_t half;
  float f32;
  double f64;
  _Atomic int number;
} applies;

static void *hammer_apply(void *argument)
{
  (void)argument;
  int mine = applies.number++ % 3;
  uint8_t one = 1, limit = 6, seen;
  uint16_t one16 = 1, one_h = 0x3c00;
  float one_f = 1;
  double one_d = 1;
  for (int i = 0; i < ROUNDS; i++) {
    expect(ilk_atomic_apply(&applies.bytes[mine], 'B', ILK_ATOMIC_ADD, &one, &seen), ILK_OK);
    ilk_atomic_apply(&applies.bytes[3], 'b', ILK_ATOMIC_INC, &limit, &seen);
    must(seen <= limit);
    ilk_atomic_apply(&applies.pair[1], 'H', ILK_ATOMIC_SUB, &one16, NULL);
    ilk_atomic_apply(&applies.half, 'e', i % 2 ? ILK_ATOMIC_SUB : ILK_ATOMIC_ADD, &one_h, NULL);
    ilk_atomic_apply(&applies.f32, 'f', ILK_ATOMIC_ADD, &one_f, NULL);
    ilk_atomic_apply(&applies.f64, 'd', ILK_ATOMIC_SUB, &one_d, NULL);
  }
  return NULL;
}

START_TEST(no_update_by_apply_is_lost)
{
  memset(&applies, 0, sizeof applies);
  in_threads(THREADS, hammer_apply, NULL);
  for (int k = 0; k < 3; k++)
    expect(applies.bytes[k], (uint8_t)(ROUNDS * ((THREADS + 2 - k) / 3)));
  expect(applies.bytes[3], (int64_t)THREADS * ROUNDS % 7);
  must(applies.pair[0] == 0 && applies.pair[1] == (uint16_t)(-THREADS * ROUNDS));
  expect(applies.half, 0);
  expect((int64_t)applies.f32, (int64_t)THREADS * ROUNDS);
  expect((int64_t)applies.f64, -(int64_t)THREADS * ROUNDS);
}
END_TEST

/* --- slices ------------------------------------------------------------------------------- */

enum { LONGEST = 150 };

/* Chosen to meet: equal, neighbours, and what is special about floats. */
static int32_t some_i32(void)
{
  static const int32_t special[] = {INT32_MIN, INT32_MAX, 0, -1, 1};
  return below(8) ? (int32_t)below(7) - 3 : special[below(5)];
}

static int64_t some_i64(void)
{
  static const int64_t special[] = {INT64_MIN, INT64_MAX, 0, INT64_C(1) << 32, -(INT64_C(1) << 32)};
  return below(8) ? below(7) - 3 : special[below(5)];
}

static double some_f64(void)
{
  const double special[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0, -0.0, DBL_MAX, DBL_MIN / 8};
  return below(6) ? (double)(below(7) - 3) / 2 : special[below(8)];
}

static float some_f32(void)
{
  return (float)some_f64();
}

/* numpy.minimum and numpy.maximum, and what stays when neither is less. */
#define SCALAR_INTEGER(T, TYPE, UNSIGNED)                                                          \
  static TYPE one_add_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return (TYPE)((UNSIGNED)d + (UNSIGNED)s);                                                      \
  }                                                                                                \
  static TYPE one_min_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return s < d ? s : d;                                                                          \
  }                                                                                                \
  static TYPE one_max_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return s > d ? s : d;                                                                          \
  }
#define SCALAR_FLOAT(T, TYPE, UNSIGNED)                                                            \
  static TYPE one_add_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return d + s;                                                                                  \
  }                                                                                                \
  static TYPE one_min_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return isnan(d) ? d : isnan(s) || s < d ? s : d;                                               \
  }                                                                                                \
  static TYPE one_max_##T(TYPE d, TYPE s)                                                          \
  {                                                                                                \
    return isnan(d) ? d : isnan(s) || s > d ? s : d;                                               \
  }

SCALAR_INTEGER(i32, int32_t, uint32_t)
SCALAR_INTEGER(i64, int64_t, uint64_t)
SCALAR_FLOAT(f32, float, uint32_t)
SCALAR_FLOAT(f64, double, uint64_t)

/* The sign of a NaN that an addition makes is not said. */
#define SAME_BITS(a, b) (((a) != (a) && (b) != (b) && adds) || memcmp(&(a), &(b), sizeof(a)) == 0)

/* Random slices, also overlapping, in an array of which the rest must stay. */
#define CHECK_SLICES(op, T, TYPE)                                                                  \
  static void slices_##op##_##T(void)                                                              \
  {                                                                                                \
    bool adds = strcmp(#op, "add") == 0;                                                           \
    for (int round = 0; round < 1500; round++) {                                                   \
      int room = 2 * LONGEST + 20;                                                                 \
      TYPE *real = malloc((size_t)room * sizeof *real), wanted[2 * LONGEST + 20];                  \
      bool calm = below(2); /* most stay as they are, as a search likes it */                      \
      for (int i = 0; i < room; i++)                                                               \
        real[i] = wanted[i] = calm ? (TYPE)(below(50) == 0 ? some_##T() : 2) : some_##T();         \
      int64_t n = below(LONGEST + 1), d = below(room - n + 1), s = below(room - n + 1);            \
      if (below(3) == 0) /* close together */                                                      \
        s = d + below(9) - 4 < 0 || d + 4 + n > room ? d : d + below(5);                           \
      if (below(4) == 0) { /* at the end of the memory */                                          \
        s = room - n;                                                                              \
        d = room - n - below(room - n + 1);                                                        \
      }                                                                                            \
      for (int64_t k = 0; k < n; k++)                                                              \
        wanted[d + k] = one_##op##_##T(wanted[d + k], wanted[s + k]);                              \
      expect(ilk_atomic_##op##_##T(real + d, real + s, n), ILK_OK);                                \
      for (int i = 0; i < room; i++)                                                               \
        must(SAME_BITS(real[i], wanted[i]));                                                       \
      free(real);                                                                                  \
    }                                                                                              \
  }

#define EACH_SLICE(X)                                                                              \
  X(add, i32, int32_t)                                                                             \
  X(add, i64, int64_t)                                                                             \
  X(add, f32, float)                                                                               \
  X(add, f64, double)                                                                              \
  X(min, i32, int32_t)                                                                             \
  X(min, i64, int64_t)                                                                             \
  X(min, f32, float)                                                                               \
  X(min, f64, double)                                                                              \
  X(max, i32, int32_t) X(max, i64, int64_t) X(max, f32, float) X(max, f64, double)

EACH_SLICE(CHECK_SLICES)

static void (*const slices[])(void) = {
#define NAME(op, T, TYPE) slices_##op##_##T,
  EACH_SLICE(NAME)};

START_TEST(slices_as_one_after_the_other)
{
  slices[_i]();
}
END_TEST

#define SLICE_CALL(op, T, TYPE) {ilk_atomic_##op##_##T, sizeof(TYPE)},
static const struct {
  int (*call)(void *, void *, int64_t);
  size_t size;
} slice_calls[] = {EACH_SLICE(SLICE_CALL)};

START_TEST(slices_refuse)
{
  int64_t room[8] = {1, 2, 3, 4, 5, 6, 7, 8}, copy[8];
  memcpy(copy, room, sizeof room);
  int (*call)(void *, void *, int64_t) = slice_calls[_i].call;
  REFUSED(call(NULL, room, 1), ILK_EINVAL);
  REFUSED(call(room, NULL, 1), ILK_EINVAL);
  REFUSED(call(room, room + 4, -1), ILK_EINVAL);
  REFUSED(call(room, room + 4, INT64_MIN), ILK_EINVAL);
  for (size_t offset = 1; offset < slice_calls[_i].size; offset++) {
    REFUSED(call((char *)room + offset, room + 4, 1), ILK_EINVAL);
    REFUSED(call(room, (char *)room + offset, 1), ILK_EINVAL);
  }
  expect(call(NULL, NULL, 0), ILK_OK);
  expect(call(room, room, 0), ILK_OK);
  must(memcmp(copy, room, sizeof room) == 0);
}
END_TEST

static uint64_t bits_of(double value)
{
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* A NaN wins; of two the first; and it keeps its payload. Zeros do not replace each other. */
START_TEST(nan_and_zero)
{
  uint64_t nans[] = {UINT64_C(0x7ff8000000000123), UINT64_C(0xfff8000000000456)};
  double nan[2];
  memcpy(nan, nans, sizeof nan);
  double d[] = {1, nan[0], nan[0], 0.0, -0.0, nan[0]},
         s[] = {nan[1], 1, nan[1], -0.0, 0.0, -INFINITY};
  uint64_t wanted[] = {nans[1], nans[0], nans[0], bits_of(0.0), bits_of(-0.0), nans[0]};
  double d2[6];
  memcpy(d2, d, sizeof d);
  expect(ilk_atomic_min_f64(d, s, 6), ILK_OK);
  expect(ilk_atomic_max_f64(d2, s, 6), ILK_OK);
  must(memcmp(d, wanted, sizeof d) == 0);
  must(memcmp(d2, wanted, sizeof d2) == 0);
}
END_TEST

/* A sum of prefixes: each source element is read when its turn comes. */
START_TEST(overlap_is_defined)
{
  int64_t up[200], down[200];
  for (int i = 0; i < 200; i++)
    up[i] = down[i] = 1;
  expect(ilk_atomic_add_i64(up + 1, up, 199), ILK_OK);
  expect(ilk_atomic_add_i64(down, down + 1, 199), ILK_OK);
  for (int i = 0; i < 200; i++) {
    expect(up[i], i + 1);
    expect(down[i], i < 199 ? 2 : 1);
  }
  float spread[300];
  for (int i = 0; i < 300; i++)
    spread[i] = i == 70 ? -5 : (float)i;
  expect(ilk_atomic_min_f32(spread + 1, spread, 299), ILK_OK);
  for (int i = 0; i < 300; i++)
    must(spread[i] == (i < 70 ? 0 : -5)); /* each the least of all before it */
}
END_TEST

enum { CELLS = 100, SLICES = TSAN ? 100 : 800 };
static struct {
  int32_t add_i32[CELLS], min_i32[CELLS], max_i32[CELLS];
  int64_t add_i64[CELLS], min_i64[CELLS], max_i64[CELLS];
  float add_f32[CELLS], min_f32[CELLS], max_f32[CELLS];
  double add_f64[CELLS], min_f64[CELLS], max_f64[CELLS];
  _Atomic int number;
} slice;

#define FILL(T, TYPE, value)                                                                       \
  TYPE T[CELLS], minus_##T[CELLS];                                                                 \
  for (int k = 0; k < CELLS; k++) {                                                                \
    T[k] = (TYPE)(value);                                                                          \
    minus_##T[k] = -(T[k]);                                                                        \
  }                                                                                                \
  expect(ilk_atomic_min_##T(slice.min_##T, minus_##T, CELLS), ILK_OK);                             \
  expect(ilk_atomic_max_##T(slice.max_##T, T, CELLS), ILK_OK);                                     \
  for (int k = 0; k < CELLS; k++)                                                                  \
    T[k] = 1;                                                                                      \
  expect(ilk_atomic_add_##T(slice.add_##T, T, CELLS), ILK_OK)

static void *hammer_slices(void *argument)
{
  (void)argument;
  int number = slice.number++;
  for (int round = 1; round <= SLICES; round++) {
    /* In another order at each cell, in a way. */
    int mine = number + THREADS * (round * 7919 % SLICES);
    FILL(i32, int32_t, (mine * (k + 1)) % 4001);
    FILL(i64, int64_t, (mine * (k + 1)) % 4001);
    FILL(f32, float, (mine * (k + 1)) % 4001);
    FILL(f64, double, (mine * (k + 1)) % 4001);
  }
  return NULL;
}

START_TEST(no_update_of_a_slice_is_lost)
{
  memset(&slice, 0, sizeof slice);
  in_threads(THREADS, hammer_slices, NULL);
  for (int k = 0; k < CELLS; k++) {
    int most = 0;
    for (int mine = 0; mine < THREADS * SLICES; mine++)
      most = (mine * (k + 1)) % 4001 > most ? (mine * (k + 1)) % 4001 : most;
#define CHECK(T)                                                                                   \
  expect((int64_t)slice.add_##T[k], THREADS *SLICES);                                              \
  expect((int64_t)slice.max_##T[k], most);                                                         \
  expect((int64_t)slice.min_##T[k], -most)
    CHECK(i32);
    CHECK(i64);
    CHECK(f32);
    CHECK(f64);
  }
}
END_TEST

int main(void)
{
  Suite *s = suite_create("array_atomics");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_loop_test(calls, each_operation, 0, LENGTH(some_values));
  tcase_add_test(calls, null_and_misaligned);
  tcase_add_loop_test(calls, apply_to_integers, 0, LENGTH(types) - 3);
  tcase_add_test(calls, apply_to_floats);
  tcase_add_loop_test(calls, apply_to_halfs, 0, 16);
  tcase_add_loop_test(calls, apply_refuses, 0, LENGTH(types));
  tcase_add_loop_test(calls, slices_as_one_after_the_other, 0, LENGTH(slices));
  tcase_add_loop_test(calls, slices_refuse, 0, LENGTH(slice_calls));
  tcase_add_test(calls, nan_and_zero);
  tcase_add_test(calls, overlap_is_defined);

  TCase *load = test_case(s, "load", 30);
  tcase_add_test(load, no_update_is_lost);
  tcase_add_test(load, no_update_by_apply_is_lost);
  tcase_add_loop_test(load, sequentially_consistent, 0, 4);
  tcase_add_test(load, further_of_two);
  tcase_add_test(load, missing_release_or_acquire_nsync_88fa032);
  tcase_add_test(load, no_update_of_a_slice_is_lost);
  return run_suite(s);
}
