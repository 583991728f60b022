/* Atomic operations on elements of numpy arrays: interlock.atomic. This file uses numpy as an
   extension module does that was compiled with numpy's headers: through the array of addresses
   `_ARRAY_API`, and through the first fields of arrays and dtypes. What each index means, and those
   fields, are numpy's ABI, whose version is checked. */
#include <string.h>

#include "python.h"

/* --- what is used of numpy's ABI ------------------------------------------------------------- */

enum {
  NUMPY_ABI_VERSION = 0,    /* unsigned (void) */
  NUMPY_ARRAY_TYPE = 2,     /* numpy.ndarray */
  NUMPY_INTEGER_TYPE = 12,  /* numpy.integer */
  NUMPY_FLOATING_TYPE = 16, /* numpy.floating */
  NUMPY_SCALAR = 60 /* object (const void *value, object dtype, object base): a new scalar */
};

#define NUMPY_ABI_1 0x1000009 /* numpy 1.x */
#define NUMPY_ABI_2 0x2000000 /* numpy 2.x */

/* After Python's header. */
struct array {
  char *data;
  int dimensions;
  intptr_t *shape;
  intptr_t *strides;
  object base;
  object dtype;
  int flags;
};

#define ARRAY_ALIGNED 0x100
#define ARRAY_WRITEABLE 0x400

struct dtype {
  object scalar_type;
  char kind;
  char character;
  char byte_order; /* '=': this machine's; '|': of one byte */
  char flags;
  int number;
};

static _Atomic(void *const *) numpy; /* the array of addresses, or NULL */

int ilk_python_numpy(void *api)
{
  void *const *table = api;
  if (!table)
    return fail(ILK_EINVAL);
  unsigned version = ((unsigned (*)(void))(uintptr_t)table[NUMPY_ABI_VERSION])();
  if (version != NUMPY_ABI_1 && version != NUMPY_ABI_2)
    return fail(ILK_ENOTSUP);
  store_release(&numpy, table); /* pairs with apply() */
  return ILK_OK;
}

/* --- the types of elements ----------------------------------------------------------- */

enum class { CLASS_NONE, CLASS_BOOL, CLASS_SIGNED, CLASS_UNSIGNED, CLASS_FLOAT };

struct element_type {
  unsigned char class;
  unsigned char size;
  char letter; /* see ilk_atomic_apply() */
};

#define LONG_LETTERS(small, large) (sizeof(long) == 8 ? (large) : (small))

/* Indexed by numpy's number of the type. Half floats are left to Python. */
static const struct element_type element_types[] = {
  {CLASS_BOOL, 1, 'B'},
  {CLASS_SIGNED, 1, 'b'},
  {CLASS_UNSIGNED, 1, 'B'},
  {CLASS_SIGNED, sizeof(short), 'h'},
  {CLASS_UNSIGNED, sizeof(short), 'H'},
  {CLASS_SIGNED, sizeof(int), 'i'},
  {CLASS_UNSIGNED, sizeof(int), 'I'},
  {CLASS_SIGNED, sizeof(long), LONG_LETTERS('i', 'q')},
  {CLASS_UNSIGNED, sizeof(long), LONG_LETTERS('I', 'Q')},
  {CLASS_SIGNED, sizeof(long long), 'q'},
  {CLASS_UNSIGNED, sizeof(long long), 'Q'},
  {CLASS_FLOAT, sizeof(float), 'f'},
  {CLASS_FLOAT, sizeof(double), 'd'},
};

static struct element_type type_of_elements(object dtype)
{
  const struct dtype *d = (const struct dtype *)((char *)dtype + python_header);
  bool known = d->number >= 0 && (size_t)d->number < sizeof element_types / sizeof *element_types &&
               (d->byte_order == '=' || d->byte_order == '|');
  return known ? element_types[d->number] : (struct element_type){CLASS_NONE, 0, 0};
}

/* ilk_atomic_apply() refuses what cannot be done with floats. But it takes bools for numbers, so
   what cannot be done with bools is left to Python here. */
