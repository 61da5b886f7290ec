# SPDX-License-Identifier: Apache-2.0
"""What test/package/run plays inside the fresh Debian: install, serve, reload, fall, upgrade, remove, purge."""
import ctypes
import glob
import grp
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import traceback

sys.path.insert(0, '/mnt/postern/test/system')
from world import wait_until  # noqa: E402
from world.ca import Authority  # noqa: E402
from world.sink import Sink  # noqa: E402

PACKAGE = '/opt/postern.deb'
SETTINGS, MASTER_KEY, STATE = '/etc/postern/postern.conf', '/etc/postern/master.key', '/var/lib/postern'
PASSWORD = 'correct horse battery'


def run(*words, check=True, text=None):
    got = subprocess.run(words, capture_output=True, text=True, input=text, check=False, timeout=120,
                         env=dict(os.environ, DEBIAN_FRONTEND='noninteractive'))
    if check and got.returncode != 0:
        raise AssertionError(f'{" ".join(words)} ended with {got.returncode}:\n{got.stdout}{got.stderr}')
    return got


def ctl(*words, check=True):
    return run('systemctl', *words, check=check)


def show(name):
    return ctl('show', '-P', name, 'postern').stdout.strip()


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def mode(path):
    status = os.stat(path)
    return (f'{stat.S_IMODE(status.st_mode):o}', pwd.getpwuid(status.st_uid).pw_name,
            grp.getgrgid(status.st_gid).gr_name)


def install():
    return run('apt-get', 'install', '-y', '--reinstall', '--no-install-recommends', PACKAGE).stdout


def queue():
    """What waits, as JSON text."""
    return run('postern', 'queue', '--json').stdout


def server_processes():
    """/proc/N/status of the supervisor and its roles."""
    found = {}
    for path in glob.glob('/proc/[0-9]*/status'):
        try:
            with open(path, encoding='ascii', errors='replace') as file:
                fields = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
            with open(os.path.dirname(path) + '/cmdline', 'rb') as file:
                words = file.read().decode().split('\0')
        except OSError:
            continue
        if fields['Name'] in ('postern', 'exe'):
            found[int(fields['Pid'])] = (fields, words)
    return found


def kernel_has_landlock():
    create_ruleset, version = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, ctypes.c_size_t(0), version) > 0


class Scene:
    """The outside: a host with good TLS, one without TLS, and one that is away at first."""

    def __init__(self):
        self.ca = Authority('/opt/ca')
        self.certificates = {name: self.ca.issue(name) for name in
                             ('mx.good.test', 'mx.away.test', 'mail.clinic.test', 'portal.clinic.test')}
        for last in '2345':
            run('ip', 'address', 'add', f'127.0.0.{last}/8', 'dev', 'lo', check=False)
        self.good = Sink('127.0.0.2', 2525, 'mx.good.test', [self.certificates['mx.good.test']])
        self.plain = Sink('127.0.0.3', 2525, 'mx.plain.test')
        self.away = None

    def come_back(self):
        self.away = Sink('127.0.0.4', 2525, 'mx.away.test', [self.certificates['mx.away.test']])


