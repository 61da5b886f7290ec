# SPDX-License-Identifier: Apache-2.0
"""The development instance that `make run` starts: it shows what it promises, and leaves nothing behind."""
import os
import re
import signal
import socket
import subprocess

import pytest

from world import free_port, wait_until
from world.machine import PATIENCE
from world.postern import PROGRAM, TOP

RUN = os.path.join(TOP, 'tools', 'development', 'run')
PORTS = 7

pytestmark = [pytest.mark.needs('aiosmtpd', 'msmtp'), pytest.mark.limit(150)]


def start(folder, *arguments):
    return subprocess.Popen([RUN, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, cwd='/',
                            env={**os.environ, 'TMPDIR': folder})


def finish(process, seconds=120 * PATIENCE):
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        raise AssertionError('it does not end:\n' + process.communicate(timeout=40)[0]) from None


def test_sends_one_message_each_way(folder):
    process = start(folder, '--once', '--port-base', str(free_port(PORTS)), PROGRAM)
    output = finish(process)
    assert process.returncode == 0, output
    assert re.search(r'patient@good\.test +TLS 1\.3 ', output), output
    assert re.search(r'patient@plain\.test +cleartext ', output), output
    assert re.search(r'clerk@clinic\.test +TLS 1\.3 ', output), output
    assert re.search(r'open https://localhost:\d+/m/\S{43}', output), output
    assert os.listdir(folder) == [], 'something was left behind'


def test_takes_ones_own_message_and_ends_on_a_signal(folder):
    base = free_port(PORTS)
    process = start(folder, '--port-base', str(base), PROGRAM)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if 'Ctrl-C' in line:
                break
        output = ''.join(lines)
        assert process.poll() is None, output
        msmtp = re.search(r'msmtp -C (\S+) ', output).group(1)
        subprocess.run(['msmtp', '-C', msmtp, 'somebody@plain.test'], check=True, timeout=30 * PATIENCE,
                       input=b'To: somebody@plain.test\nSubject: My own\n\nText.\n')
        line = process.stdout.readline()
        assert 'somebody@plain.test' in line and 'cleartext' in line and 'My own' not in line, line
        assert re.search(rf'open https://localhost:{base + 4}/m/', process.stdout.readline())
        # Whatever the address, it stays on this machine.
        subprocess.run(['msmtp', '-C', msmtp, 'friend@example.org'], check=True, timeout=30 * PATIENCE,
                       input=b'To: friend@example.org\nSubject: Elsewhere\n\nText.\n')
        line = process.stdout.readline()
        assert re.search(r'friend@example\.org +TLS 1\.3 +Elsewhere', line), line
        trace = re.search(r'\S+ trace -c \S+ \S+', output).group(0)
        wait_until(lambda: subprocess.run(trace.split(), check=False, timeout=30 * PATIENCE,
                                          capture_output=True).returncode == 0, what='the story')
    finally:
        process.send_signal(signal.SIGINT)
        rest = finish(process, 40 * PATIENCE)
    assert process.returncode == 0, rest
    assert os.listdir(folder) == [], 'something was left behind'


def test_says_which_port_is_taken(folder):
    base = free_port(PORTS)
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', base + 2))
        taken.listen()
        process = start(folder, '--once', '--port-base', str(base), PROGRAM)
        output = finish(process)
    assert process.returncode == 1
    assert f'Port {base + 2} on 127.0.0.1' in output and '--port-base' in output, output
    assert os.listdir(folder) == []


def test_says_that_the_program_is_missing(folder):
    process = start(folder, '--once', folder + '/postern')
    output = finish(process)
    assert process.returncode == 1 and 'make' in output, output
