"""docs/promises.md: every test, scenario, model and mutant that it names exists, and each promise has one.

    test_promises.py TOP        prints TAP
"""
import re
import sys
from pathlib import Path

TEST = r'^START_TEST\({}\)'
RUN = r'tcase_add\w*\([^;]*\b{}\b'
PYTHON = r'^\s*def {}\('
LEGEND = 'written so'


def rows(page):
    """(promise, what shows it) of each row, but those of the legend."""
    in_legend = False
    for line in page.splitlines():
        if not line.startswith('|'):
            in_legend = False
            continue
        cells = [c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]]
        in_legend |= cells[0] == LEGEND
        if not in_legend and cells[0] != 'promise' and not set(cells[0]) <= {'-'}:
            yield cells[0], cells[1]


class Sources:
    def __init__(self, top):
        self.top = top
        self.mutants = re.findall(r'^([^#\s]\S+)', self.read('test/models/real/mutants'), re.M)
        sources = sorted((top / 'test/models/real/scenarios').glob('*.cpp'))
        self.scenarios = re.findall(r'\bSCENARIO(?:_AS)?\((\w+)', '\n'.join(s.read_text() for s in sources))
        usage = re.search(r'of: ([a-z_ ]+)', self.read('test/models/run'))
        self.models = usage[1].split() if usage else []

    def read(self, path):
        path = self.top / path
        return path.read_text() if path.exists() else ''

    def problem(self, name):
        """What is wrong with a name, or ''."""
        if re.fullmatch(r'test_\w+\.py', name):
            return '' if self.read(f'test/{name}') or self.read(f'test/python/{name}') else f'there is no {name}'
        where, separator, what = name.partition(': ')
        if not separator:
            return f'{name} is no name'
        if where == 'real':
            found = what in self.scenarios
        elif where == 'model':
            found = what in self.models
        elif where == 'mutant':
            found = what in self.mutants
        elif where.endswith('.py'):
            found = re.search(PYTHON.format(what), self.read(f'test/python/test_{where}'), re.M)
        else:
            text = self.read(f'test/test_{where}.c')
            found = re.search(TEST.format(what), text, re.M) and re.search(RUN.format(what), text)
        return '' if found else f'there is no {name}'


def problems(page, sources):
    wrong = []
    for promise, shown in rows(page):
        names = re.findall(r'`([^`]+)`', shown)
        if not names:
            wrong.append(f'nothing shows: {promise}')
        wrong += [f'{problem} (of: {promise})' for problem in map(sources.problem, names) if problem]
    return wrong


def self_test(sources):
    """A check that finds nothing wrong in these would prove nothing."""
    page = '| promise | shown by |\n|---|---|\n| p | {} |\n'
    bad = ['', '`mutex: no_such_test`', '`nothing: lock_and_unlock`', '`real: nothing`', '`model: nothing`',
           '`mutant: nothing`', '`locks.py: test_nothing`', '`no.py: test_exclusion`', '`test_nothing.py`',
           '`lock_and_unlock`']
    good = ['`mutex: lock_and_unlock`', '`real: mutex`, `locks.py: test_exclusion`', '`test_header.py`']
    return ([f'not found to be wrong: {b}' for b in bad if not problems(page.format(b), sources)] +
            [p for g in good for p in problems(page.format(g), sources)])


def main(top):
    sources = Sources(Path(top))
    page = sources.read('docs/promises.md')
    count = len(list(rows(page)))
    results = [('the check finds what is wrong', self_test(sources)),
               ('the page has promises', [] if count > 50 else [f'only {count} rows']),
               ('what shows a promise exists', problems(page, sources))]
    print(f'1..{len(results)}')
    for number, (name, wrong) in enumerate(results, 1):
        print(f'{"not ok" if wrong else "ok"} {number} - {name}')
        for line in wrong:
            print('#', line)
    return 1 if any(wrong for _, wrong in results) else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