def write_settings(scene, **changes):
    """The operator's part, beginning with the sample that the package brought."""
    hash_of = run('postern', 'password', text=PASSWORD + '\n').stdout.strip()
    for name, target in (('mail.clinic.test', 'mail'), ('portal.clinic.test', 'portal')):
        certificate, key = scene.certificates[name]
        run('install', '-m', '0644', certificate, f'/etc/postern/{target}.pem')
        run('install', '-m', '0640', '-g', 'postern', key, f'/etc/postern/{target}.key')
    run('install', '-m', '0644', scene.ca.roots, '/etc/postern/roots.pem')
    values = {'log_level': 'info', 'recipients': 1000, 'master_key': MASTER_KEY, **changes}
    text = f'''
hostname = "mail.clinic.test"
state = "{STATE}"
master_key = "{values['master_key']}"
log_level = "{values['log_level']}"
tls_certificate = "mail.pem"
tls_key = "mail.key"
trusted_roots = "roots.pem"
listener "submission" {{ kind = "submission" address = "127.0.0.1:587" }}
listener "submissions" {{ kind = "submissions" address = "127.0.0.1:465" }}
listener "mx" {{ kind = "mx" address = "127.0.0.1:25" }}
account "clinic" {{
    organisation = "The Clinic"
    notice_from = "Clinic secure mail <secure@clinic.test>"
    cleartext_after = 0s
    tls_retry = 1s
}}
domain "clinic.test" {{ account = "clinic" }}
user "clerk@clinic.test" {{ account = "clinic" password = "{hash_of}" }}
limits {{ recipients = {values['recipients']} }}
metrics {{ address = "127.0.0.1:9464" }}
delivery {{ port = 2525 retry_first = 2s retry_max = 2s connect_timeout = 2s prefer_ipv4 = yes }}
resolver {{ local_data = {{"good.test. MX 10 mx.good.test.", "mx.good.test. A 127.0.0.2",
    "plain.test. MX 10 mx.plain.test.", "mx.plain.test. A 127.0.0.3",
    "away.test. MX 10 mx.away.test.", "mx.away.test. A 127.0.0.4"}} }}
portal {{ url = "https://portal.clinic.test" address = "127.0.0.1:443" certificate = "portal.pem" key = "portal.key" }}
'''
    with open(SETTINGS, 'w', encoding='utf-8') as file:
        file.write(text)


def send(*recipients, subject='Results'):
    got = run('swaks', '--server', '127.0.0.1:587', '-tls', '--auth', 'PLAIN', '--auth-user', 'clerk@clinic.test',
              '--auth-password', PASSWORD, '--from', 'clerk@clinic.test', '--to', ','.join(recipients),
              '--header', f'Subject: {subject}', '--body', 'kestrel-finding', '--hide-informational')
    assert '<~  250' in got.stdout.split(' ~> .')[-1], got.stdout


def wait_active():
    wait_until(lambda: show('ActiveState') == 'active', 40, 0.3, 'the service being active')


# ---- the acts ----

def test_install(scene):
    out = install()
    assert 'master.key is made' in out, out
    assert mode('/etc/postern') == ('2750', 'root', 'postern'), mode('/etc/postern')
    assert mode(SETTINGS) == ('640', 'root', 'postern'), mode(SETTINGS)
    assert mode(MASTER_KEY) == ('640', 'root', 'postern'), mode(MASTER_KEY)
    assert ctl('is-enabled', 'postern', check=False).stdout.strip() == 'disabled'
    assert show('ActiveState') == 'inactive'
    assert pwd.getpwnam('postern').pw_shell == '/usr/sbin/nologin'
    assert 'POSTERN(1)' in run('man', 'postern').stdout
    assert 'opt_out_trigger' in run('man', 'postern.conf').stdout
    assert run('postern', '--version').stdout.split()[1] == \
        run('dpkg-query', '-W', '-f', '${Version}', 'postern').stdout
    offered = run('bash', '-c', 'source /usr/share/bash-completion/bash_completion; '
                  'source /usr/share/bash-completion/completions/postern; '
                  'COMP_WORDS=(postern tr); COMP_CWORD=1; COMP_LINE="postern tr"; COMP_POINT=10; _postern; '
                  'echo ${COMPREPLY[@]}').stdout.split()
    assert offered == ['trace'], offered


def test_wrong_settings_fail_at_once(scene):
    """The sample as it came has no certificate, the machine no full name: said once, not tried again."""
    sample = read(SETTINGS)
    with open(SETTINGS, 'w', encoding='utf-8') as file:
        file.write(sample + '\nnonsense = 1\n')
    assert ctl('start', 'postern', check=False).returncode != 0
    assert show('ExecMainStatus') == '78'
    time.sleep(6)
    assert show('NRestarts') == '0' and show('ActiveState') == 'failed', show('NRestarts')
    assert 'nonsense' in run('journalctl', '-u', 'postern', '--no-pager').stdout
    with open(SETTINGS, 'w', encoding='utf-8') as file:
        file.write(sample)


