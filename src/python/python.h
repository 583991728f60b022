/* Methods in C for calls from Python code, without Python.h: the Python package hands over the
   addresses of the functions of Python's C API that they need (see docs/calls.md).

       Python code -> method in C -> ilk_..try..()   if it succeeds: the result
                                  -> Python method   if not: waits, errors, unusual arguments

   Invariants:
   I1  A method never waits and never raises an exception of its own (only MemoryError, where Python
       has no memory for a result). It tries once, with the GIL held, and leaves what does not
       succeed to a Python method, which begins anew. So a try that fails changes nothing, and
       arguments are converted without side effects, or are left to Python. (held_exit and
       condition_exit do nothing of their own: they call another method.)
   I2  The library stores no Python object, but the addresses of static ones. So interpreters need
       not be distinguished.
   I3  Only the stable ABI is used (the table below). Of an object's header, only the type is
       loaded.
   I4  A method is called with an instance of the class that it was made for, because Python checks
       that. Such an instance begins with the fields of `struct owner`, after the header. */
#ifndef INTERLOCK_PYTHON_H
#define INTERLOCK_PYTHON_H

#include "atomic.h"
#include "common.h"

/* PyObject *; a new reference if a function returns it, unless said otherwise. */
typedef void *object;

/* D(field, symbol): an object. F(result, field, parameters, symbol): a function. All are in the
   stable ABI of Python 3.2 and later. METH_FASTCALL, the only other thing used, is in it from 3.10,
   and 3.7 to 3.9 have it in the same form.

   "borrowed": the caller gets no reference. "steals": the function takes over the caller's
   reference. */
#define PYTHON_API(D, F)                                                                           \
  D(none, _Py_NoneStruct)                                                                          \
  D(true_object, _Py_TrueStruct)                                                                   \
  D(false_object, _Py_FalseStruct)                                                                 \
  D(int_type, PyLong_Type)                                                                         \
  D(float_type, PyFloat_Type)                                                                      \
  D(str_type, PyUnicode_Type)                                                                      \
  D(tuple_type, PyTuple_Type)                                                                      \
  F(void, incref, (object), Py_IncRef)                                                             \
  F(void, decref, (object), Py_DecRef)                                                             \
  F(object, error, (void), PyErr_Occurred) /* borrowed */                                          \
  F(void, clear_error, (void), PyErr_Clear)                                                        \
  F(int, is_subtype, (object type, object of), PyType_IsSubtype)                                   \
  F(unsigned long, type_flags, (object), PyType_GetFlags)                                          \
  F(object, attribute, (object, const char *), PyObject_GetAttrString)                             \
  F(object, call, (object, object tuple, object dict_or_null), PyObject_Call)                      \
  F(object, new_tuple, (intptr_t), PyTuple_New)                                                    \
  F(object, tuple_item, (object, intptr_t), PyTuple_GetItem)          /* borrowed */               \
  F(int, set_tuple_item, (object, intptr_t, object), PyTuple_SetItem) /* steals the last */        \
  F(intptr_t, tuple_size, (object), PyTuple_Size)                                                  \
  F(object, new_dict, (void), PyDict_New)                                                          \
  F(int, set_dict_item, (object, object, object), PyDict_SetItem)                                  \
  F(int, compare_string, (object, const char *), PyUnicode_CompareWithASCIIString)                 \
  F(object, new_int, (long long), PyLong_FromLongLong)                                             \
  F(long long, int_value, (object, int *overflow), PyLong_AsLongLongAndOverflow)                   \
  F(unsigned long long, unsigned_value, (object), PyLong_AsUnsignedLongLong)                       \
  F(object, index, (object), PyNumber_Index)                                                       \
  F(double, float_value, (object), PyFloat_AsDouble)

struct python {
#define D(field, symbol) object field;
#define F(result, field, parameters, symbol) result(*field) parameters;
  PYTHON_API(D, F)
#undef D
#undef F
};

extern HIDDEN struct python python;   /* constant from ilk_python_methods() on */
extern HIDDEN intptr_t python_header; /* the size of an object's header */

/* Python's PyMethodDef. */
struct method {
  const char *name;
  void *function;
  int flags;
  const char *documentation;
};

