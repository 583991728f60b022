"""Finds the mutants of a source for script/mutants, and weaves them all into it.

A woven source has every mutant in it. The environment variable INTERLOCK_MUTANT chooses, by number, the one that a process
runs with. So one build serves all mutants. MUTANTS_REACHED names a file to which a process writes the mutants it reaches."""
import hashlib
import re
from dataclasses import dataclass

KINDS = ['order', 'drop', 'fence', 'wake', 'recheck', 'cas']

OPERATION = re.compile(r'\b(load|store|exchange|add|sub|or|and|xor|cas)_(relaxed|acquire|release|acq_rel|seq_cst)\(')
WAKE = re.compile(r'\b(?!atomic_signal_fence)(?:\w+_)?(?:wake|rouse|signal|settle)(?:_\w+)?\(')
LOADS = re.compile(r'\b(?:load_(?:relaxed|acquire|seq_cst)|fence_light)\(')


def weaker(operation, order):
    """One step down; None: there is none."""
    if order == 'seq_cst':
        return {'load': 'acquire', 'store': 'release'}.get(operation, 'acq_rel')
    return None if order == 'relaxed' else 'relaxed'


NO_CODE = re.compile(r'''/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" |
                         '(?:\\.|[^'\\\n])*' | ^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*''',
                     re.S | re.M | re.X)


def blank(text):
    """The same, with comments, strings and directives as spaces: what is matched is code."""
    return NO_CODE.sub(lambda m: re.sub(r'[^\n]', ' ', m[0]), text)


def closing(text, opening):
    """Where the parenthesis ends that begins there."""
    depth = 0
    for i in range(opening, len(text)):
        depth += {'(': 1, ')': -1}.get(text[i], 0)
        if depth == 0:
            return i
    raise ValueError('a parenthesis does not end')


FUNCTION = re.compile(r'^(?!typedef)[A-Za-z_].*?\b(?!__attribute__)(\w+)\([^;{}]*\)\s*\{', re.M)


def function_at(code, position):
    """Name and begin of the function around the position."""
    found = list(FUNCTION.finditer(code[:position]))
    return (found[-1][1], found[-1].start()) if found else ('?', 0)


@dataclass
class Mutant:
    file: str
    line: int
    function: str
    kind: str
    change: str
    begin: int
    end: int
    text: str
    digest: str  # of the function's code, without comments
    model: tuple = ()  # what the model's program does without being built anew
    number: int = 1  # among those of the same name

    @property
    def name(self):
        """Without the line, which moves when others change."""
        return f'{self.file}:{self.function}: {self.change}' + (f' #{self.number}' if self.number > 1 else '')


def is_statement(code, begin, end):
    """The value of the call is not used there."""
    before, after = code[:begin].rstrip(), code[end:].lstrip()
    if before.endswith('(void)'):
        before = before[:-6].rstrip()
    return after.startswith(';') and bool(re.search(r'[;{}]$|\b(?:else|do)$|\b(?:if|while|for) \([^;{}]*\)$', before))


