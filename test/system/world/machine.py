# SPDX-License-Identifier: Apache-2.0
"""
What this machine lets tests do. A test that needs more than every machine gives says so:

    @pytest.mark.needs('root', 'mounts', 'tshark')

and is skipped with the reason where it is lacking. How slow the machine is, too: PATIENCE stretches
every limit, so that a busy machine is waited for. Whatever is awaited is awaited by event; a long limit
costs nothing where the machine is quick.
"""
import functools
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

IS_ROOT = os.geteuid() == 0
# Whose rights the server has: a stranger's if we may choose, else our own.
USER = pwd.getpwnam('nobody') if IS_ROOT else pwd.getpwuid(os.geteuid())
PATIENCE = float(os.environ.get('POSTERN_PATIENCE') or 4)

PROGRAMS = {  # name: (program, Debian's package)
    'chromium': ('/usr/bin/chromium', 'chromium'), 'chromedriver': ('/usr/bin/chromedriver', 'chromium-driver'),
    'curl': ('curl', 'curl'), 'msmtp': ('msmtp', 'msmtp'), 'nsd': ('/usr/sbin/nsd', 'nsd'), 'ip': ('ip', 'iproute2'),
    'ldns': ('ldns-signzone', 'ldnsutils'),
    'opendkim': ('/usr/sbin/opendkim-testmsg', 'opendkim-tools'), 'postfix': ('/usr/sbin/postfix', 'postfix'),
    'swaks': ('swaks', 'swaks'), 'testssl': ('testssl', 'testssl.sh'), 'tshark': ('tshark', 'tshark'), 'cc': ('cc', 'gcc'),
    'promtool': (os.environ.get('PROMTOOL') or 'promtool', 'prometheus'),
}
MODULES = {'aiosmtpd': 'python3-aiosmtpd', 'dkim': 'python3-dkim', 'dns': 'python3-dnspython',
           'fusepy': 'python3-fusepy', 'selenium': 'python3-selenium'}


def _try(*words):
    """Empty, or why this command fails."""
    try:
        got = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return str(problem)
    return '' if got.returncode == 0 else (got.stderr.strip().splitlines() or [f'{words[0]}: {got.returncode}'])[0]


def _mount():
    where = tempfile.mkdtemp(prefix='postern-mount-')
    try:
        problem = _try('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', where)
        if not problem:
            problem = _try('umount', '-l', where)
        return problem
    finally:
        os.rmdir(where)


def _fuse():
    try:
        os.close(os.open('/dev/fuse', os.O_RDWR))
        return ''
    except OSError as problem:
        return f'/dev/fuse: {problem.strerror}'


def _packets():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        return ''
    except OSError as problem:
        return problem.strerror


def _landlock():
    import ctypes
    version = ctypes.CDLL(None).syscall(444, None, 0, 1)  # landlock_create_ruleset
    return '' if version >= 1 else 'this kernel lacks Landlock'


def _inspect():
    """May we look at memory and descriptors of a process that is another user's and forbids dumps, as roles do?"""
    code = ('import ctypes, os, sys\n'
            f'if os.geteuid() == 0: os.setgroups([]); os.setgid({USER.pw_gid}); os.setuid({USER.pw_uid})\n'
            'ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nprint(flush=True)\nsys.stdin.read()')
    with subprocess.Popen(['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        try:
            with open(f'/proc/{child.pid}/smaps_rollup', encoding='ascii') as file:
                file.read()
            os.listdir(f'/proc/{child.pid}/fd')
            return ''
        except OSError as problem:
            return f'{problem.filename}: {problem.strerror}'
        finally:
            child.stdin.close()


CHECKS = {
    'root': lambda: '' if IS_ROOT else 'only root may',
    'mounts': _mount,
    'namespaces': lambda: _try('unshare', '-n', '-m', 'true'),
    'fuse': _fuse,
    'packets': _packets,
    'inspect': _inspect,
    'landlock': _landlock,
    'sisimai': lambda: _try('perl', '-MSisimai', '-e', '1'),
}


@functools.lru_cache(maxsize=None)
def lacking(need):
    """Empty if the machine has it, or a sentence that says what is missing."""
    if need in CHECKS:
        problem = CHECKS[need]()
        return f'needs {need}: {problem}' if problem else ''
    if need in PROGRAMS:
        program, package = PROGRAMS[need]
        return '' if shutil.which(program) else f'needs {need}: the package {package} is not installed'
    if need in MODULES:
        found = importlib.util.find_spec(need)
        return '' if found else f'needs Python\'s {need}: the package {MODULES[need]} is not installed'
    raise KeyError(f'nobody knows how to look for {need}: world/machine.py')


def give(path):
    """Make it the server's user's."""
    if IS_ROOT:
        os.chown(path, USER.pw_uid, USER.pw_gid)
