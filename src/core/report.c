/* The report. It waits for nothing that the program may hold: it copies the list of live handles
   with the table locked, for a moment, and then pins and describes one object at a time. What a
   thread is blocked on is loaded from its record. The program runs meanwhile, so each line is true
   at the moment at which it was made, and the text as a whole is no snapshot. */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "blocked.h"
#include "clock.h"
#include "memory.h"
#include "report.h"

/* The text. The part of it that fits is in the buffer; `length` is that of the whole. */
struct text {
  char *buffer;
  size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
  size_t at = t->length < t->size ? t->length : t->size, space = t->size - at;
  if (space > INT_MAX) /* then POSIX's vsnprintf() fails and writes nothing, as musl's does */
    space = INT_MAX;
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(t->size ? t->buffer + at : NULL, space, format, arguments);
  va_end(arguments);
  t->length += n > 0 ? (size_t)n : 0;
}

static void put_duration(struct text *t, int64_t ns)
{
  if (ns < NS_PER_S)
    put(t, "%lld ms", (long long)(ns > 0 ? ns / NS_PER_MS : 0));
  else
    put(t, "%lld.%02lld s", (long long)(ns / NS_PER_S),
        (long long)(ns % NS_PER_S / (NS_PER_S / 100)));
}

static void put_native(struct text *t, uint32_t id)
{
  struct thread *record = thread_find(id);
  if (record)
    put(t, " (native %lld)", (long long)load_relaxed(&record->native_id));
  else
    put(t, " (gone)");
}

/* --- the handles ------------------------------------------------------------------ */

struct list {
  void **handles;
  size_t capacity, count;
};

static void collect(void *handle, void *context)
{
  struct list *list = context;
  if (list->count < list->capacity)
    list->handles[list->count] = handle;
  list->count++;
}

/* Lists all live handles; false: no memory. */
static bool list_all(struct list *list)
{
  *list = (struct list){.capacity = 64};
  for (;;) {
    void **handles = memory_resize(list->handles, list->capacity * sizeof *handles);
    if (!handles) {
      memory_resize(list->handles, 0);
      return false;
    }
    list->handles = handles;
    list->count = 0;
    handle_each(collect, list);
    if (list->count <= list->capacity)
      return true;
    list->capacity = list->count + list->count / 4; /* more may be made meanwhile */
  }
}

/* The longest time for which a thread has slept for the handle; -1: none sleeps. */
static int64_t longest_wait(void *handle, int64_t now)
{
  int64_t longest = -1;
  struct blocked b;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    if (block_load(r, &b) && b.handle == handle && now - b.since > longest)
      longest = now - b.since;
  return longest;
}

static void put_object(struct text *t, void *handle, struct object *object, enum kind kind)
{
  const struct kind_operations *operations = kind_operations[kind];
  put(t, "%s 0x%" PRIxPTR, operations->name, (uintptr_t)handle);
  if (operations->describe) {
    char state[256] = "";
    operations->describe(object, state, sizeof state);
    put(t, "  %s", state);
    /* If the description ends with the holder, the system's id of that thread follows, for a
       debugger. */
    uint32_t id = operations->holder ? operations->holder(object, 0) : 0;
    char end[32];
    int length = snprintf(end, sizeof end, " thread %u", id);
    size_t have = strlen(state);
    if (id && have >= (size_t)length && strcmp(state + have - length, end) == 0)
      put_native(t, id);
  }
  uint32_t waiters = load_relaxed(&object->waiters);
  if (waiters) {
    put(t, ", %u waiting", waiters);
    int64_t longest = longest_wait(handle, clock_now());
    if (longest >= 0) {
      put(t, ", longest ");
      put_duration(t, longest);
    }
  }
  put(t, "\n");
}

static void put_handles(struct text *t, struct thread *me, const struct list *list)
{
  for (size_t i = 0; i < list->count; i++) {
    void *handle = list->handles[i];
    enum kind kind = handle_kind(handle);
    struct object *object = handle_enter(me, PIN_OUTER, handle, kind);
    if (!object)
      continue; /* freed meanwhile */
    put_object(t, handle, object, kind);
    handle_leave(me, PIN_OUTER);
  }
}

/* --- the threads ------------------------------------------------------------------- */

static void put_thread(struct text *t, struct thread *me, struct thread *record)
{
  struct blocked b;
  uint32_t id = load_acquire(&record->id);
  if (!id || !block_load(record, &b))
    return;
  put(t, "thread %u", id);
  put_native(t, id);
  if (b.handle) {
    put(t, "  waits for %s 0x%" PRIxPTR, kind_operations[handle_kind(b.handle)]->name,
        (uintptr_t)b.handle);
    if (handle_is(b.handle, KIND_LOCKARRAY))
      put(t, " [%lld]", (long long)b.index);
  } else if (b.flags & BLOCK_WORD) {
    put(t, "  waits for the word at 0x%" PRIxPTR, (uintptr_t)b.word);
  } else {
    put(t, "  sleeps");
  }
  uint32_t holder = block_awaited(me, b.handle, b.index);
  if (holder && holder != id) { /* a writer that waits for readers holds the rwlock itself */
    put(t, ", held by thread %u", holder);
    put_native(t, holder);
  }
  put(t, ", for ");
  int64_t now = clock_now();
  put_duration(t, now - b.since);
  if (b.deadline != WAIT_FOREVER && !(b.flags & BLOCK_PART)) {
    put(t, ", at most ");
    put_duration(t, b.deadline - now);
    put(t, " more");
  }
  put(t, "\n");
}

void report_own_wait(struct thread *me, char *buffer, size_t size)
{
  put_thread(&(struct text){.buffer = buffer, .size = size}, me, me);
}

static unsigned count_threads(void)
{
  unsigned n = 0;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    n++;
  return n;
}

int ilk_waiting(void)
{
  int n = 0;
  struct blocked b;
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    n += block_load(r, &b);
  return n;
}

int64_t ilk_report(void *buffer, int64_t size)
{
  if (size < 0 || (!buffer && size > 0))
    return fail_value(ILK_EINVAL);
  struct thread *me = thread_self();
  struct list list;
  if (!me || !list_all(&list))
    return fail_value(ILK_ENOMEM);
  struct text t = {.buffer = buffer,
                   .size = (uint64_t)size > PTRDIFF_MAX ? PTRDIFF_MAX : (size_t)size};
  unsigned threads = count_threads();
  put(&t, "interlock %d.%d.%d (%s, %s fence): %zu live handle%s, %u thread%s%s\n",
      ILK_VERSION_MAJOR, ILK_VERSION_MINOR, ILK_VERSION_PATCH, (char *)ilk_backend(),
      (char *)ilk_fence(), list.count, list.count == 1 ? "" : "s", threads, threads == 1 ? "" : "s",
      ilk_cancelled() ? ", waits are being cancelled" : "");
  put_handles(&t, me, &list);
  for (struct thread *r = thread_first_live(); r; r = thread_next_live(r))
    put_thread(&t, me, r);
  memory_resize(list.handles, 0);
  return (int64_t)t.length + 1; /* vsnprintf() has terminated what fits */
}
