# SPDX-License-Identifier: Apache-2.0
"""What the lints share: the list of source files, text without comments, exceptions.

An exception is a line in tools/lint-exceptions.txt:  LINT PATH WORD DATE REASON
It silences findings of LINT in PATH that contain WORD (`*` = any). One that silences nothing is
itself a finding, so the list can only shrink.
"""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXCEPTIONS = os.path.join('tools', 'lint-exceptions.txt')


def files(*patterns):
    """Paths, relative to the top, of tracked and new files (not ignored ones) that match."""
    listing = subprocess.run(['git', '-c', f'safe.directory={TOP}', '-C', TOP, 'ls-files', '-z',
                              '--cached', '--others', '--exclude-standard', '--', *patterns],
                             capture_output=True)
    if listing.returncode == 0:
        names = listing.stdout.decode().split('\0')
    else:  # an unpacked archive
        names = [os.path.relpath(os.path.join(folder, name), TOP)
                 for folder, _, found in os.walk(TOP) for name in found]
        wanted = [re.compile(re.escape(pattern).replace(r'/\*\*/', '/(?:.*/)?').replace(r'\*', '.*') + '$')
                  for pattern in patterns]  # as git reads them: a star crosses folders
        names = [name for name in names if not name.startswith(('build', '.git/')) and '__pycache__' not in name and
                 any(pattern.match(name) for pattern in wanted)]
    return sorted(name for name in set(names) if name and os.path.isfile(os.path.join(TOP, name)))


def read(path):
    with open(os.path.join(TOP, path), encoding='utf-8', errors='replace') as file:
        return file.read()


def code_only(text):
    """The same text with comments, strings and characters blanked, line breaks kept."""
    def blank(match):
        return re.sub(r'[^\n]', ' ', match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', blank, text,
                  flags=re.S)


def finish(lint, findings, is_whole=True):
    """
    Print findings (path, line, words) that have no exception; 1 if there are any. is_whole: everything was
    looked at, so that an exception without a finding is one too many.
    """
    rules = []
    if os.path.exists(os.path.join(TOP, EXCEPTIONS)):
        for number, line in enumerate(read(EXCEPTIONS).splitlines(), 1):
            if line.strip() and not line.startswith('#'):
                parts = line.split(None, 4)
                if len(parts) < 5 or not re.fullmatch(r'\d{4}-\d\d-\d\d', parts[3]):
                    findings.append((EXCEPTIONS, number, 'wants: LINT PATH WORD DATE REASON'))
                elif parts[0] == lint:
                    rules.append([parts[1], parts[2], number, 0])
    left = []
    for path, line, words in findings:
        for rule in rules:
            if rule[0] == path and (rule[1] == '*' or rule[1] in words):
                rule[3] += 1
                break
        else:
            left.append((path, line, words))
    left += [(EXCEPTIONS, rule[2], f'this exception for {rule[0]} is no longer needed')
             for rule in rules if rule[3] == 0 and is_whole]
    for path, line, words in left:
        print(f'{path}:{line}: {words}')
    if left:
        print(f'lint-{lint}: {len(left)} finding(s)', file=sys.stderr)
    return 1 if left else 0