def documented(title):
    """The code blocks of one section of doc/install.md."""
    section = re.search(rf'^## [0-9. ]*{title}.*?(?=^## )', read('/mnt/postern/doc/install.md'), re.M | re.S).group(0)
    return re.findall(r'^```[a-z]*\n(.*?)^```', section, re.M | re.S)


def test_the_way_of_the_manual(scene):
    """doc/install.md to the letter, but for the certificate authority: what it says works."""
    lineage = '/opt/lineage'
    os.makedirs(lineage)
    certificate, key = scene.ca.issue('mail.example.org', 'portal.example.org')
    run('cp', certificate, lineage + '/fullchain.pem')
    run('install', '-m', '0600', key, lineage + '/privkey.pem')
    hook = [block for block in documented('Certificates') if block.startswith('#!')][0]
    run('sh', '-c', f'RENEWED_LINEAGE={lineage}; export RENEWED_LINEAGE; {hook}')
    make, show_public = documented('Signing keys')
    run('sh', '-ec', make)
    rsa, ed25519 = [run('sh', '-ec', f'cd /etc/postern; {line}').stdout.strip() for line in show_public.splitlines()]
    assert len(rsa) == 392 and len(ed25519) == 44, (rsa, ed25519)
    hash_of = run('postern', 'password', text=PASSWORD + '\n').stdout.strip()
    settings = documented('Settings')[0]
    assert '"…"' in settings
    sample = read(SETTINGS)
    with open(SETTINGS, 'w', encoding='utf-8') as file:
        file.write(settings.replace('"…"', f'"{hash_of}"'))
    got = run('runuser', '-u', 'postern', '--', 'postern', 'check')
    assert '3 listeners' in got.stdout and 'portal.example.org' in got.stdout, got.stdout
    ctl('start', 'postern')
    run('postern', 'explain', '--from', 'clerk@example.org', '--to', 'you@elsewhere.example')
    ctl('stop', 'postern')
    for path in glob.glob('/etc/postern/tls.*') + glob.glob('/etc/postern/dkim-*'):
        os.remove(path)
    with open(SETTINGS, 'w', encoding='utf-8') as file:
        file.write(sample)


def test_start(scene):
    write_settings(scene)
    run('runuser', '-u', 'postern', '--', 'postern', 'check')
    ctl('enable', '--now', 'postern')
    assert show('ActiveState') == 'active'
    assert re.match(r'Serving with \d+ roles', show('StatusText')), show('StatusText')
    assert mode(STATE) == ('700', 'postern', 'postern')
    processes = server_processes()
    assert len(processes) >= 7, processes
    user = str(pwd.getpwnam('postern').pw_uid)
    for fields, words in processes.values():
        assert fields['Uid'].split() == [user] * 4, (words, fields['Uid'])
        for kind in ('CapEff', 'CapPrm', 'CapInh', 'CapAmb'):
            assert int(fields[kind], 16) == 0, (words, kind, fields[kind])
        assert fields['NoNewPrivs'] == '1' and fields['Seccomp'] == '2', words
    journal = run('journalctl', '-u', 'postern', '--no-pager').stdout
    if kernel_has_landlock():
        assert 'no_landlock' not in journal, 'roles have no Landlock inside the unit'
    else:
        print('    this kernel has no Landlock: not looked at')
    score = run('systemd-analyze', 'security', 'postern.service', '--no-pager').stdout.splitlines()[-1]
    assert float(re.search(r': ([\d.]+)', score).group(1)) < 2.0, score
    print('   ', score.strip('→ '))


def test_mail(scene):
    send('a@good.test', 'b@plain.test', 'c@away.test')
    first = scene.good.wait(1)[0]
    assert first.tls == 'TLSv1.3' and b'kestrel-finding' in first.data
    notice = scene.plain.wait(1)[0]
    assert b'kestrel-finding' not in notice.data
    link = re.search(r'https://portal\.clinic\.test(/m/\S+)', notice.text('plain')).group(0)
    page = run('curl', '-sS', '--fail', '--cacert', scene.ca.roots, '--resolve', 'portal.clinic.test:443:127.0.0.1', link)
    assert 'The Clinic' in page.stdout, page.stdout
    wait_until(lambda: 'away.test' in queue(), 10, what='a recipient that waits')
    run('postern', 'status')
    assert 'mx.good.test' in run('postern', 'trace', '--to', 'a@good.test').stdout
    assert subprocess.run(['grep', '-rqa', 'kestrel-finding', STATE], check=False).returncode == 1


