/* barrier.c. */
#include "shapes.h"

static void *new_barrier(int parties)
{
  void *b = ilk_barrier_new(parties);
  must(b != NULL);
  return b;
}

static void free_barrier(void *b)
{
  expect(ilk_barrier_free(b), ILK_OK);
}

START_TEST(new_checks_its_parties)
{
  const int bad[] = {0, -1, INT32_MIN};
  for (int i = 0; i < LENGTH(bad); i++)
    expect_null(ilk_barrier_new(bad[i]), ILK_EINVAL);
  void *b = new_barrier(INT32_MAX);
  struct waiter w;
  waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_waiting(b), 1);
  expect(ilk_barrier_timedwait(b, 0), ILK_ETIMEDOUT);
  expect(waiter_end(&w), ILK_EBROKEN);
  free_barrier(b);
}
END_TEST

START_TEST(every_call_checks_its_handle)
{
  void *freed = new_barrier(1), *other = ilk_counter_new(0);
  free_barrier(freed);
  void *bad[] = {NULL, freed, other, (void *)-1, (void *)1, &freed, (void *)((uintptr_t)other ^ 1)};
  for (int i = 0; i < LENGTH(bad); i++) {
    expect(ilk_barrier_wait(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_timedwait(bad[i], 0), ILK_EHANDLE);
    expect(ilk_barrier_abort(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_reset(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_is_broken(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_waiting(bad[i]), ILK_EHANDLE);
    expect(ilk_barrier_free(bad[i]), ILK_EHANDLE);
  }
  expect(ilk_counter_free(other), ILK_OK);
}
END_TEST

START_TEST(a_party_of_one)
{
  void *b = new_barrier(1);
  for (int i = 0; i < 1000; i++) {
    expect(ilk_barrier_wait(b), 0);
    expect(ilk_barrier_timedwait(b, 0), 0);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

START_TEST(tickets_in_the_order_of_arrival)
{
  const int64_t timeouts[] = {-1, INT64_MAX, 3600 * SECOND};
  void *b = new_barrier(4);
  for (int round = 0; round < 3; round++) {
    struct waiter w[3];
    for (int i = 0; i < 3; i++) {
      expect(ilk_barrier_waiting(b), i);
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, timeouts[i]);
    }
    expect(ilk_barrier_waiting(b), 3);
    expect(ilk_barrier_is_broken(b), 0);
    expect(ilk_barrier_free(b), ILK_EBUSY);
    expect(ilk_barrier_timedwait(b, 0), 3); /* the last to arrive does not wait */
    for (int i = 0; i < 3; i++)
      expect(waiter_end(&w[i]), i);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

static void expect_broken(void *b)
{
  expect(ilk_barrier_is_broken(b), 1);
  expect(ilk_barrier_waiting(b), 0);
  expect(ilk_barrier_wait(b), ILK_EBROKEN);
  expect(ilk_barrier_timedwait(b, 0), ILK_EBROKEN);
}

/* It is as new: three threads go through. */
static void expect_usable(void *b)
{
  expect(ilk_barrier_is_broken(b), 0);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_start(&w[i], ilk_barrier_timedwait, b, -1);
  int sum = ilk_barrier_wait(b);
  for (int i = 0; i < 2; i++)
    sum += waiter_end(&w[i]);
  expect(sum, 0 + 1 + 2);
}

START_TEST(a_timeout_breaks_it_for_all)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 3; round++) {
    struct waiter w;
    waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
    int64_t begin = now();
    expect(ilk_barrier_timedwait(b, round * 3 * MS), ILK_ETIMEDOUT); /* 0 too */
    must(now() - begin >= round * 3 * MS);
    expect(waiter_end(&w), ILK_EBROKEN);
    expect_broken(b);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  expect(ilk_barrier_timedwait(b, MS), ILK_ETIMEDOUT); /* alone */
  expect_broken(b);
  free_barrier(b); /* broken or not */
}
END_TEST

START_TEST(abort_and_reset)
{
  void *b = new_barrier(3);
  expect(ilk_barrier_reset(b), ILK_OK);
  expect_usable(b);
  for (int i = 0; i < 2; i++) {
    expect(ilk_barrier_abort(b), ILK_OK);
    expect_broken(b);
  }
  for (int i = 0; i < 2; i++) {
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_abort(b), ILK_OK);
  for (int i = 0; i < 2; i++)
    expect(waiter_end(&w[i]), ILK_EBROKEN);
  expect_broken(b);
  expect(ilk_barrier_reset(b), ILK_OK);
  expect_usable(b);
  free_barrier(b);
}
END_TEST

START_TEST(reset_with_waiters_inside)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 20; round++) {
    struct waiter w[2], next[2];
    for (int i = 0; i < 2; i++)
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_is_broken(b), 0);
    /* At once, while those may still be on their way out. */
    for (int i = 0; i < 2; i++)
      waiter_start(&next[i], ilk_barrier_timedwait, b, -1);
    int sum = ilk_barrier_wait(b);
    for (int i = 0; i < 2; i++) {
      expect(waiter_end(&w[i]), ILK_EBROKEN);
      sum += waiter_end(&next[i]);
    }
    expect(sum, 0 + 1 + 2);
  }
  free_barrier(b);
}
END_TEST

/* Those inside are mostly still on their way out when it is broken again. */
START_TEST(broken_during_a_reset)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 20; round++) {
    struct waiter w[2], next;
    for (int i = 0; i < 2; i++)
      waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
    expect(ilk_barrier_reset(b), ILK_OK);
    if (round % 4 == 0)
      waiter_start(&next, ilk_barrier_timedwait, b, -1);
    if (round % 2)
      expect(ilk_barrier_timedwait(b, 0), ILK_ETIMEDOUT);
    else
      expect(ilk_barrier_abort(b), ILK_OK);
    if (round % 4 != 0)
      waiter_start(&next, ilk_barrier_timedwait, b, -1);
    for (int i = 0; i < 2; i++)
      expect(waiter_end(&w[i]), ILK_EBROKEN);
    expect(waiter_end(&next), ILK_EBROKEN);
    expect_broken(b);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect_usable(b);
  }
  free_barrier(b);
}
END_TEST

START_TEST(cancel_breaks_it)
{
  void *b = new_barrier(3);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  expect(ilk_cancel(1), ILK_OK);
  int cancelled = 0;
  for (int i = 0; i < 2; i++) {
    int result = waiter_end(&w[i]);
    must(result == ILK_ECANCELED || result == ILK_EBROKEN);
    cancelled += result == ILK_ECANCELED;
  }
  must(cancelled >= 1);
  expect(ilk_cancel(0), ILK_OK);
  expect_broken(b);
  free_barrier(b);
}
END_TEST

START_TEST(bug_4_stale_waiter_count_after_timeout)
{
  void *b = new_barrier(5);
  struct waiter w[4];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++)
      waiter_start(&w[i], ilk_barrier_timedwait, b, 3 * MS);
    for (int i = 0; i < 4; i++) {
      int result = waiter_end(&w[i]);
      must(result == ILK_ETIMEDOUT || result == ILK_EBROKEN);
    }
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_waiting(b), 0);
  }
  free_barrier(b);
}
END_TEST

