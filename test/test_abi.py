"""The binary interface, as recorded in test/abi.txt: functions with their types, and the values of the constants. All types
are int, int64_t or void *, and the compiler compares the definitions with the header, so the header is the interface.

A function or constant that is removed or changed fails the test until soversion in meson.build is raised, since programs
that are linked with the library would break. An added one fails until it is recorded.

    test_abi.py RECORD HEADER SOVERSION CC...            prints TAP
    test_abi.py --record RECORD HEADER SOVERSION CC...   records what was added; with another soversion, everything
"""
import ast
import re
import sys

import test_header

UNRECORDED = re.compile(r'ILK_(API|VERSION\w*)$')
MISSING = object()


def constant(text):
    """The value of a constant expression of C: integers, their suffixes, parentheses, + and -."""
    tree = ast.parse(re.sub(r'(?<=[0-9a-fA-F])[uUlL]+\b', '', text), mode='eval')
    allowed = (ast.Expression, ast.Constant, ast.UnaryOp, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub)
    if not all(isinstance(node, allowed) for node in ast.walk(tree)):
        raise ValueError(f'{text} is no constant that this test can compute')
    return eval(compile(tree, 'header', 'eval'))


def signature(declaration):
    """'int ilk_x(void *handle, int n)' as name and 'int (void *, int)': names of parameters are not binary interface."""
    result, name, parameters = re.fullmatch(r'(.*?) ?(\w+)\((.*)\)', declaration).groups()
    types = [re.sub(r' ?\b(?!void$|int$|int64_t$)\w+$', '', p) for p in parameters.split(', ')]
    return name, f'{result} ({", ".join(types)})'


def interface(header, soversion, cc):
    """A dictionary: of each function its types, of each constant its value, and the soversion."""
    table = {'soversion': soversion}
    text = test_header.run(*cc, '-E', header).stdout
    for declaration in test_header.declarations(text, 'interlock.h'):
        name, types = signature(declaration)
        table[name] = types
    macros = re.findall(r'^#define (ILK_\w+)', test_header.run(*cc, '-E', '-dM', header).stdout, re.M)
    names = sorted(m for m in macros if not UNRECORDED.match(m))
    program = f'#include "{header}"\n' + ''.join(f'"{name}" = {name};\n' for name in names)
    text = re.sub(r'^#.*\n', '', test_header.run(*cc, '-E', '-x', 'c', '-', text=program).stdout, flags=re.M)
    for name, value in re.findall(r'"(ILK_\w+)" =\s([^;]*);', text):
        table[name] = str(constant(' '.join(value.split())))
    missing = set(names) - set(table)
    if missing:
        raise ValueError(f'without a value: {missing}')
    return table


def read(path):
    with open(path, encoding='utf-8') as file:
        lines = [line.rstrip('\n') for line in file if line.strip() and not line.startswith('#')]
    return dict(line.split(': ', 1) for line in lines)


def write(path, table):
    with open(path, 'w', encoding='utf-8', newline='\n') as file:
        file.write('# The binary interface of the library, compared by test_abi.py, which also writes this file.\n')
        for name in ['soversion', *sorted(set(table) - {'soversion'})]:
            file.write(f'{name}: {table[name]}\n')


def broken(recorded, now):
    """What programs that are linked with the recorded interface would miss."""
    return [f'{name}: was {value}, is {now.get(name, "removed")}; such a change needs a higher soversion in meson.build'
            for name, value in recorded.items() if now.get(name, MISSING) != value and name != 'soversion']


def added(recorded, now):
    return [f'{name}: {now[name]}, not recorded; the build target record-abi does that'
            for name in now if name not in recorded]


def self_test():
    """A comparison that finds nothing wrong in these would prove nothing."""
    old = {'soversion': '0', 'ilk_x': 'int (void *)', 'ILK_Y': '-3'}
    wrong = []
    for bad in ({**old, 'ilk_x': 'int (void *, int)'}, {**old, 'ILK_Y': '-4'}, {k: old[k] for k in ('soversion', 'ilk_x')}):
        wrong += [] if broken(old, bad) and not added(old, bad) else [f'not found to be wrong: {bad}']
    if not added(old, {**old, 'ilk_z': 'int (void)'}) or broken(old, {**old, 'ilk_z': 'int (void)'}):
        wrong.append('an addition is not found, or is taken for a change')
    for text, value in [('(-9223372036854775807L - 1)', -2**63), ('(-0x7fffffffffffffffLL-1)', -2**63), ('(-3)', -3),
                        ('16', 16)]:
        if constant(text) != value:
            wrong.append(f'{text} is {constant(text)}')
    for text, wanted in [('void *ilk_x(int flags)', ('ilk_x', 'void * (int)')), ('int ilk_x(void)', ('ilk_x', 'int (void)')),
                         ('int64_t ilk_x(void *h, int64_t n, int f)', ('ilk_x', 'int64_t (void *, int64_t, int)'))]:
        if signature(text) != wanted:
            wrong.append(f'{text} is {signature(text)}')
    return wrong


def main(record, header, soversion, *cc):
    recorded, now = read(record), interface(header, soversion, cc)
    test_header.result('the comparison finds what is wrong', self_test())
    few = [] if len(now) > 100 else [f'only {len(now)} names found']
    if recorded['soversion'] == soversion:
        test_header.result('nothing is removed or changed', few + broken(recorded, now))
        test_header.result('additions are recorded', few + added(recorded, now))
    else:
        test_header.result('the interface is that of the record',
                           [f'the record is of soversion {recorded["soversion"]}, the library has {soversion}'])
    print(f'1..{len(test_header.results)}')
    return 0 if all(test_header.results) else 1


def update(record, header, soversion, *cc):
    now = interface(header, soversion, cc)
    try:
        recorded = read(record)
    except FileNotFoundError:
        recorded = {'soversion': None}
    problems = broken(recorded, now) if recorded['soversion'] == soversion else []
    if problems:
        sys.exit('\n'.join(problems))
    write(record, now)


if __name__ == '__main__':
    if sys.argv[1] == '--record':
        update(*sys.argv[2:])
    else:
        sys.exit(main(*sys.argv[1:]))