def mutants_of(path):
    text = path.read_text()
    code = blank(text)
    made = []

    def add(kind, change, begin, end, replacement, model=()):
        function, first = function_at(code, begin)
        if function != '?':
            line, last = text.count('\n', 0, begin) + 1, text.find('\n}', begin)
            digest = hashlib.sha256(' '.join(code[first:last].split()).encode()).hexdigest()[:12]
            made.append(Mutant(path.name, line, function, kind, change, begin, end, replacement, digest, model))

    for match in OPERATION.finditer(code):
        operation, order = match[1], match[2]
        name, end = f'{operation}_{order}', closing(code, match.end() - 1) + 1
        line = text.count('\n', 0, match.start()) + 1
        site = f'{path.name}:{line}:{name}'
        target = text[match.end():end - 1].split(',')[0].strip()
        to = weaker(operation, order)
        if to:
            add('order', f'{name}({target}) -> {to}', match.start(), match.end() - 1, f'{operation}_{to}',
                (f'{site}={to}',))
        if operation != 'load' and operation != 'cas' and is_statement(code, match.start(), end):
            add('drop', f'no {name}({target})', match.start(), end, '(void)0', (f'{site}=dropped',))
        if operation == 'cas' and not is_statement(code, match.start(), end):
            add('cas', f'{name}({target}) ignored', match.start(), end, f'((void){text[match.start():end]}, 1)')
    for match in re.finditer(r'\bfence_(heavy|light|seq_cst)\(', code):
        end = closing(code, match.end() - 1) + 1
        line = text.count('\n', 0, match.start()) + 1
        if match[1] == 'light':
            target = text[match.end():end - 1].split(',')[0].strip()
            for half in ('store_release', 'load_acquire', 'exchange_seq_cst', 'load_seq_cst'):
                operation, order = half.split('_', 1)
                to = weaker(operation, order)
                add('order', f'fence_light({target}): {half} -> {to}', match.start(), match.end() - 1,
                    f'fence_light_{operation}_{to}', (f'{path.name}:{line}:{half}={to}',))
            add('fence', f'fence_light({target}) -> a store and a load', match.start(), match.end() - 1,
                'fence_light_dropped')
        elif is_statement(code, match.start(), end):
            add('fence', f'no fence_{match[1]}()', match.start(), end, '(void)0')
    for match in re.finditer(r'\batomic_signal_fence\(', code):
        end = closing(code, match.end() - 1) + 1
        add('fence', 'no atomic_signal_fence()', match.start(), end, '(void)0')
    for match in WAKE.finditer(code):
        end = closing(code, match.end() - 1) + 1
        if is_statement(code, match.start(), end):
            add('wake', f'no {" ".join(text[match.start():end].split())}', match.start(), end, '(void)0')
    for match in re.finditer(r'\b(if|while) \(', code):
        end = closing(code, match.end() - 1)
        condition = code[match.end():end]
        if LOADS.search(condition) and not re.search(r'\bcas_\w+\(', condition):
            shown = ' '.join(text[match.end():end].split())
            add('recheck', f'{match[1]} ({shown}) never', match.end(), end, f'0 && ({text[match.end():end]})')
    made.sort(key=lambda m: (m.begin, KINDS.index(m.kind)))
    count = {}
    for m in made:
        key = m.name
        count[key] = m.number = count.get(key, 0) + 1
    return made


# Orders that the library does not use, and the fence's halves.
MORE = r'''
#ifndef MORE_ORDERS
#define MORE_ORDERS
#ifdef MODEL_SHIM_H
#define sub_acq_rel(p, v) RMW_(p, v, SITE_SUB, "sub_acq_rel", ORDER_ACQ_REL)
#define or_acq_rel(p, v) RMW_(p, v, SITE_OR, "or_acq_rel", ORDER_ACQ_REL)
#define and_acq_rel(p, v) RMW_(p, v, SITE_AND, "and_acq_rel", ORDER_ACQ_REL)
#define xor_acq_rel(p, v) RMW_(p, v, SITE_XOR, "xor_acq_rel", ORDER_ACQ_REL)
#define exchange_acq_rel(p, v) RMW_(p, v, SITE_EXCHANGE, "exchange_acq_rel", ORDER_ACQ_REL)
#define exchange_relaxed(p, v) RMW_(p, v, SITE_EXCHANGE, "exchange_relaxed", ORDER_RELAXED)
#else
#define sub_acq_rel(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel)
#define or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define and_acq_rel(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acq_rel)
#define xor_acq_rel(p, v) atomic_fetch_xor_explicit((p), (v), memory_order_acq_rel)
#define exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define exchange_relaxed(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#endif
#define fence_light_of(mine, value, theirs, store, load, exchange, load_symmetric) \
  __extension__({                                                                  \
    __typeof__(load_relaxed(theirs)) fence_seen;                                   \
    if (fence_is_asymmetric()) {                                                   \
      store((mine), (value));                                                      \
      atomic_signal_fence(memory_order_seq_cst);                                   \
      fence_seen = load(theirs);                                                   \
    } else {                                                                       \
      (void)exchange((mine), (value));                                             \
      fence_seen = load_symmetric(theirs);                                         \
    }                                                                              \
    fence_seen;                                                                    \
  })
#define fence_light_store_relaxed(m, v, t) \
  fence_light_of(m, v, t, store_relaxed, load_acquire, exchange_seq_cst, load_seq_cst)
#define fence_light_load_relaxed(m, v, t) \
  fence_light_of(m, v, t, store_release, load_relaxed, exchange_seq_cst, load_seq_cst)
#define fence_light_exchange_acq_rel(m, v, t) \
  fence_light_of(m, v, t, store_release, load_acquire, exchange_acq_rel, load_seq_cst)
#define fence_light_load_acquire(m, v, t) \
  fence_light_of(m, v, t, store_release, load_acquire, exchange_seq_cst, load_acquire)
#define fence_light_dropped(mine, value, theirs) \
  __extension__({ store_release((mine), (value)); load_acquire(theirs); })
#endif
'''