static void *new_barrier_of_3(void)
{
  return new_barrier(3);
}

static const struct shape three = {new_barrier_of_3, ilk_barrier_timedwait, ilk_barrier_wait,
                                   ilk_barrier_free, TIME_OUT_ENDS_ALL};

START_TEST(bug_3_signals_end_no_wait)
{
  signals_end_no_wait(&three);
}
END_TEST

/* --- a resumable wait ---------------------------------------------------------------------- */

static int64_t ticket_of(void *b, int act, int place)
{
  int64_t ticket;
  expect(ilk_barrier_arrive(b, act, &ticket, 0), place);
  must(ticket >= 0);
  return ticket;
}

START_TEST(resumable_waits_break_no_barrier)
{
  void *b = new_barrier(2);
  for (int round = 0; round < 3; round++) {
    int64_t ticket = ticket_of(b, 0, 0);
    expect(ilk_barrier_waiting(b), 1);
    for (int part = 0; part < 3; part++) {
      int64_t begin = now();
      expect(ilk_barrier_await(b, ticket, part * MS), ILK_ETIMEDOUT);
      must(now() - begin >= part * MS);
      expect(ilk_barrier_is_broken(b), 0);
    }
    if (round == 0) {
      expect(ilk_barrier_wait(b), 1);
      expect(ilk_barrier_await(b, ticket, -1), ILK_OK);
    } else {
      int64_t last = ticket_of(b, 0, 1);
      expect(ilk_barrier_await(b, last, -1), ILK_OK);
      expect(ilk_barrier_leave(b, last), ILK_OK); /* complete: nothing to give up */
    }
    expect(ilk_barrier_leave(b, ticket), ILK_OK);
    expect(ilk_barrier_await(b, ticket, 0), ILK_OK);
    expect(ilk_barrier_is_broken(b), 0);
  }
  free_barrier(b);
}
END_TEST

