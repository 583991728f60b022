"""Comments, docstrings and docs use the terms of the glossary in docs/design.md, and not the words that they replaced.

    test_terms.py TOP [--identifiers]        prints TAP

Text in backquotes and names that are code (with `_`, a dot or a parenthesis) are not words. Old words that
are also plain English everywhere (place, standing, recent, wanted) are not searched for. The code of the library must not
have the old identifiers either; with --identifiers, nor must the code of tests, models, benchmarks and examples.
"""
import ast
import io
import re
import sys
import tokenize
from pathlib import Path

# What is searched, and for which files.
FOLDERS = ['include', 'src', 'python', 'test', 'bench', 'script', 'examples', 'docs']
TOP = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'meson.build', 'meson_options.txt', 'pyproject.toml']
C = {'.c', '.h', '.cpp', '.hpp', '.cc', '.pml'}
# Written by script/mutants, with names of the sources.
GENERATED = {'docs/mutants.md'}
THIS = 'test/test_terms.py'

# Old word -> the term of the field.
TERMS = [
    (r'\bwho(ever|m)?\b', 'the thread that'),
    (r'\b(no|some|any|every)body\b', 'no thread, another thread'),
    (r'\blook(s|ed|ing)?\b(?! (up|like)\b)', 'check, load; recheck'),
    (r'\banswer(s|ed|ing)?\b', 'return'),
    (r'\btold\b', 'is reported'),
    (r'\bcircles?\b', 'deadlock cycle'),
    (r'\blaws?\b', 'state transitions'),
    (r'\brooms\b|\b(the|a|each|this|which) room\b(?! (for|to))', 'module'),
    (r'\b(the|a) turn\b|\bturns?(?= (word|number|has changed))', 'epoch, sequence number'),
    (r'\b(un)?(announce[sd]?|announcing)\b', 'prepare a wait'),
    (r'\bwithdr[ae]ws?\b|\bwithdrawn\b', 'cancel, finish a wait'),
    (r'\brous(e|es|ed|ing)\b', 'force wake'),
    (r'\b(put|puts|putting)( \w+)? off\b|\blate (wakes?|wakers?)\b', 'deferred'),
    (r'\b(give|gives|gave|giving)( (it|them|the \w+|its \w+)) (up|back)\b|\bgiven (up|back)\b', 'release'),
    (r'\b(give|gives|gave|giving) (up|back) (it|them|the|its|a|what|all)\b', 'release'),
    (r'\b(take|takes|took|taken|taking)( (it|them|the \w+|its \w+))? back\b', 'reacquire'),
    (r'\b(let|lets|letting)( \w+)? go\b', 'satisfied; wake'),
    (r'\bheirs?\b|\borphan(s|ed)?\b', 'owner dead, its waiters'),
    (r'\bin parts\b', 'resumable wait'),
    (r'\bseals?\b', 'cached tag and slow-path flags'),
    (r'\bin vain\b|\bcomes? round\b|\bfor ever\b', 'without effect; again; forever'),
    (r'\b[Bb]ugs? \d{1,2}\b', 'say what was wrong: no list of bugs is in the tree'),
]

# (file, part of the text, why the word is right there)
ALLOWED = []

# Identifiers that the library's sources had.
LIBRARY = ('src/', 'include/')
IDENTIFIERS = [
    r'struct self\b', r'\bself_\w+', r'\bseal\b', r'\bannounce\b', r'\bwithdraw\b', r'\b(\w+_)?rouse\b', r'\blet_go\b',
    r'\bORPHAN\b', r'\b(\w+_)?heirs\b', r'\blate_\w+', r'\b\w+_late\b', r'\b(\w+_)?give_up\b', r'\btake_back\b',
    r'\bSTANDING\w*', r'\b\w*circle\w*', r'\b\w+_look\b', r'\bwho_\w+',
]
# Elsewhere these are good names.
IDENTIFIERS_OF_THE_LIBRARY = [r'\bturn\b', r'\bwanted\b', r'\brecent\b']


# A string, a character or a comment.
C_TOKEN = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*'


def c_comments(text):
    """(offset, text) of each comment. Strings are skipped, also those with // in them."""
    for match in re.finditer(C_TOKEN, text, re.S):
        if match[0][0] == '/':
            yield match.start(), match[0]


def python_comments(text):
    offsets = [0]
    for line in text.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield offsets[token.start[0] - 1] + token.start[1], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            yield offsets[node.body[0].lineno - 1], ast.get_docstring(node, clean=False)


def shell_comments(text):
    for match in re.finditer(r'(?:^|(?<=\s))#[^\n]*', text):
        yield match.start(), match[0]


def page_text(text):
    """A page without its blocks of code."""
    last = 0
    for match in re.finditer(r'^( *)```.*?^\1```', text, re.M | re.S):
        yield last, text[last:match.start()]
        last = match.end()
    yield last, text[last:]


