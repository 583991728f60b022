/* The harness: a cell is one point of the axes (so many threads, so much work), a peer
   one implementation. All peers of a cell are run in turn, round by round, so that
   whatever the machine does meanwhile falls on all of them alike.

   A peer says how one of its objects is made, and runs one thread's loop. The loops
   themselves are in loops.h, and are compiled into each peer's file with its calls
   inlined: an indirect call would cost as much as what is measured. */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LINE 64
#define THREADS_MAX 256
#define PEERS_MAX 32 /* of one kind */
#define ROUNDS_MAX 1000

enum kind {
  LOCK,
  RWLOCK,
  SEMAPHORE,
  BARRIER,
  HANDOVER,
  BROADCAST,
  COUNTER,
  TALLY,
  QUEUE,
  TRYQUEUE,
  LOCKARRAY,
  LIFE,
  KINDS
};
extern const char *const kind_names[KINDS];

enum pinning { ANYWHERE, APART, TOGETHER };

struct cell {
  enum kind kind;
  const char *scenario;
  int threads;
  int inside, outside; /* work in ns; inside 0: nothing at all, not even the check */
  int locks;           /* the threads choose one at random; lockarray: in one object */
  int writes;          /* rwlock: of 1000 */
  int capacity;        /* queue */
  /* Life: so many objects, whose free alone is timed; 0: create and free, both timed. */
  int batch;
  enum pinning pinning;
  bool wants_fairness; /* one long run besides the rounds */
  unsigned goals;      /* the bit 1 << n: goal Sn is read from this cell (bench/goals) */
};

/* Waits in ns, in buckets of an eighth of a power of two. */
#define BUCKETS (64 * 8)
struct histogram {
  uint32_t count[BUCKETS];
};

/* What a lock protects: two numbers that are equal whenever no thread writes. */
struct guarded {
  volatile uint64_t first __attribute__((aligned(LINE)));
  volatile uint64_t second;
};

struct worker {
  int index __attribute__((aligned(LINE)));
  const struct cell *cell;
  void **objects; /* cell->locks of them, or one */
  struct guarded *guarded;
  int *stop;     /* accessed by atomics; a line that changes once */
  int64_t *last; /* barrier: the round that ends it */
  uint64_t random;
  uint64_t inside, outside; /* steps of work() */
  struct histogram *waits;  /* NULL: not measured */
  uint64_t ops, written, wrong;
  int64_t begin, cpu;
  int64_t timed; /* ns of the part that is measured; 0: the whole run */
};

/* WEAKER: does not do all that a goal asks of its kind, such as a queue without a bound: shown,
   never the best peer. */
enum { OURS = 1, PARKS = 2, BASELINE = 4, NOTHING = 8, WEAKER = 16 };

struct peer {
  enum kind kind;
  const char *name;
  int traits;
  int bytes;                          /* an object's size where the caller places it; 0: measured */
  void *(*make)(const struct cell *); /* NULL: not to be had here */
  void (*unmake)(void *);
  void (*run)(struct worker *);
};

/* Families, each ending with NULL; one file each. */
extern const struct peer *const interlock_peers[],
  *const libc_peers[], *const atomic_peers[], *const futex_peers[],
                                                *const python_peers[],
                                                  *const nsync_peers[],
                                                    *const glib_peers[],
                                                      *const absl_peers[],
                                                        *const tbb_peers[],
                                                          *const nothing_peers[],
                                                            *const std_peers[],
                                                              *const moodycamel_peers[],
                                                                *const boost_peers[],
                                                                  *const atomic_queue_peers[],
                                                                    *const rust_peers[];

/* What one peer did in one cell. */
struct figures {
  const struct peer *peer;
  int rounds;
  double ns[ROUNDS_MAX];          /* wall time / operations of all threads */
  double cpu[ROUNDS_MAX];         /* processor time / operations, ns */
  double jain, busiest_to_idlest; /* of the long run; 0: there was none */
  struct histogram waits;
  uint64_t wrong; /* broken exclusion, lost items */
};

struct timing {
  int rounds, ms, long_ms;
};

/* Runs the cell: figures[i] for peers[i], n of them. */
void measure(const struct cell *cell, const struct peer *const *peers, int n,
             const struct timing *timing, struct figures *figures);

/* Bytes for one of many objects of the peer, its own memory and the allocator's. */
double measure_bytes(const struct peer *peer);

/* Where it is allowed: the thread that stops the others goes before them. */
void keep_control(void);

/* Work that takes about `ns`, in steps of work(); calibrated at first use. */
uint64_t work_steps(int ns);

double percentile(const struct histogram *histogram, double q); /* ns; 0: empty */
double quantile(const double *values, int n, double q);

/* Zeroed, on lines of its own: neighbours would be measured too. */
void *line_alloc(size_t size);

int64_t now_ns(void);

#ifdef __cplusplus
}
#endif

#endif