START_TEST(a_thread_that_leaves_breaks_it)
{
  void *b = new_barrier(3);
  int64_t first = ticket_of(b, 0, 0), second = ticket_of(b, 0, 1);
  expect(ilk_barrier_leave(b, first), ILK_ETIMEDOUT);
  expect_broken(b);
  expect(ilk_barrier_await(b, second, -1), ILK_EBROKEN);
  expect(ilk_barrier_await(b, second, -1), ILK_EBROKEN); /* until it has left */
  expect(ilk_barrier_reset(b), ILK_OK);
  int64_t third;
  expect(ilk_barrier_arrive(b, 0, &third, MS), ILK_ETIMEDOUT); /* the reset waits for it */
  struct waiter w;
  waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_leave(b, second), ILK_EBROKEN);
  while (ilk_barrier_waiting(b) != 1)
    sched_yield();
  third = ticket_of(b, 0, 1);
  expect(ilk_barrier_timedwait(b, 10 * SECOND), 2);
  expect(ilk_barrier_await(b, third, 0), ILK_OK);
  expect(waiter_end(&w), 0);
  free_barrier(b);
}
END_TEST

static int call_arrive_to_act(void *b, int64_t timeout_ns)
{
  int64_t ticket;
  return ilk_barrier_arrive(b, 1, &ticket, timeout_ns);
}

static int call_abort(void *b, int64_t unused)
{
  (void)unused;
  return ilk_barrier_abort(b);
}

START_TEST(the_last_acts_before_the_others_go)
{
  void *b = new_barrier(3);
  for (int round = 0; round < 3; round++) {
    struct waiter early[2], next;
    waiter_sleep(&early[0], ilk_barrier_timedwait, b, -1);
    waiter_sleep(&early[1], ilk_barrier_timedwait, b, -1);
    int64_t ticket = ticket_of(b, 1, 2);
    /* One of the next round, which has not begun. */
    waiter_sleep(&next, ilk_barrier_timedwait, b, -1);
    expect(elsewhere(call_arrive_to_act, b, MS), ILK_ETIMEDOUT);
    expect(ilk_barrier_waiting(b), 2);
    expect(ilk_barrier_free(b), ILK_EBUSY);
    expect(early[0].result, PENDING);
    expect(early[1].result, PENDING);
    expect(ilk_barrier_complete(b, ticket + 1, 1), ILK_EPERM);
    expect(ilk_barrier_complete(b, ticket, 1), ILK_OK);
    expect(ilk_barrier_complete(b, ticket, 1), ILK_EPERM);
    expect(waiter_end(&early[0]), 0);
    expect(waiter_end(&early[1]), 1);
    while (ilk_barrier_waiting(b) != 1)
      sched_yield();
    int64_t second = ticket_of(b, 1, 1); /* `next` is there, one is missing: does not act */
    expect(ilk_barrier_complete(b, second, 1), ILK_EPERM);
    expect(ilk_barrier_timedwait(b, 0), 2);
    expect(ilk_barrier_leave(b, second), ILK_OK);
    expect(waiter_end(&next), 0);
  }
  free_barrier(b);
}
END_TEST

START_TEST(an_action_that_fails_breaks_it)
{
  void *b = new_barrier(2);
  for (int how = 0; how < 4; how++) {
    struct waiter w;
    waiter_sleep(&w, ilk_barrier_timedwait, b, -1);
    int64_t ticket = ticket_of(b, 1, 1);
    switch (how) {
    case 0: /* by itself */ expect(ilk_barrier_complete(b, ticket, 0), ILK_EBROKEN); break;
    case 1: /* by an abort */
      expect(elsewhere(call_abort, b, 0), ILK_OK);
      expect(ilk_barrier_complete(b, ticket, 1), ILK_EBROKEN);
      break;
    case 2: /* by one of the next round that cannot wait */
      expect(ilk_barrier_timedwait(b, MS), ILK_ETIMEDOUT);
      expect(ilk_barrier_complete(b, ticket, 1), ILK_EBROKEN);
      break;
    default: /* by a reset, which waits for it */
      expect(ilk_barrier_reset(b), ILK_OK);
      expect(waiter_end(&w), ILK_EBROKEN);
      expect(elsewhere(call_arrive_to_act, b, MS), ILK_ETIMEDOUT);
      expect(ilk_barrier_complete(b, ticket, 1), ILK_EBROKEN);
    }
    if (how < 3) {
      expect(waiter_end(&w), ILK_EBROKEN);
      expect_broken(b);
      expect(ilk_barrier_reset(b), ILK_OK);
    }
    expect(ilk_barrier_is_broken(b), 0);
    expect(ilk_barrier_complete(b, ticket, 1), ILK_EPERM);
  }
  free_barrier(b);
}
END_TEST

