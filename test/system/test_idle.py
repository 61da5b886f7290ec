# SPDX-License-Identifier: Apache-2.0
"""Idle TLS sessions: what they cost over all processes, and that mail flows beside them. `make idle SESSIONS=10000`."""
import os
import re
import resource
import subprocess
import time

import pytest

from world.machine import PATIENCE
from world.mails import send
from world.postern import TOP

SESSIONS = int(os.environ.get('IDLE_SESSIONS') or 300)
EACH_MAX_KIB = 45            # so that 10,000 stay below 500 MB with everything else
ALL_MAX_KIB = 500 * 1000**2 / 1024


def memory(server):
    """KiB by role, shared pages counted once (PSS)."""
    found = {}
    for pid, role in [(server.process.pid, 'supervisor')] + [(pid, None) for pid in server.pids()]:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            kib = int(re.search(r'^Pss:\s+(\d+)', file.read(), re.M).group(1))
        with open(f'/proc/{pid}/cmdline', 'rb') as file:
            role = role or next(word for word in re.split(r'\W+', file.read().decode()) if word in
                                ('keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout'))
        found[role] = found.get(role, 0) + kib
    return found


@pytest.mark.needs('inspect', 'cc')
@pytest.mark.limit(60 + SESSIONS // 50)
def test_idle_tls_sessions(world, house, folder, capsys):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < SESSIONS + 500:
        pytest.skip(f'only {hard} open files are allowed here')
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subprocess.run(['make', '-s', '-C', os.path.join(TOP, 'bench'), f'BIN={folder}', f'{folder}/smtp_source'],
                   check=True, capture_output=True)
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'smtpd_processes': 2, 'limits': {'sessions_per_client': 20000, 'sessions': 20000}})
    before = memory(server)
    began = time.monotonic()
    holder = subprocess.Popen(
        [f'{folder}/smtp_source', '--to', f'{server.address}:{server.ports["mx"]}', '--sessions', str(SESSIONS), '--starttls',
         '--idle', '60', '--max-errors', '100'], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = holder.stderr.readline()
        assert 'ready' in line, line
        took = time.monotonic() - began
        time.sleep(2)
        held = sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in server.pids('smtpd'))
        after = memory(server)
        start = time.monotonic()
        send(server, ['a@good.test'])
        good.wait(1)
        through = time.monotonic() - start
    finally:
        holder.terminate()
        holder.wait(30)
    each = (sum(after.values()) - sum(before.values())) / SESSIONS
    with capsys.disabled():
        print(f'\n  {SESSIONS} idle TLS sessions, opened in {took:.1f} s: {sum(after.values()) / 1024:.0f} MiB over all processes '
              f'({sum(before.values()) / 1024:.0f} before), {each:.1f} KiB each; a message went through in {through:.2f} s\n  ' +
              ', '.join(f'{role} {kib / 1024:.1f}' for role, kib in after.items()) + ' MiB')
    assert held >= SESSIONS, 'not all of them are there'
    assert each <= EACH_MAX_KIB
    assert sum(after.values()) <= ALL_MAX_KIB
    assert through < 3 * PATIENCE
