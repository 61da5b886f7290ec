# SPDX-License-Identifier: Apache-2.0
"""A full disk and a read-only one: temporary refusals, no acknowledgement, recovery without help."""
import os
import smtplib
import subprocess

import pytest

from world import wait_until
from world.fragile import Mounted
from world.machine import USER, give
from world.mails import make_mail, submit


def mount(*arguments):
    return subprocess.run(['mount', *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def small(folder):
    """A file system of 24 MiB for the state."""
    state = os.path.join(folder, 'small')
    os.makedirs(state)
    got = mount('-t', 'tmpfs', '-o', f'size=24m,mode=0700,uid={USER.pw_uid},gid={USER.pw_gid}', 'tmpfs', state)
    assert got.returncode == 0, got.stderr
    yield state
    subprocess.run(['umount', '-l', state], check=False)


def attempt(server, size=200_000):
    """(code, text) of the whole attempt: the first refusal, or the reply to the end of data."""
    mail = make_mail(['a@hold.test'], body='x' * 60 + '\n' + ('y' * 70 + '\n') * (size // 71))
    try:
        return submit(server, mail, ['a@hold.test'])
    except AssertionError as refusal:  # MAIL or RCPT was refused: submit asserts on (code, text)
        return [part for part in refusal.args[0] if isinstance(part, int)][0], str(refusal)
    except smtplib.SMTPResponseException as refusal:
        return refusal.smtp_code, str(refusal.smtp_error)
    except smtplib.SMTPServerDisconnected as gone:
        raise AssertionError('the server hung up') from gone


def fill(server):
    """Send until refused; returns (how many were acknowledged, the refusal)."""
    for count in range(400):
        code, text = attempt(server)
        if code != 250:
            return count, code, text
    raise AssertionError('the disk never filled')


@pytest.mark.needs('root', 'mounts')
@pytest.mark.parametrize('reserve', ['2M', '0'], ids=['reserve', 'to-the-last-byte'])
def test_full_disk(world, house, small, reserve):
    host = world.host('mx.hold.test', 'hold.test')
    server = house(world, {'hold_all': True, 'limits': {'disk_reserve': reserve}}, state=small)
    taken, code, text = fill(server)
    assert taken > 5
    assert code in (451, 452), (code, text)
    for _ in range(3):
        again, text = attempt(server)
        assert again in (421, 451, 452), (again, text)
    # Ballast taken away (somebody made room): it takes mail again, by itself.
    before = taken
    ballast_free(server, small)
    wait_until(lambda: attempt(server, 2000)[0] == 250, 30, every=0.5, what='recovery')
    # Every acknowledged message is there, and is delivered once sending is allowed.
    server.write_settings({'hold_all': False})
    server.reload()
    wait_until(lambda: len(host.messages) >= before + 1, 60, every=0.5, what=f'{before + 1} deliveries')


def ballast_free(server, small):
    got = mount('-o', 'remount,size=64m', small)
    assert got.returncode == 0, got.stderr


@pytest.fixture
def fragile(folder):
    """A state folder on a file system that can be told to fail."""
    backing, state = os.path.join(folder, 'backing'), os.path.join(folder, 'fragile')
    for path in (backing, state):
        os.makedirs(path)
        give(path)
    made = Mounted(backing, state, os.path.join(folder, 'switch'))
    wait_until(made.ready, 10, what='the mount')
    yield made
    made.switch('')
    made.close()


@pytest.mark.needs('root', 'mounts', 'fuse', 'fusepy')
@pytest.mark.parametrize('word', ['EROFS', 'EIO', 'ENOSPC'])
def test_file_system_refuses_changes(world, house, fragile, word):
    host = world.host('mx.hold.test', 'hold.test')
    control = os.path.join(world.folder, 'control.sock')  # the fragile one knows no sockets
    server = house(world, {'hold_all': True, 'control': control}, state=fragile.mountpoint)
    assert attempt(server, 2000)[0] == 250
    fragile.switch(word)
    for _ in range(4):
        code, text = attempt(server, 2000)
        assert code in (421, 451, 452), (code, text)
    fragile.switch('')
    taken = 1
    wait_until(lambda: attempt(server, 2000)[0] == 250, 60, every=0.5, what='recovery')
    server.write_settings({'hold_all': False})
    server.reload()
    host.wait(taken + 1, seconds=60)