/* A thread that waits for a reset's end is not satisfied: a free that waited for it would wait for
   the thread between two parts, which would wait for the free. */
START_TEST(freed_while_a_reset_waits_for_one_between_two_parts)
{
  void *b = new_barrier(2);
  int64_t ticket = ticket_of(b, 0, 0);
  expect(ilk_barrier_reset(b), ILK_OK);
  struct waiter next;
  waiter_sleep(&next, ilk_barrier_timedwait, b, -1);
  expect(ilk_barrier_free(b), ILK_EBUSY);
  expect(ilk_barrier_leave(b, ticket), ILK_EBROKEN);
  while (ilk_barrier_waiting(b) != 1)
    sched_yield();
  expect(ilk_barrier_wait(b), 1);
  expect(waiter_end(&next), 0);
  free_barrier(b);
}
END_TEST

/* Nor complete. A ticket too few would make rounds that are over incomplete, or the number wrap. */
START_TEST(a_thread_outside_cannot_leave)
{
  void *b = new_barrier(2);
  for (int round = 0; round < 2; round++) {
    int64_t next = 2 * round, ticket = ticket_of(b, 0, 0);
    expect(ticket, next);
    expect(ilk_barrier_leave(b, ticket + 1), ILK_EPERM); /* not given out yet */
    expect(ilk_barrier_leave(b, INT64_MAX), ILK_EPERM);
    expect(ilk_barrier_await(b, ticket + 1, 0), ILK_EPERM);
    expect(ilk_barrier_is_broken(b), 0);
    expect(ilk_barrier_leave(b, ticket), ILK_ETIMEDOUT);
    for (int again = 0; again < 3; again++)
      expect(ilk_barrier_leave(b, ticket), ILK_EPERM);
    expect_broken(b);
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_leave(b, ticket), ILK_EPERM);

    ticket = ticket_of(b, 0, 0);
    int64_t last = ticket_of(b, 1, 1);
    expect(ilk_barrier_leave(b, last), ILK_EPERM); /* the thread that acts completes */
    expect(ilk_barrier_await(b, last, 0), ILK_EPERM);
    expect(ilk_barrier_complete(b, last, 1), ILK_OK);
    expect(ilk_barrier_await(b, ticket, 0), ILK_OK);
    expect(ilk_barrier_leave(b, ticket), ILK_OK);
  }
  free_barrier(b);
}
END_TEST

/* Nor with a number that no thread has, or no longer has: it would take another thread's place, and
   the reset would not wait for that thread. */
START_TEST(a_thread_outside_cannot_leave_a_broken_round)
{
  static const int parties[] = {3, 64, 65, 200};
  int n = parties[_i];
  void *b = new_barrier(n);
  for (int round = 0; round < 3; round++) {
    int64_t tickets[200];
    int arrived = round == 2 ? n - 1 : 2;
    for (int i = 0; i < arrived; i++)
      tickets[i] = ticket_of(b, 0, i);
    expect(ilk_barrier_abort(b), ILK_OK);
    for (int i = 0; i < arrived; i++) {
      expect(ilk_barrier_leave(b, tickets[arrived - 1] + 1), ILK_EPERM); /* not given out */
      expect(ilk_barrier_leave(b, tickets[0] + n), ILK_EPERM);           /* of the next round */
      expect(ilk_barrier_leave(b, INT64_MAX), ILK_EPERM);
      expect(ilk_barrier_leave(b, tickets[i]), ILK_EBROKEN);
      for (int j = 0; j <= i; j++)
        expect(ilk_barrier_leave(b, tickets[j]), ILK_EPERM); /* no more */
    }
    expect(ilk_barrier_reset(b), ILK_OK);
    expect(ilk_barrier_is_broken(b), 0); /* all had left */
    for (int i = 0; i < n; i++)
      tickets[i] = ticket_of(b, 0, i);
    for (int i = 0; i < n; i++)
      expect(ilk_barrier_await(b, tickets[i], 0), ILK_OK);
  }
  free_barrier(b);
}
END_TEST