def test_health(scene):
    """What the roles tell of themselves they can also see inside the unit's walls (/proc, of a user that is not root)."""
    pages = {page: run('curl', '-sS', '--fail', f'http://127.0.0.1:9464/{page}').stdout
             for page in ('ready', 'health', 'metrics')}
    for name in ('resident_memory_bytes', 'proportional_memory_bytes', 'open_fds'):
        value = re.search(rf'^postern_process_{name}{{role="keeper",index="0"}} (\d+)$', pages['metrics'], re.M)
        assert value and int(value.group(1)) > 0, pages['metrics']


def test_backup_and_restore(scene):
    """By root, beside a server that is another user: the restored state must be the server's."""
    run('postern', 'backup', '/opt/backup')
    ctl('stop', 'postern')
    os.rename(STATE, '/opt/lost')
    run('postern', 'restore', '/opt/backup')
    ctl('start', 'postern')
    assert mode(STATE) == ('700', 'postern', 'postern'), mode(STATE)
    assert 'away.test' in queue()


def test_only_the_operator_asks(scene):
    got = run('runuser', '-u', 'nobody', '--', 'postern', 'status', '-s', STATE + '/control.sock', check=False)
    assert got.returncode != 0, got.stdout


def test_reload(scene):
    main_pid = show('MainPID')
    with socket.create_connection(('127.0.0.1', 587)) as session:
        assert session.recv(100).startswith(b'220')
        write_settings(scene, recipients=7)
        ctl('reload', 'postern')
        wait_until(lambda: show('ActiveState') == 'active', 10)
        session.sendall(b'NOOP\r\n')
        assert session.recv(100).startswith(b'250')
    write_settings(scene, log_level='loud')
    got = ctl('reload', 'postern', check=False)
    assert got.returncode != 0
    assert show('MainPID') == main_pid and show('ActiveState') == 'active'
    # Past the check, the signal alone: refused as well, and the manager is told.
    os.kill(int(main_pid), signal.SIGHUP)
    wait_until(lambda: 'refused' in show('StatusText'), 10, 0.2, 'a word about the refusal')
    write_settings(scene)
    ctl('reload', 'postern')
    wait_until(lambda: show('StatusText').startswith('Serving'), 10, 0.2, 'the good settings')
    send('d@good.test')
    scene.good.wait(2)


def test_falls(scene):
    """A role comes back by the supervisor, the supervisor by systemd; nothing accepted is lost."""
    before = queue()
    role = next(pid for pid, (_, words) in server_processes().items() if 'courier' in words)
    os.kill(role, signal.SIGKILL)
    wait_until(lambda: any('courier' in words and pid != role for pid, (_, words) in server_processes().items()), 10)
    assert show('NRestarts') == '0'
    old = show('MainPID')
    os.kill(int(old), signal.SIGKILL)
    wait_until(lambda: show('NRestarts') == '1' and show('SubState') == 'running', 40, 0.5, 'the restart')
    assert show('MainPID') != old
    assert 'away.test' in before and 'away.test' in queue()


def test_upgrade(scene):
    """Over itself, with mail waiting: restarted, settings and key kept, the mail delivered once."""
    old, key, settings = show('MainPID'), read(MASTER_KEY), read(SETTINGS)
    install()
    wait_active()
    assert show('MainPID') != old
    assert read(MASTER_KEY) == key
    assert read(SETTINGS) == settings
    assert mode(SETTINGS) == ('640', 'root', 'postern'), mode(SETTINGS)
    assert 'away.test' in queue()
    scene.come_back()
    run('postern', 'queue', 'retry', 'away.test')
    scene.away.wait(1, 40)
    time.sleep(3)
    assert len(scene.away.messages) == 1, 'delivered twice'


