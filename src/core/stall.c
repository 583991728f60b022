/* A kernel without nogil=True holds the GIL. If the Python package has installed hooks (gil.h), the
   wait has released the GIL, and the message is a hint about speed. If not, all other Python
   threads are blocked, perhaps also the thread that would end the wait, and the message is a
   warning. The library does not know Python: the waiting thread calls a probe (ilk_gil_probe) that
   returns whether it holds the GIL. */
#include "stall.h"

#include <stdio.h>

#include "gil.h"
#include "os.h"
#include "report.h"

static atomic_word probe;
static atomic_u32 has_reported;

int ilk_gil_probe(void *function)
{
  store_seq_cst(&has_reported, 0);
  store_seq_cst(&probe, (uintptr_t)function);
  return ILK_OK;
}

bool stall_is_probed(void)
{
  return load_relaxed(&probe) != 0;
}

/* The text before and after the line that names the thread, the lock and its holder. */
struct message {
  const char *before, *after;
};

static const struct message hint = {
  "interlock: a hint about speed: code that holds Python's GIL waits:\n",
  "  The GIL is released while it waits, but held while it computes, and no other Python thread runs then.\n"
  "  Compile the kernel with nogil=True, as in @njit(nogil=True); with ctypes, use CDLL, not PyDLL.\n"
  "  This is reported once.\n",
};

static const struct message warning = {
  "interlock: a thread waits and keeps Python's GIL, which looks like a deadlock:\n",
  "  No other Python thread can run meanwhile, not even to end this wait. Release the GIL to wait:\n"
  "  compile the kernel with nogil=True, as in @njit(nogil=True); with ctypes, use CDLL, not PyDLL.\n"
  "  The wait goes on. This is reported once.\n",
};

static void say(struct thread *me, const struct message *message)
{
  char wait[256], text[1024];
  report_own_wait(me, wait, sizeof wait);
  int length = snprintf(text, sizeof text, "%s  %s%s", message->before, wait, message->after);
  os_write_error(text, (size_t)length);
}

/* The message for this thread, or NULL. */
static const struct message *finding(struct thread *me)
{
  int (*holds_gil)(void) = (int (*)(void))load_seq_cst(&probe);
  if (!holds_gil)
    return NULL;
  if (me->gil_state)
    return &hint;
  if (gil_is_hooked()) /* this thread did not hold the GIL */
    return NULL;
  return holds_gil() ? &warning : NULL;
}

void stall_check(struct thread *me)
{
  /* write(2) is a cancellation point, and the probe may contain some */
  int cancel = os_cancel_disable();
  const struct message *message = finding(me);
  if (message && !exchange_seq_cst(&has_reported, 1))
    say(me, message);
  os_cancel_restore(cancel);
}