/* As an interpreter's signal handler may. */
START_TEST(fork_between_two_parts)
{
  void *b = new_barrier(2);
  int64_t ticket = ticket_of(b, 0, 0);
  pid_t child = fork();
  if (child == 0) { /* there it has not arrived */
    expect(ilk_barrier_await(b, ticket, -1), ILK_EPERM);
    expect(ilk_barrier_leave(b, ticket), ILK_EPERM);
    expect(ilk_barrier_is_broken(b), 0);
    expect(ticket_of(b, 0, 0), ticket);
    expect(ticket_of(b, 0, 1), ticket + 1);
    expect(ilk_barrier_await(b, ticket, -1), ILK_OK);
    expect(ilk_barrier_free(b), ILK_OK);
    _exit(0);
  }
  child_end(child);
  expect(ilk_barrier_wait(b), 1);
  expect(ilk_barrier_await(b, ticket, -1), ILK_OK);
  free_barrier(b);
}
END_TEST

START_TEST(resumable_waits_check_their_arguments)
{
  void *b = new_barrier(1), *freed = new_barrier(1);
  free_barrier(freed);
  int64_t tickets[2];
  expect(ilk_barrier_arrive(b, 0, NULL, 0), ILK_EINVAL);
  expect(ilk_barrier_arrive(b, 0, (char *)tickets + 1, 0), ILK_EINVAL);
  expect(ilk_barrier_await(b, -1, 0), ILK_EINVAL);
  expect(ilk_barrier_leave(b, -1), ILK_EINVAL);
  expect(ilk_barrier_complete(b, -1, 0), ILK_EPERM);
  expect(ilk_barrier_arrive(freed, 0, tickets, 0), ILK_EHANDLE);
  expect(ilk_barrier_await(freed, 0, 0), ILK_EHANDLE);
  expect(ilk_barrier_leave(freed, 0), ILK_EHANDLE);
  expect(ilk_barrier_complete(freed, 0, 0), ILK_EHANDLE);
  int64_t ticket = ticket_of(b, 1, 0); /* a party of one acts too */
  expect(ilk_barrier_complete(b, ticket, 1), ILK_OK);
  free_barrier(b);
}
END_TEST

/* More threads than parties; each round acts once, before any of it goes on. */
static struct {
  void *barrier;
  _Atomic int acting, actions, passed, stop;
} shop;

enum { PARTIES = 3, CUSTOMERS = 5 };

static void *visit_shop(void *unused)
{
  (void)unused;
  while (!shop.stop) {
    int64_t ticket;
    int place = ilk_barrier_arrive(shop.barrier, 1, &ticket, -1);
    if (place == ILK_EBROKEN)
      break;
    if (place == PARTIES - 1) {
      must(shop.acting++ == 0);
      jitter();
      shop.actions++;
      must(--shop.acting == 0);
      if (ilk_barrier_complete(shop.barrier, ticket, 1) != ILK_OK)
        break;
    } else {
      must(place >= 0);
      int result;
      while ((result = ilk_barrier_await(shop.barrier, ticket, below(50) * US)) == ILK_ETIMEDOUT)
        jitter();
      if (result != ILK_OK) {
        expect(result, ILK_EBROKEN);
        expect(ilk_barrier_leave(shop.barrier, ticket), ILK_EBROKEN);
        break;
      }
    }
    must(shop.actions > ticket / PARTIES);
    shop.passed++;
  }
  return NULL;
}

START_TEST(one_action_in_each_round)
{
  shop.barrier = new_barrier(PARTIES);
  shop.acting = shop.actions = shop.passed = shop.stop = 0;
  pthread_t threads[CUSTOMERS];
  for (int i = 0; i < CUSTOMERS; i++)
    threads[i] = start(visit_shop, NULL);
  for (int64_t end = stress_end(300); now() < end || !shop.passed;)
    nap(MS);
  shop.stop = 1;
  expect(ilk_barrier_abort(shop.barrier), ILK_OK);
  for (int i = 0; i < CUSTOMERS; i++)
    join(threads[i]);
  must(shop.passed > 0 && shop.passed <= PARTIES * shop.actions);
  expect(ilk_barrier_reset(shop.barrier), ILK_OK);
  expect(ilk_barrier_is_broken(shop.barrier), 0); /* all have left */
  free_barrier(shop.barrier);
}
END_TEST

