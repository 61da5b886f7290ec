# SPDX-License-Identifier: Apache-2.0
"""
Power cuts and failing calls, a few of each; the long forms are `make power` and `make faults`.
test/faults has the recorder, the disk that forgets, and the rules by which calls fail.
"""
import os
import shutil
import sys
import tempfile
import time

import pytest

from world.postern import SANITIZED, TOP

sys.path.insert(0, os.path.join(TOP, 'test', 'faults'))

from inject import CASES, Injector  # noqa: E402
from power import Power  # noqa: E402

pytestmark = pytest.mark.skipif(SANITIZED, reason='the shim and the sanitizers want to be first, both')
RAM = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None  # syncs are recorded, not needed
SEED = int(os.environ.get('FAULTS_SEED') or time.time())


@pytest.fixture
def quick():
    """A folder that costs no disk."""
    path = tempfile.mkdtemp(prefix='postern-faults-', dir=RAM)
    os.chmod(path, 0o755)
    os.mkdir(os.path.join(path, 'stage'), 0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_power_cuts(quick, capsys):
    """Whatever the disk forgets: everything acknowledged is there, whole, and arrives once."""
    power = Power(quick, SEED, tempfile.gettempdir())
    try:
        power.run(150, each=75, restart_every=40, seconds=2)
    finally:
        power.close()
    with capsys.disabled():
        print(f'\n{power.summary()}; FAULTS_SEED={SEED}')
    assert not power.failures, power.failures[0]
    assert power.count['cuts'] >= 150 and power.count['acknowledged'] > 50 and power.count['restarts'] > 0


@pytest.mark.needs('root', 'mounts')
def test_failing_calls(quick, capsys):
    """EIO, ENOSPC, EMFILE, no memory, kills at one call, full disks: refusals for the moment, and recovery."""
    injector = Injector(quick, SEED)
    try:
        # A segment that could not be synced is left by whoever writes to it; a full disk is survived.
        injector.round(1000, ('keeper', 'sync', 'EIO', 'fail'), 'all', 1)
        injector.round(1001, ('disk', 'full', 'ENOSPC', 'fail'))
        injector.run(6)
    finally:
        injector.close()
    with capsys.disabled():
        print(f'\n{injector.summary()}; FAULTS_SEED={SEED}')
    assert not injector.failures, injector.failures[0]
    assert injector.count['rounds'] == 8 and injector.count['acknowledged'] > 50 and injector.count['fired'] > 0