static bool is_for_bools(int64_t operation)
{
  switch (operation) {
  case ILK_ATOMIC_LOAD:
  case ILK_ATOMIC_STORE:
  case ILK_ATOMIC_EXCHANGE:
  case ILK_ATOMIC_COMPARE_EXCHANGE:
  case ILK_ATOMIC_AND:
  case ILK_ATOMIC_OR:
  case ILK_ATOMIC_XOR: return true;
  default: return false;
  }
}

/* --- arguments: the functions return false for what Python is to judge -------------------- */

/* True for numpy's own subtypes, whose numbers convert without side effects. A user's subclass,
   which lives on the heap, may run code that changes the array. */
static bool is_numpys(object o, object type)
{
  return python.is_subtype(type_of(o), type) && !(python.type_flags(type_of(o)) & TYPE_ON_HEAP);
}

/* An integer: an int, or one of numpy's. */
static bool is_integer(object o, void *const *api, int64_t *value)
{
  if (likely(type_of(o) == python.int_type))
    return is_int(o, value);
  if (!is_numpys(o, api[NUMPY_INTEGER_TYPE]))
    return false;
  object number = python.index(o);
  if (!number) {
    python.clear_error();
    return false;
  }
  bool ok = is_int(number, value);
  python.decref(number);
  return ok;
}

static bool is_double(object o, void *const *api, double *value)
{
  bool has_value = type_of(o) == python.float_type || type_of(o) == python.int_type ||
                   type_of(o) == type_of(python.true_object) ||
                   is_numpys(o, api[NUMPY_FLOATING_TYPE]);
  if (!has_value) { /* one of numpy's integers: durations are among them, but have no index */
    int64_t integer;
    if (!is_integer(o, api, &integer))
      return false;
    *value = (double)integer;
    return true;
  }
  *value = python.float_value(o);
  if (unlikely(*value == -1 && python.error())) {
    python.clear_error();
    return false;
  }
  return true;
}

/* An unsigned number that int64_t cannot hold. */
static bool is_large(object o, uint64_t *value)
{
  object number = python.index(o);
  if (number) {
    *value = python.unsigned_value(number);
    python.decref(number);
  }
  bool ok = number && !(*value == UINT64_MAX && python.error());
  if (!ok)
    python.clear_error();
  return ok;
}

/* Stores an operand in the form of an element. */
static bool store_operand(void *place, struct element_type type, object value, void *const *api)
{
  if (type.class == CLASS_FLOAT) {
    double number;
    if (!is_double(value, api, &number))
      return false;
    float rounded = (float)number; /* an infinity if it is too large, as in numpy */
    memcpy(place, type.size == sizeof(float) ? (void *)&rounded : (void *)&number, type.size);
    return true;
  }
  int64_t number;
  if (type_of(value) == type_of(python.true_object))
    number = value == python.true_object;
  else if (!is_integer(value, api, &number))
    return type.class == CLASS_UNSIGNED && type.size == 8 && type_of(value) == python.int_type &&
           is_large(value, place);
  int bits = type.size * 8;
  if (type.class == CLASS_BOOL)
    number = number != 0;
  else if (type.class == CLASS_SIGNED && bits < 64 &&
           (number < -(INT64_C(1) << (bits - 1)) || number >= INT64_C(1) << (bits - 1)))
    return false;
  else if (type.class == CLASS_UNSIGNED &&
           (number < 0 || (bits < 64 && number >= INT64_C(1) << bits)))
    return false;
  switch (type.size) {
  case 1: memcpy(place, &(uint8_t){(uint8_t)number}, 1); break;
  case 2: memcpy(place, &(uint16_t){(uint16_t)number}, 2); break;
  case 4: memcpy(place, &(uint32_t){(uint32_t)number}, 4); break;
  default: memcpy(place, &number, 8);
  }
  return true;
}

#define DIMENSIONS_MAX 64 /* of every numpy */

