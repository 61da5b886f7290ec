# SPDX-License-Identifier: Apache-2.0
"""What `make install` puts on a machine: the files, the unit's walls, the manual. The package itself: `make deb-test`."""
import json
import os
import re
import shutil
import subprocess

import pytest

from world.postern import BUILD, PROGRAM, TOP

INSTALLED = {
    'bin/postern',
    'lib/systemd/system/postern.service',
    'lib/sysusers.d/postern.conf',
    'lib/tmpfiles.d/postern.conf',
    'share/bash-completion/completions/postern',
    'share/doc/postern/examples/postern.conf',
    'share/doc/postern/examples/providers.conf',
    'share/man/man1/postern.1',
    'share/man/man5/postern.conf.5',
}
EXPOSURE_MAX = 2.0


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as file:
        return file.read()


def output(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope='module')
def prefix(module_folder):
    """The tree that `make install DESTDIR=…` makes, below its prefix."""
    output('meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', module_folder)
    options = json.loads(output('meson', 'introspect', BUILD, '--buildoptions'))
    where = [option['value'] for option in options if option['name'] == 'prefix'][0]
    return os.path.join(module_folder, where.lstrip('/'))


def test_installed_files(prefix, module_folder):
    found = {os.path.relpath(os.path.join(folder, name), prefix)
             for folder, _, names in os.walk(module_folder) for name in names}
    assert {name for name in found if not re.fullmatch(r'share/doc/postern/\w+\.md', name)} == INSTALLED
    assert 'share/doc/postern/install.md' in found
    assert output(os.path.join(prefix, 'bin/postern'), '--version') == output(PROGRAM, '--version')
    unit = read(prefix, 'lib/systemd/system/postern.service')
    assert '@' not in re.sub(r'^(?:#|SystemCallFilter=).*', '', unit, flags=re.M), 'a name was not filled in'
    program = re.search(r'^ExecStart=(\S+)', unit, re.M).group(1)
    assert prefix.endswith(os.path.dirname(os.path.dirname(program)).lstrip('/'))


def test_unit_is_walled_in(prefix):
    if shutil.which('systemd-analyze') is None:
        pytest.skip('systemd-analyze is not installed: the unit was not judged')
    unit = os.path.join(prefix, 'lib/systemd/system/postern.service')
    got = subprocess.run(['systemd-analyze', 'security', '--offline=true', f'--threshold={int(EXPOSURE_MAX * 10)}', unit],
                         capture_output=True, text=True, check=False, timeout=60)
    score = re.search(r'exposure level for \S+: ([\d.]+)', got.stdout)
    assert score and float(score.group(1)) < EXPOSURE_MAX, got.stdout + got.stderr


def test_manual_is_well_formed(prefix):
    pages = [os.path.join(prefix, 'share/man', name) for name in ('man1/postern.1', 'man5/postern.conf.5')]
    got = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', *pages], capture_output=True, text=True, check=False)
    findings = [line for line in got.stdout.splitlines() if 'referenced manual not found' not in line]
    assert not findings, '\n'.join(findings)


def test_manual_knows_every_command_and_option(prefix):
    page = read(prefix, 'share/man/man1/postern.1')
    commands = re.findall(r'^  ([a-z][a-z-]*) ', output(PROGRAM, '--help'), re.M)
    assert len(commands) > 10
    for command in commands:
        assert re.search(rf'^\.It (?:.*\| )?Cm {command}\b', page, re.M), f'postern(1) does not explain {command}'
        if command == 'version':
            continue
        for option in re.findall(r'--([a-z][a-z-]*)', output(PROGRAM, command, '--help')):
            assert re.search(rf'Fl -{option}\b', page), f'postern(1) lacks --{option} of {command}'


def test_manual_knows_every_setting(prefix):
    """The sample is held against the table in the code by a room test; the page is made from the sample."""
    page = read(prefix, 'share/man/man5/postern.conf.5').replace('\\', '')
    names = re.findall(r'^(?:#(?: {3,})?| *)([a-z_0-9]+) = ', read(TOP, 'conf/postern.conf'), re.M)
    assert len(names) > 70
    for name in names:
        assert re.search(rf'^\.It Ic "&{name} = ', page, re.M), f'postern.conf(5) lacks {name}'


def test_completion(prefix):
    """Commands from the program itself, so that none is forgotten."""
    script = (f'PATH={os.path.dirname(PROGRAM)}:$PATH; '
              '_init_completion() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${words[cword]} '
              'prev=${words[cword-1]}; }; '
              f'source {prefix}/share/bash-completion/completions/postern; '
              'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postern; printf "%s\\n" "${COMPREPLY[@]}"')
    offered = lambda *words: output('bash', '-c', script, 'bash', *words).split()
    assert offered('postern', 'ret') == ['retract']
    assert {'serve', 'check', 'trace', '--version'} <= set(offered('postern', ''))
    assert offered('postern', 'key', 'r') == ['rotate', 'restore']
    assert '--since' in offered('postern', 'trace', '--')


def test_one_version():
    version = re.search(r"version: '([^']+)'", read(TOP, 'meson.build')).group(1)
    assert output(PROGRAM, '--version').strip() == f'postern {version}'
    assert re.match(r'postern \(([^)]+)\)', read(TOP, 'debian/changelog')).group(1) == version
    assert re.search(r'^## (\S+)', read(TOP, 'CHANGES.md'), re.M).group(1) == version


def test_program_is_hardened():
    if 'asan' in BUILD:
        pytest.skip('a sanitizer build is not what is installed')
    assert re.search(r'Type:\s+DYN', output('readelf', '-h', PROGRAM)), 'not position independent'
    assert 'NOW' in output('readelf', '-d', PROGRAM), 'symbols are bound late'
    assert '__stack_chk_fail' in output('readelf', '--dyn-syms', '-W', PROGRAM), 'no stack protector'
    stack = re.search(r'GNU_STACK.*', output('readelf', '-lW', PROGRAM)).group(0)
    assert 'RWE' not in stack, 'an executable stack'