# --- weaving -------------------------------------------------------------------------------------

HEADER = '''/* Given to the compiler with -include. */
#ifndef MUTANTS_H
#define MUTANTS_H
#define MUTANTS 4096
#ifndef MUTANTS_MODEL /* where an execution must not cost more */
extern unsigned char *mutants_reached;
#define MUTANT_REACHED(number) __atomic_store_n(&mutants_reached[number], 1, __ATOMIC_RELAXED)
#else
#define MUTANT_REACHED(number) ((void)0)
#endif
extern int mutant_now;
#define MUTANT(number) (MUTANT_REACHED(number), __builtin_expect(mutant_now == (number), 0))
#endif
'''

# At the end of a source of the library. Not in the sections of the model's variables, which are made new all the time.
CHOICE = r'''
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int mutant_now __attribute__((section("mutants"))) = 0;
#ifndef MUTANTS_MODEL
static unsigned char mutants_unread[MUTANTS];
unsigned char *mutants_reached = mutants_unread;
#endif
#pragma GCC diagnostic ignored "-Wprio-ctor-dtor"
__attribute__((constructor(100))) static void mutant_choose(void) /* before the library's own, in kinds.c */
{
  const char *number = getenv("INTERLOCK_MUTANT"), *path = getenv("MUTANTS_REACHED");
  if (number)
    mutant_now = atoi(number);
#ifndef MUTANTS_MODEL
  int file = path ? open(path, O_RDWR) : -1;
  if (file >= 0) {
    void *map = mmap(NULL, MUTANTS, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED)
      mutants_reached = map;
    close(file);
  }
#else
  (void)path;
#endif
  setvbuf(stdout, NULL, _IOLBF, 0); /* a test's result is printed when it ends */
}
'''


def weave(text, mutants, numbers):
    """The source with all of them. Each operation stays on its line, by which the model finds it (Mutant.model)."""
    code = blank(text)
    spans = {}
    for m in mutants:
        end = m.end if code[m.end] != '(' or m.kind == 'recheck' else closing(code, m.end) + 1  # a name's call
        spans.setdefault((m.begin, end), []).append(m)
    ordered = sorted(spans, key=lambda span: (span[0], -span[1]))
    made = woven(text, 0, len(text), ordered, spans, numbers)
    assert made.count('\n') == text.count('\n')
    return made


def woven(text, begin, end, ordered, spans, numbers):
    """What is between the two, with the spans that are within."""
    made, at = [], begin
    for span in ordered:
        if span[0] < at:
            continue
        if span[1] > end:
            raise ValueError(f'mutants that overlap: {text[span[0]:span[1]]}')
        within = [s for s in ordered if s != span and span[0] <= s[0] and s[1] <= span[1]]
        made += [text[at:span[0]], choice(text, span, within, spans, numbers)]
        at = span[1]
    return ''.join([*made, text[at:end]])


def choice(text, span, within, spans, numbers):
    begin, end = span
    here = spans[span]
    inner = woven(text, begin, end, within, spans, numbers)
    is_void = any(m.text == '(void)0' for m in here)
    made = f'(void)({inner})' if is_void else inner
    for m in here:
        if m.kind == 'recheck':
            continue
        if m.text == '(void)0':
            other = m.text
        elif m.kind == 'cas':
            other = f'((void)({inner}), 1)'
        else:  # a name
            other = m.text + woven(text, m.end, end, [s for s in within if s[0] >= m.end], spans, numbers)
            other = f'(void)({other})' if is_void else other
        other = other.replace('\n', ' ')  # a second copy of the text adds no lines
        made = f'(MUTANT({numbers[m.name]}) ? {other} : {made})'
    for m in here:
        if m.kind == 'recheck':
            made = f'!MUTANT({numbers[m.name]}) && ({made})'
    return made
