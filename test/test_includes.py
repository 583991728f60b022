"""The modules of src/ form layers, and no two of them need each other.

    test_includes.py TOP [--print]        prints TAP; --print: the modules instead, each after those that it includes

A module is NAME.c with NAME.h. A file includes headers of its own folder and of the folders before it (LAYERS). Only src/os/
includes the system's headers. Only atomic.h has atomic operations, so no model or test with jitter can miss one.
"""
import re
import sys
from pathlib import Path

LAYERS = ['base', 'os', 'core', 'sync', 'python']

# Outside os/ these alone: headers of the language.
STANDARD = {'assert.h', 'inttypes.h', 'limits.h', 'stdarg.h', 'stdatomic.h', 'stdbool.h', 'stddef.h', 'stdint.h', 'stdio.h',
            'stdlib.h', 'string.h'}
PUBLIC = 'interlock.h'

# Other names of the language's atomic operations than those of atomic.h. A signal fence is none.
ATOMIC = (r'\b(atomic_(load|store|exchange|fetch_\w+|compare_exchange_\w+|thread_fence|flag_\w+)(_explicit)?'
          r'|__(atomic|sync)_\w+)\s*\(')
OPERATION = r'#define ((?:load|store|exchange|add|sub|or|and|xor|cas|fence)_\w+)\([^)]*\)(.*?)(?<!\\)\n'


def includes_of(text):
    """(line, the header's name, whether it is one of ours) of each include."""
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', text, re.M):
        yield text.count('\n', 0, match.start()) + 1, match[2], match[1] == '"'


def without_comments(text):
    return re.sub(r'/\*.*?\*/', lambda match: re.sub(r'[^\n]', ' ', match[0]), text, flags=re.S)


def sources(top):
    """{'core/handle.c': its text}"""
    folder = top / 'src'
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob('*.[ch]'))}


def module_of(name):
    return Path(name).stem


def back_edges(files):
    """The includes that go to a later layer, or to a header that is not there."""
    where = {Path(name).name: name for name in files}
    wrong = []
    for name, text in files.items():
        layer = name.split('/')[0]
        if layer not in LAYERS:
            wrong.append(f'{name}: its folder is none of {", ".join(LAYERS)}')
            continue
        for line, header, is_ours in includes_of(text):
            if not is_ours or header == PUBLIC:
                continue
            if header not in where:
                wrong.append(f'{name}:{line}: there is no {header}')
            elif LAYERS.index(where[header].split('/')[0]) > LAYERS.index(layer):
                wrong.append(f'{name}:{line}: includes {where[header]}, of a later layer')
    return wrong


def graph_of(files):
    """{module: the modules that it includes}"""
    graph = {}
    for name, text in files.items():
        needs = graph.setdefault(module_of(name), set())
        needs |= {module_of(header) for _, header, is_ours in includes_of(text) if is_ours and header != PUBLIC}
        needs.discard(module_of(name))
    return graph


def in_order(graph):
    """(the modules, each after those that it includes; the cycles, each as a list that ends where it begins)."""
    order, cycles, state = [], [], {}

    def visit(module, path):
        state[module] = 'open'
        for other in sorted(graph.get(module, ())):
            if state.get(other) == 'open':
                cycles.append([*path[path.index(other):], other])
            elif other not in state:
                visit(other, [*path, other])
        state[module] = 'done'
        order.append(module)

    for module in sorted(graph):
        if module not in state:
            visit(module, [module])
    return order, cycles


def cycles_of(files):
    return [' -> '.join(cycle) for cycle in in_order(graph_of(files))[1]]


def system_headers(files):
    """The headers of the system outside os/."""
    return [f'{name}:{line}: <{header}>' for name, text in files.items() if not name.startswith('os/')
            for line, header, is_ours in includes_of(text) if not is_ours and header not in STANDARD]


def twins(files):
    """Two headers of one name: the compiler would take the first that it finds."""
    names = [Path(name).name for name in files]
    return sorted({name for name in names if names.count(name) > 1})


def bare_atomics(files):
    """Atomic operations outside atomic.h; and there, those that do not go through ATOMIC."""
    wrong = []
    for name, text in files.items():
        code = without_comments(text)
        wrong += [f'{name}:{code.count(chr(10), 0, match.start()) + 1}: {match[0]}' for match in re.finditer(ATOMIC, code)]
        if name.endswith('/atomic.h'):
            wrong += [f'{name}: {operation}' for operation, body in re.findall(OPERATION, code, re.S)
                      if not re.match(r'[\s\\]*ATOMIC(_\w+)?\(', body)]
    return wrong


CHECKS = [
    ('includes go to the same folder or to one before it', back_edges),
    ('no two modules include each other, directly or not', cycles_of),
    ('only src/os/ includes headers of the system', system_headers),
    ('each name is that of one file', twins),
    ('every atomic operation goes through ATOMIC of atomic.h', bare_atomics),
]


def self_test(files):
    """A check that finds nothing in these would prove nothing."""
    bad = [
        (back_edges, {'os/os.h': '#include "call.h"\n', 'core/call.h': ''}),
        (back_edges, {'core/a.c': '#include "gone.h"\n'}),
        (back_edges, {'house/a.c': ''}),
        (cycles_of, {'core/a.h': '#include "b.h"\n', 'core/b.h': '', 'core/b.c': '  # include "a.h"\n'}),
        (cycles_of, {'core/a.c': '#include "b.h"\n', 'core/a.h': '', 'core/b.h': '#include "c.h"\n', 'core/c.h': '',
                     'core/c.c': '#include "a.h"\n'}),
        (system_headers, {'sync/a.c': '#include <pthread.h>\n'}),
        (twins, {'core/a.h': '', 'sync/a.h': ''}),
        (bare_atomics, {'core/a.c': 'x = atomic_load(&y);'}),
        (bare_atomics, {'core/a.c': 'x = __atomic_fetch_add (&y, 1, 5);'}),
        (bare_atomics, {'base/atomic.h': '#define load_relaxed(p) atomic_what(p)\n'}),
    ]
    good = {'base/atomic.h': '#define load_relaxed(p) ATOMIC_LOAD(p, relaxed)\n#define cas_x(p) \\\n  ATOMIC(p)\n',
            'core/a.c': '#include "a.h"\n#include <string.h>\n#include "interlock.h"\n'
                        '/* atomic_load(p) */ int x = ilk_atomic_load(p);',
            'core/a.h': '#include "atomic.h"\n'}
    wrong = [f'not found to be wrong: {text}' for check, text in bad if not check(text)]
    wrong += [f'{what}' for _, check in CHECKS for what in check(good)]
    # A back edge in the sources themselves.
    edge = {**files, 'base/common.h': files.get('base/common.h', '') + '#include "handle.h"\n'}
    return wrong + [f'{check.__name__} does not find a back edge' for check in (back_edges, cycles_of) if not check(edge)]


def main(top, *options):
    files = sources(Path(top))
    if '--print' in options:
        print('\n'.join(in_order(graph_of(files))[0]))
        return 0
    results = [('the checks find what is wrong', self_test(files)),
               ('there are sources', [] if len(files) > 80 else ['too few'])]
    results += [(name, check(files)) for name, check in CHECKS]
    for number, (name, wrong) in enumerate(results, 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {name}')
        for line in wrong:
            print('#', line)
    print(f'1..{len(results)}')
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
