/* The most common mistake with this library: a kernel without nogil=True waits, and keeps
   the GIL while it does. The library knows no Python; a probe that the package hands over
   (ilk_gil_probe) can tell, asked by the waiting thread itself. */
#include "stall.h"

#include <stdio.h>
#include <unistd.h>

#include "report.h"

static atomic_word probe;
static atomic_u32 has_warned;

int ilk_gil_probe(void *function)
{
  store_seq_cst(&has_warned, 0);
  store_seq_cst(&probe, (uintptr_t)function);
  return ILK_OK;
}

bool stall_is_probed(void)
{
  return load_relaxed(&probe) != 0;
}

/* One write(2): stdio's locks and memory may be what somebody waits for. */
static void warn(struct self *me)
{
  char wait[256], text[1024];
  report_thread(me, me, wait, sizeof wait);
  int length = snprintf(text, sizeof text,
                        "interlock: a thread waits and keeps Python's GIL, which looks like a deadlock:\n"
                        "  %s"
                        "  No other Python thread can run meanwhile, not even to end this wait. Give up the GIL to wait:\n"
                        "  compile the kernel with nogil=True, as in @njit(nogil=True); with ctypes, use CDLL, not PyDLL.\n"
                        "  The wait goes on. This is said once.\n",
                        wait);
  ssize_t ignored = write(STDERR_FILENO, text, (size_t)length);
  (void)ignored;
}

void stall_look(struct self *me)
{
  int (*holds_gil)(void) = (int (*)(void))load_seq_cst(&probe);
  if (holds_gil && holds_gil() && !exchange_seq_cst(&has_warned, 1))
    warn(me);
}
