# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the whole-program tests. Read world/ for what they give."""
import os
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from limits import Limits  # noqa: E402
from world.ca import Authority, dkim_key  # noqa: E402
from world.machine import lacking  # noqa: E402
from world.postern import PROGRAM, Postern  # noqa: E402
from world.postfix import Postfix  # noqa: E402
from world.scene import World  # noqa: E402


def pytest_addoption(parser):
    parser.addoption('--rounds', type=int, default=int(os.environ.get('CRASH_ROUNDS') or 10),
                     help='rounds of the crash test (CRASH_ROUNDS)')
    parser.addoption('--long', action='store_true', help='run the long tests as well')


def _interrupt(*_):
    raise KeyboardInterrupt  # so that what was started is ended


def pytest_configure(config):
    signal.signal(signal.SIGTERM, _interrupt)
    config.addinivalue_line('markers', 'long: runs only with --long')
    config.addinivalue_line('markers', 'asan: also run against the sanitizer build')
    config.addinivalue_line('markers', 'needs(what, ...): skipped where the machine lacks it (world/machine.py)')
    config.addinivalue_line('markers', 'limit(seconds): may take longer than others (limits.py)')
    config.pluginmanager.register(Limits())


def pytest_collection_modifyitems(config, items):
    if not os.path.exists(PROGRAM):
        pytest.exit(f'{PROGRAM} is not there: build first', 2)
    if not config.getoption('--long'):
        skip = pytest.mark.skip(reason='long: test/run system --long')
        for item in items:
            if item.get_closest_marker('long'):
                item.add_marker(skip)
    for item in items:
        for marker in item.iter_markers('needs'):
            for problem in filter(None, map(lacking, marker.args)):
                item.add_marker(pytest.mark.skip(reason=problem))


def pytest_make_parametrize_id(val):
    """Short names: a value of megabytes would not even fit into the environment of our children."""
    words = repr(val)
    return f'{words[:30]}...{len(words)}' if isinstance(val, (str, bytes)) and len(words) > 60 else None


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    setattr(item, 'report_' + outcome.get_result().when, outcome.get_result())


def _folder(tag):
    path = tempfile.mkdtemp(prefix=f'postern-{tag}-')
    os.chmod(path, 0o755)  # the roles run as another user
    return os.path.realpath(path)


@pytest.fixture(scope='session')
def ca():
    folder = _folder('ca')
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope='session')
def dkim(ca):
    """Signing keys of clinic.test: selector -> (file, DNS text)."""
    found = {}
    for selector, kind in (('r1', 'rsa'), ('e1', 'ed25519')):
        path = os.path.join(ca.folder, selector + '.dkim')
        found[selector] = (path, dkim_key(path, kind))
    return found


@pytest.fixture
def folder():
    path = _folder('test')
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='module')
def module_folder():
    path = _folder('module')
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def world(folder, ca, dkim):
    """A world with only the clinic's own mailbox host in it; tests add hosts."""
    made = World(folder, ca, {selector: path for selector, (path, _) in dkim.items()})
    yield made
    made.close()


class Houses:
    """Makes servers and sees to it that they end well."""

    def __init__(self):
        self.made = []

    def __call__(self, world, changes=None, start=True, **options):
        where = os.path.join(world.folder, f'postern{len(self.made)}')
        os.makedirs(where, mode=0o755)
        server = Postern(where, world, changes, **options)
        self.made.append(server)
        return server.start() if start else server

    def close(self, failed):
        problems = []
        for server in self.made:
            try:
                server.stop()
                server.check_log()
            except AssertionError as problem:
                problems.append(str(problem))
        if failed:
            for server in self.made:
                print('---- log of the server ----\n' + server.log_tail(80))
        assert not problems, '\n'.join(problems)


@pytest.fixture
def house(request):
    """house(world, changes) starts a server; at the end it must stop cleanly with a clean log."""
    houses = Houses()
    yield houses
    report = getattr(request.node, 'report_call', None)
    houses.close(report is not None and report.failed)


@pytest.fixture(scope='module')
def module_house():
    houses = Houses()
    yield houses
    houses.close(False)


@pytest.fixture(scope='module')
def module_world(module_folder, ca, dkim):
    made = World(module_folder, ca, {selector: path for selector, (path, _) in dkim.items()})
    yield made
    made.close()


@pytest.fixture
def postfix(folder, ca):
    """postfix(world, name, domain): a Postfix with a good certificate that is the domain's MX."""
    made = []

    def make(world, name='mx.good.test', domain='good.test', **options):
        where = os.path.join(folder, name)
        os.makedirs(where)
        certificate, key = ca.issue(name)
        server = Postfix(where, world.new_address(), world.mx_port, name, certificate, key, **options)
        world.name(name, server.address, domain)
        made.append(server)
        return server
    yield make
    for server in made:
        server.stop()