#define TYPE_ON_HEAP (1ul << 9) /* Py_TPFLAGS_HEAPTYPE */

#define METH_KEYWORDS 2
#define METH_NOARGS 4
#define METH_FASTCALL 128

/* Arguments of a METH_FASTCALL method: `n` by position, and then those by keyword, whose names are
   the tuple `names`, or NULL. All are borrowed. */
struct arguments {
  object const *values;
  intptr_t n;
  object names;
};

/* --- objects -------------------------------------------------------------------- */

/* The fields of interlock's own objects, which Python code sees as `_handle` and `_only_python`. */
struct owner {
  _Atomic(void *) handle; /* NULL: closed */
  atomic_u64 only_python; /* not 0: the object has a state that only the Python methods know */
};

static inline struct owner *owner_of(object self)
{
  return (struct owner *)((char *)self + python_header);
}

/* NULL, which no call of the library accepts, if the Python method is to do it. */
static inline void *handle_for_call(object self)
{
  struct owner *owner = owner_of(self);
  return likely(!load_relaxed(&owner->only_python)) ? load_relaxed(&owner->handle) : NULL;
}

/* The type, borrowed. It is the last field of the header in every build with a GIL. */
static inline object type_of(object o)
{
  return *(object *)((char *)o + python_header - sizeof(object));
}

static inline object reference(object o)
{
  python.incref(o);
  return o;
}

static inline object boolean(int value)
{
  return reference(value ? python.true_object : python.false_object);
}

/* --- arguments ------------------------------------------------------------------- */

/* The value of an int that is not an instance of a subclass. False: it is something else, or does
   not fit. */
static inline bool is_int(object o, int64_t *value)
{
  int overflow;
  if (unlikely(type_of(o) != python.int_type))
    return false;
  *value = python.int_value(o, &overflow);
  return likely(!overflow);
}

/* What a call has to do, by its arguments `blocking` and `timeout`. */
enum how {
  HOW_WAIT,
  HOW_TRY,
  HOW_PYTHON /* the arguments are for Python to judge */
};

/* They follow the first `skip` arguments, which are positional. `takes_none`: a timeout of None,
   not of -1, waits forever; else it is the other way round. */
COLD enum how how_to_wait(const struct arguments *, intptr_t skip, const char *blocking_name,
                          bool takes_none);

/* --- the way to Python ------------------------------------------------------------ */

/* Calls self.NAME with the arguments. */
COLD object call_python(object self, const char *name, const struct arguments *);
COLD object call_python_0(object self, const char *name);

/* Calls the function. */
COLD object call_function(object function, const struct arguments *);

/* --- the methods --------------------------------------------------------------------- */

/* C(name): takes any arguments. F(name): takes positional ones. N(name): takes none. S(name): a
   function for a slot of the base type. Each is the function python_NAME. */
#define PYTHON_METHODS(C, F, N, S)                                                                 \
  N(lock_init)                                                                                     \
  N(rlock_init)                                                                                    \
  C(mutex_init)                                                                                    \
  S(handle_finalize)                                                                               \
  C(mutex_acquire)                                                                                 \
  N(mutex_release)                                                                                 \
  F(mutex_exit)                                                                                    \
  N(mutex_locked)                                                                                  \
  C(read_acquire)                                                                                  \
  N(read_release)                                                                                  \
  C(write_acquire)                                                                                 \
  N(write_release)                                                                                 \
  N(writing_release)                                                                               \
  C(semaphore_acquire)                                                                             \
  C(semaphore_release)                                                                             \
  F(semaphore_exit)                                                                                \
  C(lockarray_release)                                                                             \
  C(lockarray_release_pair)                                                                        \
  C(lockarray_release_range)                                                                       \
  F(held_exit)                                                                                     \
  F(condition_exit)                                                                                \
  C(queue_put) C(queue_put_nowait) C(queue_get) N(queue_get_nowait) F(atomic_apply)

#define C(name) object python_##name(object self, object const *values, intptr_t n, object names);
#define F(name) object python_##name(object self, object const *values, intptr_t n);
#define N(name) object python_##name(object self, object unused);
#define S(name) void python_##name(object self);
PYTHON_METHODS(C, F, N, S)
#undef C
#undef F
#undef N
#undef S

#endif