static void *broken;

static void after_fork(void *b)
{
  expect(ilk_barrier_waiting(b), 0); /* those stayed behind */
  if (!TSAN)                         /* which knows no thread in such a child */
    expect_usable(b);
  free_barrier(b);
  expect_broken(broken);
  free_barrier(broken);
}

START_TEST(bug_12_fork_with_waiters)
{
  void *b = new_barrier(3);
  broken = new_barrier(3);
  expect(ilk_barrier_abort(broken), ILK_OK);
  struct waiter w[2];
  for (int i = 0; i < 2; i++)
    waiter_sleep(&w[i], ilk_barrier_timedwait, b, -1);
  in_child(after_fork, b);
  let_on_and_end(&three, b, w, 2);
  free_barrier(b);
  free_barrier(broken);
}
END_TEST

/* --- rounds
   ------------------------------------------------------------------------------------- */

enum { MANY = 8 };

static struct {
  void *barrier;
  int parties;
  int64_t end;
  int64_t cell[2][MANY]; /* plain: the barrier must order them */
  bool over[2];          /* plain too: after this round, says the first thread */
  _Atomic int64_t places[MANY];
} rounds;

static void *go_round(void *argument)
{
  int me = (int)(intptr_t)argument;
  for (int64_t r = 0;; r++) {
    if (r % 8 == 0)
      jitter();
    rounds.cell[r & 1][me] = r;
    if (me == 0)
      rounds.over[r & 1] = now() >= rounds.end;
    int place = ilk_barrier_wait(rounds.barrier);
    must(place >= 0 && place < rounds.parties);
    rounds.places[place]++;
    for (int i = 0; i < rounds.parties; i++)
      expect(rounds.cell[r & 1][i], r); /* none is ahead by two, none behind */
    if (rounds.over[r & 1])
      return NULL;
  }
}

/* With as many threads as parties: no thread leaves before the last has arrived, what each
   did is seen by all, and the next round may begin at once. */
START_TEST(rounds_in_step)
{
  rounds.parties = _i;
  rounds.end = stress_end(150);
  rounds.barrier = new_barrier(_i);
  pthread_t threads[MANY];
  for (int i = 0; i < _i; i++)
    threads[i] = start(go_round, (void *)(intptr_t)i);
  for (int i = 0; i < _i; i++)
    join(threads[i]);
  for (int i = 1; i < _i; i++)
    expect(rounds.places[i], rounds.places[0]);
  free_barrier(rounds.barrier);
}
END_TEST

/* --- everything at once
   ---------------------------------------------------------------------------- */

static struct {
  void *barrier;
  int parties;
  int kinds; /* 1: time-outs, 2: aborts and resets */
  int64_t end;
  _Atomic int64_t places[MANY], broken;
  _Atomic int running;
  _Atomic bool over;
} chaos;

static void *arrive_anyhow(void *unused)
{
  (void)unused;
  while (!chaos.over) {
    int64_t timeout = chaos.kinds & 1 && below(3) == 0 ? below(200) * US : -1;
    int place = ilk_barrier_timedwait(chaos.barrier, timeout);
    if (place >= 0)
      chaos.places[place]++;
    else
      must(place == ILK_EBROKEN || (place == ILK_ETIMEDOUT && timeout >= 0));
    if (place == ILK_EBROKEN)
      chaos.broken++;
    if (place < 0 && chaos.kinds == 1 && !chaos.over)
      expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
    if (below(16) == 0)
      jitter();
  }
  chaos.running--;
  return NULL;
}

/* A round is complete for all its threads or broken for all, however late they check: so each
   place was given as often as every other. There are more threads than parties, so a thread may
   be rounds behind. */
