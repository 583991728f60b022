"""The header, as a C compiler sees it: it compiles alone in each language, has signatures of
int, int64_t and void * only, and declares the functions that the library exports.

    test_header.py HEADER LIBRARY NM CC...        prints TAP
"""
import re
import subprocess
import sys

TYPE = r'(?:int|int64_t|void \*)'
FUNCTION = re.compile(rf'{TYPE} ?(ilk_[a-z0-9_]+)\((void|{TYPE} ?\w+(?:, {TYPE} ?\w+)*)\)')
LANGUAGES = [('c', 'c99'), ('c', 'c11'), ('c', 'c17'), ('c++', 'c++17')]


def declarations(text, header):
    """What the preprocessed text declares in the header itself, one string each."""
    own, lines = False, []
    for line in text.splitlines():
        marker = re.match(r'# \d+ "(.*?)"', line)
        if marker:
            own = marker[1].endswith(header)
        elif own:
            lines.append(line)
    text = ' '.join(lines)
    text = re.sub(r'__attribute__ *\(\((visibility *\("default"\))\)\)', '', text)
    parts = re.sub(r'\s+', ' ', text).split(';')
    return [p.strip() for p in parts if p.strip()]


def functions(text, header):
    """The names of the functions, and what is wrong."""
    names, wrong = [], []
    for declaration in declarations(text, header):
        match = FUNCTION.fullmatch(declaration)
        if match:
            names.append(match[1])
        else:
            wrong.append(declaration)
    return names, wrong


def self_test():
    """A walk that finds nothing wrong in these would prove nothing."""
    bad = ['double ilk_x(void)', 'int ilk_x(double y)', 'int ilk_x(int, int)', 'int ilk_x()', 'int ilk_x(int y, ...)',
           'int ilk_x(const void * y)', 'int ilk_x(void *y, size_t z)', 'unsigned ilk_x(void)', 'int64_t *ilk_x(void)',
           'int ilk_x(void (*f)(void))', 'extern int ilk_x', 'typedef int ilk_x', 'struct ilk_x { int y', 'int other(void)',
           'uint32_t ilk_x(void)', 'static int ilk_x(void)', 'int ilk_x(int y[2])', 'char * ilk_x(void)', 'void ilk_x(void)']
    good = ['int ilk_x(void)', 'void *ilk_x(int flags)', 'int64_t ilk_x(void *h, int64_t n, int f)']
    wrap = '# 1 "a/interlock.h" 1\n__attribute__((visibility("default"))) {};\n# 9 "other.h"\ndouble ilk_y(void);\n'
    return ([b for b in bad if not functions(wrap.format(b), 'interlock.h')[1]] +
            [g for g in good if functions(wrap.format(g), 'interlock.h')[1]])


results = []


def result(name, problems, skip=''):
    results.append(not problems)
    print(f'{"not ok" if problems else "ok"} {len(results)} - {name}' + (f' # SKIP {skip}' if skip else ''))
    for problem in problems:
        print('#', problem)


def run(*command, text=''):
    return subprocess.run(command, input=text, capture_output=True, text=True)


def main(header, library, nm, *cc):
    result('the walk finds what is wrong', self_test())

    preprocessed = run(*cc, '-E', header).stdout
    names, wrong = functions(preprocessed, 'interlock.h')
    result('signatures are of int, int64_t and void *', wrong if names else ['no function found'])
    result('no function is declared twice', sorted({n for n in names if names.count(n) > 1}))

    if library.endswith('.dll'):  # the import library names what it exports
        library = library.rpartition('-')[0] + '.dll.a'
        listed = [line for line in run(nm, '--defined-only', library).stdout.split('\n') if re.search(r' T ilk_', line)]
    else:
        listed = run(nm, '-D', '--defined-only', library).stdout.split('\n')
    # A build that measures coverage has its runtime's symbols too; one for musl, those of its crti.o.
    listed = [line for line in listed if 'gcov' not in line and 'mangle_path' not in line]
    listed = [line for line in listed if not line.endswith((' T _init', ' T _fini'))]
    exported = {line.split()[-1].split('@')[0] for line in listed if line.strip()}
    result('every function is exported', sorted(set(names) - exported) if exported else ['no symbols found'])
    result('nothing else is exported', sorted(exported - set(names)))
    result('only functions are exported', [line for line in listed if line.strip() and line.split()[-2] != 'T'])

    macros = re.findall(r'^#define (\w+)', run(*cc, '-E', '-dM', header).stdout, re.M)
    before = re.findall(r'^#define (\w+)', run(*cc, '-E', '-dM', '-include', 'stdint.h', '-x', 'c', '-').stdout, re.M)
    result('macros begin with ILK_', [m for m in set(macros) - set(before) if not re.match('ILK_|INTERLOCK_H$', m)])

    warnings = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only']
    for language, standard in LANGUAGES:
        compiler = [*cc, '-x', language, f'-std={standard}', *warnings, '-']
        if run(*compiler, text='int main(void) { return 0; }\n').returncode:
            result(f'compiles alone as {standard}', [], skip='this compiler does not')
            continue
        program = f'#include "{header}"\n#include "{header}"\nint main(void) {{ return ilk_version() != ILK_VERSION; }}\n'
        result(f'compiles alone as {standard}', run(*compiler, text=program).stderr.splitlines())

    print(f'1..{len(results)}')
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