def test_rotation_keeps_readers(scene):
    run('postern', 'key', 'rotate', MASTER_KEY)
    assert mode(MASTER_KEY) == ('640', 'root', 'postern'), mode(MASTER_KEY)
    ctl('reload', 'postern')
    wait_until(lambda: show('StatusText').startswith('Serving'), 10, 0.2, 'the reload')


def test_key_as_credential(scene):
    """The key sealed for this machine, opened by systemd: doc/install.md tells how."""
    ctl('stop', 'postern')
    run('systemd-creds', 'encrypt', '--with-key=host', '--name=master.key', MASTER_KEY, '/etc/postern/master.key.cred')
    os.rename(MASTER_KEY, '/opt/master.key')
    os.makedirs('/etc/systemd/system/postern.service.d')
    with open('/etc/systemd/system/postern.service.d/key.conf', 'w', encoding='ascii') as file:
        file.write('[Service]\nLoadCredentialEncrypted=master.key:/etc/postern/master.key.cred\n'
                   'ExecReload=\nExecReload=/bin/kill -HUP $MAINPID\n')
    write_settings(scene, master_key='/run/credentials/postern.service/master.key')
    ctl('daemon-reload')
    ctl('start', 'postern')
    send('e@good.test')
    scene.good.wait(3)
    before = show('StateChangeTimestampMonotonic')
    ctl('reload', 'postern')
    wait_until(lambda: show('StateChangeTimestampMonotonic') != before and show('SubState') == 'running' and
               show('StatusText').startswith('Serving'), 10, 0.2, 'the reload')
    assert 'reload_refused' not in run('journalctl', '-u', 'postern', '--no-pager', '-n', '5').stdout
    os.rename('/opt/master.key', MASTER_KEY)
    os.remove('/etc/systemd/system/postern.service.d/key.conf')
    write_settings(scene)
    ctl('daemon-reload')
    ctl('restart', 'postern')


def test_stop(scene):
    scene.away.stop()
    send('f@away.test')
    ctl('stop', 'postern')
    assert show('Result') == 'success' and show('ExecMainStatus') == '0', show('Result')
    assert not server_processes()
    assert run('postern', 'verify').returncode == 0  # by root: the server must still be able to start
    for line in run('journalctl', '-u', 'postern', '-o', 'cat', '--no-pager').stdout.splitlines():
        assert '@' not in line or not re.search(r'\b\w+@\w+\.test', line), 'an address in the journal: ' + line
        assert 'SIGSYS' not in line and 'signal 31' not in line, line


def test_remove_keeps_everything(scene):
    key = read(MASTER_KEY)
    ctl('start', 'postern')
    run('apt-get', 'remove', '-y', 'postern')
    assert not server_processes() and not os.path.exists('/usr/bin/postern')
    assert os.path.exists(SETTINGS) and os.path.exists(STATE + '/postern.db')
    install()
    assert read(MASTER_KEY) == key
    ctl('start', 'postern')
    assert 'away.test' in queue()
    scene.away.start()
    run('postern', 'queue', 'retry', 'away.test')
    scene.away.wait(2, 40)


def test_purge(scene):
    for path in glob.glob('/etc/postern/*.pem') + glob.glob('/etc/postern/*.key.cred') + ['/etc/postern/mail.key',
                                                                                        '/etc/postern/portal.key']:
        os.remove(path)
    run('apt-get', 'purge', '-y', 'postern')
    for path in ('/etc/postern', STATE, '/lib/systemd/system/postern.service',
                 '/etc/systemd/system/multi-user.target.wants/postern.service'):
        assert not os.path.lexists(path), path
    assert ctl('--failed', '--plain', '--no-legend').stdout.strip() == ''


def main():
    scene = Scene()
    for name, act in list(globals().items()):
        if not name.startswith('test_'):
            continue
        start = time.monotonic()
        try:
            act(scene)
        except BaseException:  # whatever it is, the acts that follow make no sense
            traceback.print_exc()
            print(f'FAILED {name}')
            sys.exit(1)
        print(f'passed {name} ({time.monotonic() - start:.1f} s)', flush=True)


main()