START_TEST(a_round_is_complete_or_broken_for_all)
{
  memset(&chaos, 0, sizeof chaos);
  chaos.kinds = _i;
  chaos.parties = 3;
  chaos.barrier = new_barrier(chaos.parties);
  chaos.running = 5;
  pthread_t threads[5];
  for (int i = 0; i < 5; i++)
    threads[i] = start(arrive_anyhow, NULL);
  struct storm storm;
  storm_start(&storm, threads, 5);
  for (int64_t end = stress_end(350); now() < end || !chaos.broken || !chaos.places[0];) {
    jitter();
    if (chaos.kinds & 2) {
      if (below(2))
        expect(ilk_barrier_abort(chaos.barrier), ILK_OK);
      jitter();
      expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
      nap(below(300) * US);
    }
  }
  storm_end(&storm);
  chaos.over = true;
  while (chaos.running) { /* again and again, because a thread may still reset it */
    expect(ilk_barrier_abort(chaos.barrier), ILK_OK);
    sched_yield();
  }
  for (int i = 0; i < 5; i++)
    join(threads[i]);
  for (int i = 1; i < chaos.parties; i++)
    expect(chaos.places[i], chaos.places[0]);
  expect(ilk_barrier_reset(chaos.barrier), ILK_OK);
  expect_usable(chaos.barrier);
  free_barrier(chaos.barrier);
}
END_TEST

/* --- freed
   ------------------------------------------------------------------------------------------- */

static void *new_barrier_of_5(void)
{
  return new_barrier(5);
}

static const struct shape five = {new_barrier_of_5, ilk_barrier_timedwait, ilk_barrier_wait,
                                  ilk_barrier_free, TIME_OUT_ENDS_ALL};

START_TEST(bug_11_freed_right_after_the_last_wait)
{
  freed_by_the_first_through(&five);
}
END_TEST

static void *new_barrier_of_any(void)
{
  return new_barrier(1 + (int)below(3));
}

static void use(void *b)
{
  int result;
  switch (below(6)) {
  case 0: result = ilk_barrier_abort(b); break;
  case 1: result = ilk_barrier_reset(b); break;
  case 2: result = ilk_barrier_is_broken(b); break;
  case 3: result = ilk_barrier_waiting(b); break;
  case 4: result = ilk_barrier_timedwait(b, 0); break;
  default: result = ilk_barrier_timedwait(b, below(30) * US);
  }
  must(result >= 0 || result == ILK_EHANDLE || result == ILK_ETIMEDOUT || result == ILK_EBROKEN);
}

START_TEST(freed_while_hammered)
{
  freed_while_used(new_barrier_of_any, use, ilk_barrier_free);
}
END_TEST

int main(void)
{
  Suite *s = suite_create("barrier");
  TCase *calls = test_case(s, "calls", 20);
  tcase_add_test(calls, new_checks_its_parties);
  tcase_add_test(calls, every_call_checks_its_handle);
  tcase_add_test(calls, a_party_of_one);
  tcase_add_test(calls, tickets_in_the_order_of_arrival);
  tcase_add_test(calls, a_timeout_breaks_it_for_all);
  tcase_add_test(calls, abort_and_reset);
  tcase_add_test(calls, reset_with_waiters_inside);
  tcase_add_test(calls, broken_during_a_reset);
  tcase_add_test(calls, cancel_breaks_it);
  tcase_add_test(calls, bug_4_stale_waiter_count_after_timeout);
  tcase_add_test(calls, bug_3_signals_end_no_wait);
  tcase_add_test(calls, bug_12_fork_with_waiters);
  tcase_add_test(calls, resumable_waits_break_no_barrier);
  tcase_add_test(calls, a_thread_that_leaves_breaks_it);
  tcase_add_test(calls, the_last_acts_before_the_others_go);
  tcase_add_test(calls, an_action_that_fails_breaks_it);
  tcase_add_test(calls, freed_while_a_reset_waits_for_one_between_two_parts);
  tcase_add_test(calls, a_thread_outside_cannot_leave);
  tcase_add_loop_test(calls, a_thread_outside_cannot_leave_a_broken_round, 0, 4);
  tcase_add_test(calls, fork_between_two_parts);
  tcase_add_test(calls, resumable_waits_check_their_arguments);

  TCase *load = test_case(s, "load", 20);
  tcase_add_loop_test(load, rounds_in_step, 2, 6);
  tcase_add_test(load, one_action_in_each_round);
  tcase_add_loop_test(load, a_round_is_complete_or_broken_for_all, 1, 4);
  tcase_add_test(load, bug_11_freed_right_after_the_last_wait);
  tcase_add_test(load, freed_while_hammered);
  return run_suite(s);
}
