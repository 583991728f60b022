/* The ring of a queue (src/sync/queue_ring.h), under sequential consistency: two threads with three puts in
   all, and two with three gets, for capacities 1 and 2. Checked: each item is taken once, by a get that has
   read it whole, in each producer's order; full and empty were true at some moment of the call.

   Mutants, each of which must fail:
     NO_SEQUENCE  a get does not check the sequence number, and so takes
                  what is claimed, complete or not
     NO_READ      a get reads the item only after it has taken the position
     NO_BOUND     a put assumes a greater head than the one it knows */

#define PUTS 2 /* of the first producer; the second has one less. Gets likewise */

byte capacity; /* 1 or 2 */
byte tail = 0, head = 0, head_known = 0;
byte sequence[2], item[2];
byte last[2]; /* the number of items taken of each producer */

/* For the checks: was the ring full (empty) at some moment since the call began? */
bool was_full[2], was_empty[2];

inline note()
{
  if
  :: tail - head == capacity -> was_full[0] = true; was_full[1] = true
  :: tail == head -> was_empty[0] = true; was_empty[1] = true
  :: else
  fi
}

proctype producer(byte me)
{
  byte my_tail, my_head, n = 1;
  do
  :: n > PUTS - me -> break
  :: else ->
     d_step { my_tail = tail; was_full[me] = (tail - head == capacity) }
try:
     if
#ifdef NO_BOUND
     :: my_tail - head_known > capacity ->
#else
     :: my_tail - head_known >= capacity || head_known > my_tail ->
#endif
        my_head = head;
        head_known = my_head;
        if
        :: tail != my_tail -> my_tail = tail; goto try
        :: tail == my_tail ->
           if
           :: my_tail - my_head >= capacity -> assert(was_full[me]); goto next
           :: else
           fi
        fi
     :: else
     fi;
     d_step {
       if
       :: tail == my_tail -> tail++; note()
       :: else -> my_tail = 255
       fi
     }
     if
     :: my_tail == 255 -> my_tail = tail; goto try
     :: else
     fi;
     assert(my_tail - head < capacity); /* it was not full */
     item[my_tail % capacity] = me * PUTS + n;
     sequence[my_tail % capacity] = my_tail + 1;
     n++;
next:
     skip
  od
}

/* The item taken is the next of its producer. */
inline check()
{
  assert(seen != 0);
  my_tail = (seen - 1) / PUTS;
  assert((seen - 1) % PUTS == last[my_tail]);
  last[my_tail]++
}

proctype consumer(byte me)
{
  byte my_tail, my_head, seen, n = 1;
  do
  :: n > PUTS - me -> break
  :: else ->
     d_step { my_head = head; was_empty[me] = (tail == head) }
try:
     if
#ifdef NO_SEQUENCE
     :: tail != my_head ->
#else
     :: sequence[my_head % capacity] == my_head + 1 ->
#endif
#ifndef NO_READ
        seen = item[my_head % capacity];
#endif
        d_step {
          if
          :: head == my_head ->
             head++; note();
#ifndef NO_READ
             check()
#endif
          :: else -> my_head = 255
          fi
        }
        if
        :: my_head == 255 -> my_head = head; goto try
        :: else
        fi;
#ifdef NO_READ
        d_step { seen = item[my_head % capacity]; check() }
#endif
        n++
     :: else ->
        my_tail = tail;
        if
        :: head != my_head -> my_head = head; goto try
        :: head == my_head ->
           if
           :: my_tail <= my_head -> assert(was_empty[me])
           :: else /* claimed and not complete */
           fi
        fi
     fi
  od
}

init {
  atomic {
    if
    :: capacity = 1
    :: capacity = 2
    fi;
    run producer(0); run producer(1); run consumer(0); run consumer(1)
  }
}
