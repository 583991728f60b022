#include "gil.h"

#include "memory.h"
#include "os.h"

/* Immutable once published, and never freed: a thread may be about to call them, or may return to
   them after a long wait (I3). Equal sets are stored once, however often they are installed. */
struct gil_hooks {
  void *(*current)(void);
  void *(*own)(void); /* or NULL */
  void *(*save)(void);
  void (*restore)(void *);
  struct gil_hooks *older;
};

_Atomic(struct gil_hooks *) gil_hooks;
static _Atomic(struct gil_hooks *) all; /* newest first */

static bool is_same(const struct gil_hooks *a, const struct gil_hooks *b)
{
  return a->current == b->current && a->own == b->own && a->save == b->save &&
         a->restore == b->restore;
}

/* Adds the set, or returns the equal one. */
static struct gil_hooks *add(struct gil_hooks *set)
{
  /* Acquire: pairs with the compare-and-swap below, whose own load pairs likewise. */
  struct gil_hooks *newest = load_acquire(&all);
  do {
    for (struct gil_hooks *known = newest; known; known = known->older)
      if (is_same(known, set))
        return known;
    set->older = newest;
  } while (!cas_acq_rel(&all, &newest, set));
  return set;
}

int ilk_gil_hooks(void *current, void *own, void *save, void *restore)
{
  if (!current && !own && !save && !restore) {
    store_release(&gil_hooks, NULL);
    return ILK_OK;
  }
  if (!current || !save || !restore)
    return fail(ILK_EINVAL);
  struct gil_hooks *set = memory_new(sizeof *set);
  if (!set)
    return fail(ILK_ENOMEM);
  *set = (struct gil_hooks){(void *(*)(void))(uintptr_t)current, (void *(*)(void))(uintptr_t)own,
                            (void *(*)(void))(uintptr_t)save, (void (*)(void *))(uintptr_t)restore,
                            NULL};
  struct gil_hooks *added = add(set);
  if (added != set)
    memory_free(set, sizeof *set);
  store_release(&gil_hooks, added); /* pairs with gil_release_slow() */
  return ILK_OK;
}

/* `current` may return the state of whichever thread holds the GIL; then `own` returns the
   caller's. Only the calling thread changes whether they are equal, so the result stays true. */
static bool holds_gil(const struct gil_hooks *hooks)
{
  void *state = hooks->current();
  return state && (!hooks->own || hooks->own() == state);
}

void gil_release_slow(struct thread *me)
{
  struct gil_hooks *hooks = load_acquire(&gil_hooks); /* pairs with ilk_gil_hooks() */
  if (!hooks || !holds_gil(hooks))
    return;
  int cancel = os_cancel_disable();
  me->gil_hooks = hooks;
  me->gil_state = hooks->save();
  os_cancel_restore(cancel);
}

void gil_reacquire_slow(struct thread *me)
{
  void *state = me->gil_state;
  /* Before restore(), which may not return (I2): then the thread's destructors may call the
     library. */
  me->gil_state = NULL;
  int cancel = os_cancel_disable();
  me->gil_hooks->restore(state);
  os_cancel_restore(cancel);
}
