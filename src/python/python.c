#include "python.h"

#include <string.h>

struct python python;
intptr_t python_header;

/* --- how a call reads its arguments -------------------------------------------------- */

/* 1, 0; -1: Python is to judge. */
static int truth(object o)
{
  if (o == python.true_object || o == python.false_object)
    return o == python.true_object;
  int64_t value;
  return is_int(o, &value) ? value != 0 : -1;
}

/* True if the timeout is valid for every method, or if it is -1 and `may_be_forever`. */
static bool is_timeout(object o, bool may_be_forever)
{
  int64_t seconds;
  double value;
  if (type_of(o) == python.float_type)
    value = python.float_value(o); /* an exact float: it cannot fail */
  else if (is_int(o, &seconds))
    value = (double)seconds;
  else
    return false;
  /* Less than threading.TIMEOUT_MAX on every platform. False for a NaN. */
  return (value >= 0 && value <= 1e6) || (value == -1 && may_be_forever);
}

enum how how_to_wait(const struct arguments *arguments, intptr_t skip, const char *blocking_name,
                     bool takes_none)
{
  object blocking = NULL, timeout = NULL;
  intptr_t given = arguments->n - skip,
           named = arguments->names ? python.tuple_size(arguments->names) : 0;
  if (given < 0 || given > 2)
    return HOW_PYTHON;
  if (given > 0)
    blocking = arguments->values[skip];
  if (given > 1)
    timeout = arguments->values[skip + 1];
  for (intptr_t i = 0; i < named; i++) {
    object name = python.tuple_item(arguments->names, i);
    object *place = python.compare_string(name, blocking_name) == 0 ? &blocking
                    : python.compare_string(name, "timeout") == 0   ? &timeout
                                                                    : NULL;
    if (!place || *place)
      return HOW_PYTHON;
    *place = arguments->values[arguments->n + i];
  }
  if (takes_none && timeout == python.none)
    timeout = NULL;
  int wait = blocking ? truth(blocking) : 1;
  if (wait < 0 || (timeout && (!wait || !is_timeout(timeout, !takes_none))))
    return HOW_PYTHON;
  return wait ? HOW_WAIT : HOW_TRY;
}

/* --- the way to Python ------------------------------------------------------------------ */

/* The positional arguments as a tuple; NULL: an exception is set. */
static object positional(const struct arguments *arguments)
{
  object tuple = python.new_tuple(arguments->n);
  for (intptr_t i = 0; tuple && i < arguments->n; i++)
    python.set_tuple_item(tuple, i, reference(arguments->values[i]));
  return tuple;
}

/* The arguments by keyword as a dict; NULL: an exception is set. */
static object by_keyword(const struct arguments *arguments)
{
  intptr_t n = python.tuple_size(arguments->names);
  object dict = python.new_dict();
  for (intptr_t i = 0; dict && i < n; i++)
    if (python.set_dict_item(dict, python.tuple_item(arguments->names, i),
                             arguments->values[arguments->n + i])) {
      python.decref(dict);
      return NULL;
    }
  return dict;
}

object call_function(object function, const struct arguments *arguments)
{
  object result = NULL, keywords = NULL;
  object tuple = positional(arguments);
  if (tuple && arguments->names)
    keywords = by_keyword(arguments);
  if (tuple && (keywords || !arguments->names))
    result = python.call(function, tuple, keywords);
  if (keywords)
    python.decref(keywords);
  if (tuple)
    python.decref(tuple);
  return result;
}

object call_python(object self, const char *name, const struct arguments *arguments)
{
  object method = python.attribute(self, name);
  object result = method ? call_function(method, arguments) : NULL;
  if (method)
    python.decref(method);
  return result;
}

object call_python_0(object self, const char *name)
{
  return call_python(self, name, &(struct arguments){0});
}

#define C(name) {#name, (void *)(uintptr_t)python_##name, METH_FASTCALL | METH_KEYWORDS, NULL},
#define F(name) {#name, (void *)(uintptr_t)python_##name, METH_FASTCALL, NULL},
#define N(name) {#name, (void *)(uintptr_t)python_##name, METH_NOARGS, NULL},
#define S(name) {#name, (void *)(uintptr_t)python_##name, 0, NULL},
static const struct method methods[] = {PYTHON_METHODS(C, F, N, S){NULL, NULL, 0, NULL}};
#undef C
#undef F
#undef N
#undef S

/* --- installation --------------------------------------------------------------------------- */

#define D(field, symbol) #symbol,
#define F(result, field, parameters, symbol) #symbol,
static const char *const symbols[] = {PYTHON_API(D, F)};
#undef D
#undef F

#define SYMBOLS (sizeof symbols / sizeof *symbols)
_Static_assert(sizeof python == SYMBOLS * sizeof(void *), "the table has nothing but pointers");

void *ilk_python_symbol(int i)
{
  return i >= 0 && (size_t)i < SYMBOLS ? (void *)(uintptr_t)symbols[i] : NULL;
}

enum { EMPTY, WRITING, WRITTEN };
static atomic_u32 state = EMPTY;

/* The first interpreter of the process writes the table. For the others it is the same one. */
static bool install(const struct python *table, intptr_t header)
{
  uint32_t expected = EMPTY;
  if (cas_acq_rel(&state, &expected, WRITING)) {
    python = *table;
    python_header = header;
    store_release(&state, WRITTEN); /* pairs with the load that follows */
    return true;
  }
  return load_acquire(&state) == WRITTEN && !memcmp(&python, table, sizeof python) &&
         python_header == header;
}

void *ilk_python_methods(void *addresses, int64_t header)
{
  if (!addresses || header < (int64_t)(2 * sizeof(object)) || header > 1024 ||
      header % (int64_t)sizeof(object))
    return fail_null(ILK_EINVAL);
  if (!install(addresses, (intptr_t)header))
    return fail_null(ILK_EBUSY);
  return (void *)(uintptr_t)methods;
}
