# SPDX-License-Identifier: Apache-2.0
"""
A server's life under a mixed load: what was sent, what was answered, what arrived, in one order.

Each recipient's address stands for one message, so that whoever arrives at a host tells what it was. What a
recipient is owed is called its key: the address itself for mail and for a portal's notice, the sender's address for
the report of a failure.
"""
import os
import random
import re
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'system'))

from world import wait_until  # noqa: E402
from world.ca import Authority, dkim_key  # noqa: E402
from world.postern import BUILD, PROGRAM, Postern  # noqa: E402,F401
from world.scene import World  # noqa: E402

from control import NEVER  # noqa: E402

LIBRARY = os.path.join(BUILD, 'test', 'faults', 'faults.so')
BENCH, CLINIC = '127.0.8.1', '127.0.9.1'  # from where each account's relay sends
ID_LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
STATE_NOTIFIED, STATE_REVEALED, STATE_DELIVERED, STATE_RETRACTED = 5, 6, 7, 11
KIND_DSN_PARENT = 'SELECT r.state FROM message m JOIN recipient r ON r.message = m.id WHERE m.parent = ?'


def id_number(text):
    value = 0
    for letter in text:
        value = value * 32 + ID_LETTERS.index(letter)
    return value


class Mail:
    """One message that was answered 250."""

    def __init__(self, kind, sender, recipients):
        self.kind, self.sender, self.recipients = kind, sender, recipients

    def keys(self):
        return [self.sender] if self.kind == 'refuse' else list(self.recipients)


class History:
    """What happened, with stamps; `prior` is what was known when this life began."""

    def __init__(self, prior=None):
        self.mails = dict(prior.mails) if prior else {}
        self.acks = [(0, one) for one in prior.acked] if prior else []
        self.arrivals = [(0, 0, key) for key in prior.arrived] if prior else []
        self.commands = [(0, 0, key) for key in prior.taken_back] if prior else []
        self.commands += [(0, NEVER, key) for key in prior.uncertain] if prior else []
        self.lock = threading.Lock()
        self.sent = 0

    def at(self, place):
        return Known(self, place)


class Known:
    """What is known at a place of the order."""

    def __init__(self, history, place):
        self.acked = {one for stamp, one in history.acks if stamp < place}
        self.mails = {one: mail for one, mail in history.mails.items() if one in self.acked}
        self.arrived = {}
        for stamp, at_ns, key in history.arrivals:
            if stamp < place:
                self.arrived[key] = max(at_ns, self.arrived.get(key, 0))
        self.taken_back = {key for _, done, key in history.commands if done < place}
        self.uncertain = {key for begun, done, key in history.commands if begun < place <= done}

    def owed(self):
        """Keys that must still arrive."""
        return {key for mail in self.mails.values() for key in mail.keys()} - \
            self.arrived.keys() - self.taken_back - self.uncertain


class Stage:
    """The outside world: hosts that take, defer, refuse, have no TLS; and what they saw."""

    def __init__(self, folder):
        self.folder = folder
        ca = Authority(os.path.join(folder, 'ca'))
        key = os.path.join(folder, 'ca', 'e1.dkim')
        dkim_key(key, 'ed25519')
        self.world = World(folder, ca, {'e1': key})
        self.history, self.stamp = None, None
        self.master_key = os.path.join(folder, 'master.key')  # of all servers: they live on each other's states
        subprocess.run([PROGRAM, 'key', 'new', self.master_key], check=True, capture_output=True)
        self.is_patient = False  # the host of later.test takes mail
        self.hands = random.Random(1)
        take = {'on_message': self.take}
        self.world.clinic.on_message = self.take
        self.world.host('mx.good.test', 'good.test', **take)
        self.world.host('mx.plain.test', 'plain.test', tls='none', **take)
        self.world.host('mx.later.test', 'later.test', rule=self._later, **take)
        self.world.host('mx.refuse.test', 'refuse.test', rule=self._refuse, **take)

    def _later(self, verb, _argument, _session):
        busy = verb == 'RCPT' and not self.is_patient and self.hands.random() < 0.85
        return '451 4.3.0 later' if busy else None

    @staticmethod
    def _refuse(verb, _argument, _session):
        return '550 5.1.1 nobody here' if verb == 'RCPT' else None

    def take(self, message):
        """Before the host answers 250."""
        history = self.history
        if history is None:
            return
        stamp = self.stamp()
        with history.lock:
            for address in message.recipients:
                history.arrivals.append((stamp, time.monotonic_ns(), address))

    def watch(self, history, stamp):
        self.stamp, self.history = stamp, history

    def close(self):
        self.world.close()