def kind_of(path, text):
    if path.suffix in C:
        return c_comments
    if path.suffix in ('.py', '.pyi') or re.match(r'#!.*python', text):
        return python_comments
    if path.suffix == '.md':
        return page_text
    if path.suffix == '' or path.suffix in ('.sh', '.build', '.txt', '.toml'):
        return shell_comments
    return None


def words_only(text):
    """The text with the same length, without code: backquoted text, names, and what marks a comment's lines."""
    def blank(match):
        return ' ' * len(match[0])
    text = re.sub(r'``.*?``|`[^`\n]*`', blank, text, flags=re.S)
    text = re.sub(r'[\w.]*(?:\w_|_\w|\w\.\w|->|\w\()[\w.>-]*', blank, text)
    return re.sub(r'(?<=\n)\s*(\*|//|#)', blank, text)


def find(name, text):
    """What is wrong in a file: (line, words, what to write) of each."""
    kind = kind_of(Path(name), text)
    if kind is None:
        return
    for offset, comment in kind(text):
        plain = words_only(comment)
        for pattern, term in TERMS:
            for match in re.finditer(re.sub(' ', r'\\s+', pattern), plain, re.I):
                around = ' '.join(plain[max(0, match.start() - 30):match.end() + 30].split())
                if not any(name == file and part in around for file, part, _ in ALLOWED):
                    yield text.count('\n', 0, offset + match.start()) + 1, around, term


def find_identifiers(name, text):
    """The old identifiers in the code of a C file: (line, identifier) of each."""
    if Path(name).suffix not in C:
        return
    code = re.sub(C_TOKEN, lambda match: re.sub(r'[^\n]', ' ', match[0]), text, flags=re.S)
    patterns = IDENTIFIERS + (IDENTIFIERS_OF_THE_LIBRARY if name.startswith(LIBRARY) else [])
    for match in re.finditer('|'.join(patterns), code):
        yield text.count('\n', 0, match.start()) + 1, match[0]


def files(top):
    for path in [*(p for folder in FOLDERS for p in sorted((top / folder).rglob('*'))), *(top / name for name in TOP)]:
        name = path.relative_to(top).as_posix()
        if path.is_file() and name not in GENERATED and name != THIS and '__pycache__' not in name:
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                pass


def self_test():
    """A search that finds nothing in these would prove nothing; and it must not find words in code."""
    bad = {
        'a.c': ['/* Whoever holds it looks\n   again. */', 'int x; // it is told', '/* gives\n * it up */', '/* bug 12 */', '/* Nobody\n   waits. */'],
        'a.py': ['# nobody waits', 'def f():\n    """It answers 0."""'],
        'a.md': ['It closes the circle.', '`x` is put off'],
        'script': ['#!/bin/sh\nx=1  # takes it back'],
    }
    good = {
        'a.c': ['/* `look` calls who_waits(), and me->answer; x.law */', 'char *s = "who"; /* checks */'],
        'a.py': ['x = "who"', '# `nobody` and nobody_waits'],
        'a.md': ['```c\n/* who */\n```\nA deadlock cycle.', 'See `circle`.'],
        'script': ['#!/bin/sh\nx=who'],
    }
    wrong = [text for name, texts in bad.items() for text in texts if not list(find(name, text))]
    wrong += [text for name, texts in good.items() for text in texts if list(find(name, text))]
    bad_code, good_code = ['struct self *me;', 'wake_late(x);', 'int turn;'], ['/* turn */', 'return_turns(0, "seal");']
    wrong += [code for code in bad_code if not list(find_identifiers('src/a.c', code))]
    return wrong + [code for code in good_code if list(find_identifiers('src/a.c', code))]


results = []


def result(name, problems):
    results.append(not problems)
    print(f'{"not ok" if problems else "ok"} {len(results)} - {name}')
    for problem in problems:
        print('#', problem)


def main(top, *options):
    top = Path(top)
    result('the search finds old words, and none in code', self_test())
    texts = dict(files(top))
    result('there are files', [] if len(texts) > 200 else ['too few'])
    result('comments and docs use the terms of the glossary',
           [f'{name}:{line}: "{words}": {term}' for name, text in texts.items() for line, words, term in find(name, text)])
    result('each exception is needed', [f'{file}: {part}' for file, part, _ in ALLOWED
                                        if part not in ' '.join(words_only(texts.get(file, '')).split())])
    searched = ('',) if '--identifiers' in options else LIBRARY
    result('no old identifier is left', [f'{name}:{line}: {word}' for name, text in texts.items()
                                         if name.startswith(searched) for line, word in find_identifiers(name, text)])
    print(f'1..{len(results)}')
    return 0 if all(results) else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
