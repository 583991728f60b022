#include "gil.h"

#include <pthread.h>

#include "memory.h"

/* Never changed once published, and never freed: a thread may be about to call them, or come back
   to them after a long wait (I3). The same set is kept once, however often it is handed over. */
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
  return a->current == b->current && a->own == b->own && a->save == b->save && a->restore == b->restore;
}

/* Adds the set, or finds one that is the same. */
static struct gil_hooks *add(struct gil_hooks *set)
{
  struct gil_hooks *newest = load_acquire(&all); /* pairs with the exchange below, as all loads of it */
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
  *set = (struct gil_hooks){
      (void *(*)(void))(uintptr_t)current, (void *(*)(void))(uintptr_t)own,
      (void *(*)(void))(uintptr_t)save, (void (*)(void *))(uintptr_t)restore, NULL};
  struct gil_hooks *added = add(set);
  if (added != set)
    memory_free(set, sizeof *set);
  store_release(&gil_hooks, added); /* pairs with gil_release_slow() */
  return ILK_OK;
}

/* `current` may tell who holds the GIL in the whole process; then `own` tells whether that is us.
   Only we make it so, or end it, so the answer holds. */
static bool holds_gil(const struct gil_hooks *hooks)
{
  void *state = hooks->current();
  return state && (!hooks->own || hooks->own() == state);
}

void gil_release_slow(struct self *me)
{
  struct gil_hooks *hooks = load_acquire(&gil_hooks); /* pairs with ilk_gil_hooks() */
  if (!hooks || !holds_gil(hooks))
    return;
  int cancel;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  me->gil_hooks = hooks;
  me->gil_state = hooks->save();
  pthread_setcancelstate(cancel, NULL);
}

void gil_reacquire_slow(struct self *me)
{
  void *state = me->gil_state;
  me->gil_state = NULL; /* first: the thread may not come back (I2), and its destructors call us */
  int cancel;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
  me->gil_hooks->restore(state);
  pthread_setcancelstate(cancel, NULL);
}