SETTINGS = {
    ('account', 'clinic'): {'relay_networks': [CLINIC + '/32'], 'encrypt_by_default': True, 'receipts': False,
                            'reader_proof': 'link'},
    ('account', 'bench'): {'organisation': 'Bench', 'relay_networks': [BENCH + '/32'], 'encrypt_by_default': False,
                           'cleartext_after': '0s', 'notice_from': 'Bench <secure@bench.test>'},
    'log_level': 'info',
    'delivery': {'retry_first': '300ms', 'retry_max': '600ms', 'expire': '1h'},
    'limits': {'disk_reserve': '1M', 'sessions_per_client': 1000},
}


def make_server(stage, folder, state, shim=None, address='127.0.0.2'):
    """A Postern on this state, with the shim in front of it."""
    os.makedirs(folder, mode=0o755, exist_ok=True)
    settings = dict(SETTINGS)
    settings['master_key'] = stage.master_key
    settings[('domain', 'bench.test')] = {
        'account': 'bench', 'next_hop': f'in.clinic.test:{stage.world.mx_port}'}
    # The walls of the file system know no sockets.
    settings['control'] = os.path.join(folder, 'control.sock')
    server = Postern(folder, stage.world, settings, state=state, address=address)
    server.environment = shim.environment if shim else {}
    return server


# ---- the load ----

def text_of(kind, number, sender, recipients, size):
    head = (f'From: <{sender}>\r\nTo: <{recipients[0]}>\r\nSubject: number {number}\r\n'
            f'Message-ID: <{number}.{kind}@{sender.split("@")[1]}>\r\nX-Number: {number}\r\n\r\n')
    line = ('%08d ' % number) * 7 + '\r\n'
    return head + line * (size // len(line) + 1)


KINDS = ('good',) * 6 + ('portal',) * 3 + ('later',) * 2 + ('refuse', 'big', 'many')
NUMBERS = iter(range(1, 1 << 40))


class Load:
    """Some sessions that send mail of every kind until told to stop; each notes what was answered."""

    def __init__(self, server, history, seed, sessions=5, pause=0.02, kinds=KINDS):
        self.server, self.history, self.pause, self.kinds = server, history, pause, kinds
        self.is_ended = threading.Event()
        self.refusals = []
        self.huge = 6  # so many are sent: a log has room for them
        self.threads = [threading.Thread(target=self._session, args=(random.Random(f'{seed}/{at}'),), daemon=True)
                        for at in range(sessions)]
        for thread in self.threads:
            thread.start()

    def _session(self, dice):
        while not self.is_ended.is_set():
            secure = dice.random() < 0.3
            source, domain = (CLINIC, 'clinic.test') if secure else (BENCH, 'bench.test')
            try:
                with smtplib.SMTP(self.server.address, self.server.ports['mx'], local_hostname='relay.test',
                                  timeout=10, source_address=(source, 0)) as smtp:
                    smtp.ehlo()
                    for _ in range(dice.randint(1, 8)):
                        if self.is_ended.is_set():
                            break
                        self._send(smtp, dice, domain, secure)
                        time.sleep(dice.uniform(0, self.pause * 2))
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def _send(self, smtp, dice, domain, secure):
        kind = dice.choice(self.kinds)
        if secure:
            kind = dice.choice(('good', 'portal', 'portal'))
        elif kind == 'portal':
            kind = 'good'
        if kind == 'huge':
            self.huge -= 1
            kind = 'huge' if self.huge >= 0 else 'good'
        number = next(NUMBERS)
        sender = f's{number}@{domain}'
        host = {'portal': 'plain', 'later': 'later', 'refuse': 'refuse'}.get(kind, 'good')
        recipients = [f'r{number}x{at}@{host}.test' for at in range(dice.choice((1, 1, 1, 2, 3)))]
        if kind == 'many':
            recipients = [f'r{number}x{at}@{host}.test' for at, host in
                          enumerate(('good', 'plain', 'later', 'good'))]
        size = dice.choice((100, 2000, 4000, 9000))
        if kind == 'big':
            size = dice.choice((70000, 140000, 300000, 3000000))
        if kind == 'huge':  # pushed to the disk on its way
            size = 18 << 20
        if kind in ('refuse', 'huge'):
            recipients = recipients[:1]
        code, reply = smtp.mail(sender)
        codes = [(code, reply)]
        for address in recipients:
            if code == 250:
                code, reply = smtp.rcpt(address)
                codes.append((code, reply))
        if code == 250:
            with self.history.lock:
                self.history.sent += 1
            code, reply = smtp.data(text_of(kind, number, sender, recipients, size))
        if code != 250:
            self.refusals.append((code, reply))
            smtp.rset()
            return
        found = re.search(rb'Accepted as (\w{13})', reply)
        with self.history.lock:
            self.history.mails[found.group(1).decode()] = Mail(
                'refuse' if kind == 'refuse' else kind, sender, recipients)

    def stop(self):
        self.is_ended.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), 'a session hangs'