/* Stores the index as integers, one for each dimension, and returns their number. 0: for Python to
   judge. */
static int indices_of(object index, void *const *api, int64_t *indices)
{
  if (likely(type_of(index) != python.tuple_type))
    return is_integer(index, api, indices) ? 1 : 0;
  intptr_t n = python.tuple_size(index);
  if (n > DIMENSIONS_MAX)
    return 0;
  for (intptr_t i = 0; i < n; i++)
    if (!is_integer(python.tuple_item(index, i), api, &indices[i]))
      return 0;
  return (int)n;
}

/* The element's address, or NULL: an index is out of range, or the element is misaligned. */
static void *element_of(const struct array *array, const int64_t *indices, unsigned size)
{
  char *address = array->data;
  for (int i = 0; i < array->dimensions; i++) {
    intptr_t length = array->shape[i];
    int64_t k = indices[i] < 0 ? indices[i] + length : indices[i];
    if (unlikely(k < 0 || k >= length))
      return NULL;
    address += (intptr_t)k * array->strides[i];
  }
  return likely((uintptr_t)address % size == 0) ? address : NULL;
}

/* --- the function --------------------------------------------------------------------- */

/* True if this order may be asked for. Whatever is asked for, every operation is seq_cst. */
static bool is_order(object order, int64_t operation)
{
  static const struct {
    const char *name;
    bool load, store;
  } orders[] = {{"seq_cst", true, true},
                {"relaxed", true, true},
                {"acquire", true, false},
                {"release", false, true},
                {"acq_rel", false, false}};
  if (type_of(order) != python.str_type)
    return false;
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
    if (python.compare_string(order, orders[i].name) == 0)
      return operation == ILK_ATOMIC_LOAD ? orders[i].load
                                          : operation != ILK_ATOMIC_STORE || orders[i].store;
  return false;
}

/* atomic._apply(operation, array, index, order, *values). False: nothing has been done, and no
   exception is set. */
static bool apply(object const *values, intptr_t n, object *result)
{
  void *const *api = load_acquire(&numpy); /* pairs with ilk_python_numpy() */
  int64_t operation, indices[DIMENSIONS_MAX];
  if (!api || n < 4 || !is_int(values[0], &operation) ||
      type_of(values[1]) != api[NUMPY_ARRAY_TYPE] || !is_order(values[3], operation))
    return false;
  if (n - 4 != (operation == ILK_ATOMIC_LOAD               ? 0
                : operation == ILK_ATOMIC_COMPARE_EXCHANGE ? 2
                                                           : 1))
    return false;
  const struct array *array = (const struct array *)((char *)values[1] + python_header);
  struct element_type type = type_of_elements(array->dtype);
  if (type.class == CLASS_NONE || (type.class == CLASS_BOOL && !is_for_bools(operation)))
    return false;
  int required = ARRAY_ALIGNED | (operation == ILK_ATOMIC_LOAD ? 0 : ARRAY_WRITEABLE);
  if ((array->flags & required) != required || !array->dimensions ||
      indices_of(values[2], api, indices) != array->dimensions)
    return false;
  uint64_t operands[2] = {0}, old = 0;
  for (intptr_t i = 4; i < n; i++)
    if (!store_operand((char *)operands + (i - 4) * type.size, type, values[i], api))
      return false;
  void *element = element_of(array, indices, type.size);
  if (!element || ilk_atomic_apply(element, type.letter, (int)operation, operands, &old) != ILK_OK)
    return false;
  object (*scalar)(const void *, object, object) =
    (object(*)(const void *, object, object))(uintptr_t)api[NUMPY_SCALAR];
  *result =
    operation == ILK_ATOMIC_STORE ? reference(python.none) : scalar(&old, array->dtype, NULL);
  return true;
}

/* `self` is the function in Python. */
object python_atomic_apply(object self, object const *values, intptr_t n)
{
  object result;
  return likely(apply(values, n, &result))
           ? result
           : call_function(self, &(struct arguments){values, n, NULL});
}