def take_back(server, history, stamp, dice):
    """Retract or purge something that waits at the host that defers; notes before and after."""
    with history.lock:
        waiting = [(one, mail) for one, mail in history.mails.items() if mail.kind == 'later']
        gone = {key for _, _, key in history.commands}
    waiting = [(one, mail) for one, mail in waiting if not gone & set(mail.recipients)]
    if not waiting:
        return
    one, mail = dice.choice(waiting)
    begun = stamp()
    with history.lock:
        at = len(history.commands)
        history.commands += [(begun, NEVER, key) for key in mail.recipients]
    got = server.control('retract', '--json', one, check=False)
    done = stamp()
    if got.returncode != 0:
        return
    stopped = set(re.findall(r'"address": ?"([^"]+)", ?"outcome": ?"stopped"', got.stdout))
    with history.lock:
        for offset, key in enumerate(mail.recipients):
            if key in stopped:
                history.commands[at + offset] = (begun, done, key)


# ---- looking at a state folder without its server ----

def settled(state, mails):
    """Keys whose arrival the database knows: nothing may send them again."""
    path = os.path.join(state, 'postern.db')
    if not os.path.exists(path):
        return set()
    database = sqlite3.connect(path)
    done = set()
    try:
        rows = {(message, number): state for message, number, state in
                database.execute('SELECT message, number, state FROM recipient')}
        parents = {}
        for parent, state in database.execute(
                'SELECT m.parent, r.state FROM message m JOIN recipient r ON r.message = m.id WHERE m.parent <> 0'):
            parents.setdefault(parent, []).append(state)
    except sqlite3.OperationalError:
        return set()  # it has no tables yet
    finally:
        database.close()
    for one, mail in mails.items():
        number = id_number(one)
        if mail.kind == 'refuse':
            if STATE_DELIVERED in parents.get(number, ()):
                done.add(mail.sender)
            continue
        for at, key in enumerate(mail.recipients):
            if rows.get((number, at)) in (STATE_DELIVERED, STATE_NOTIFIED, STATE_REVEALED):
                done.add(key)
    return done


def port_is_open(server):
    try:
        socket.create_connection((server.address, server.ports['mx']), 1).close()
        return True
    except OSError:
        return False
