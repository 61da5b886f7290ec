# SPDX-License-Identifier: Apache-2.0
"""
Outbound routes: mail is shared out by weight, a route that fails is taken out and comes back by itself, each message
arrives once. Smart hosts get our login under verified TLS only.
"""
import collections
import os
import smtplib
import threading
import time

import pytest

from world import wait_until
from world.mails import make_mail, send
from world.machine import give
from world.postfix import Postfix

ORDINARY = {('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False}}
MESSAGES = int(os.environ.get('ROUTES_MESSAGES') or 3000)


class Relay:
    """A smart host that can be taken away between two messages, so that nothing is in doubt."""

    def __init__(self, world, name, arrived, **options):
        self.is_closing = False
        self.login = (f'{name}-user', f'{name}-password-{"x" * 40}')
        self.name = name
        self.count = 0
        self.arrived = arrived
        self.sink = world.host(f'{name}.relay.test', None, login=self.login, rule=self._rule,
                               on_message=self._take, **options)
        self.password_file = world.path(f'{name}.password')
        with open(self.password_file, 'w', encoding='ascii') as file:
            file.write(self.login[1] + '\n')
        os.chmod(self.password_file, 0o640)
        give(self.password_file)

    def _rule(self, verb, _argument, _session):
        return 'CLOSE' if self.is_closing and verb in ('EHLO', 'MAIL', 'RSET') else None

    def _take(self, message):
        self.arrived.append((str(message.mail['Subject']), self.name))
        self.count += 1

    def take_away(self):
        self.is_closing = True
        self.sink.listener.shutdown(2)
        self.sink.listener.close()
        self.sink.listener = None

    def bring_back(self):
        self.is_closing = False
        self.sink.start()

    def outbound(self, weight, **more):
        return {'smart_host': f'{self.sink.name}:{self.sink.port}', 'user': self.login[0],
                'password_file': self.password_file, 'weight': weight, **more}


def submit(server, subjects, domain='far{}.test'):
    with smtplib.SMTP(server.address, server.ports['mx'], local_hostname='pc.clinic.test', timeout=60) as smtp:
        for number, subject in enumerate(subjects):
            to = 'a@' + domain.format(number % 50)
            smtp.sendmail('alice@clinic.test', [to],
                          make_mail([to], subject=subject).as_bytes().replace(b'\n', b'\r\n'))


def route(server, name):
    return next(row for row in server.control_json('routes') if row['route'] == name)


@pytest.mark.asan
@pytest.mark.limit(400)
def test_three_smart_hosts_one_is_killed_and_comes_back(world, house):
    arrived = []
    blue = Relay(world, 'blue', arrived, mechanisms='PLAIN')
    green = Relay(world, 'green', arrived, mechanisms='LOGIN')
    red = Relay(world, 'red', arrived, tls_first=True)
    server = house(world, {**ORDINARY, 'log_level': 'info',
                           ('outbound', 'blue'): blue.outbound(3),
                           ('outbound', 'green'): green.outbound(2),
                           ('outbound', 'red'): red.outbound(1, mode='tls')})
    half = MESSAGES // 2
    # First all three, by weight.
    submit(server, [f'first-{number}' for number in range(half)])
    wait_until(lambda: len(arrived) >= half, 120, what='the first half')
    shares = collections.Counter(name for _, name in arrived)
    for name, share in (('blue', 3 / 6), ('green', 2 / 6), ('red', 1 / 6)):
        assert abs(shares[name] / half - share) < 0.02 + 2 / half ** 0.5, shares
    # One is taken away in mid-batch.
    before = blue.count

    def kill_in_mid_batch():
        wait_until(lambda: blue.count >= before + half // 20, 60, every=0.005, what='some mail at blue')
        blue.take_away()
    killer = threading.Thread(target=kill_in_mid_batch)
    killer.start()
    submit(server, [f'second-{number}' for number in range(half)])
    killer.join()
    wait_until(lambda: len(arrived) >= 2 * half, 120, what=lambda: f'all: {len(arrived)}')
    assert server.find_events('keeper.route_down', route='blue')
    down = route(server, 'blue')
    assert not down['works'] and 'not reached' in down['why']
    assert 'route blue' in server.control('status').stdout
    # It comes back by itself.
    blue.bring_back()
    wait_until(lambda: route(server, 'blue')['works'], 60, every=0.2, what='the return of blue')
    at_return = blue.count
    submit(server, [f'third-{number}' for number in range(300)])
    wait_until(lambda: len(arrived) >= 2 * half + 300, 60, what='the rest')
    assert abs((blue.count - at_return) / 300 - 1 / 2) < 0.12
    # Each once.
    wait_until(lambda: server.queue_length() == 0, 60, every=0.2, what='an empty queue')
    counts = collections.Counter(subject for subject, _ in arrived)
    assert len(counts) == 2 * half + 300
    assert not [subject for subject, count in counts.items() if count > 1]
    # Nobody saw a password but under TLS.
    for relay in (blue, green, red):
        assert not any('AUTH' in line for session in relay.sink.sessions for line in session.clear)


@pytest.mark.asan
def test_no_login_without_verified_tls(world, house):
    arrived = []
    stripped = Relay(world, 'stripped', arrived, tls='none')
    wrong = Relay(world, 'wrong', arrived, tls='wrong')
    refusing = Relay(world, 'refusing', arrived)
    with open(refusing.password_file, 'w', encoding='ascii') as file:
        file.write('not the password\n')
    good = Relay(world, 'good', arrived)
    server = house(world, {**ORDINARY, **{('outbound', relay.name): relay.outbound(5)
                                          for relay in (stripped, wrong, refusing)},
                           ('outbound', 'good'): good.outbound(1)})
    submit(server, [f'mail-{number}' for number in range(40)])
    wait_until(lambda: len(arrived) >= 40, 60, what='all mail by the one that is left')
    assert {name for _, name in arrived} == {'good'}
    wait_until(lambda: all(not route(server, relay.name)['works'] for relay in (stripped, wrong, refusing)),
               30, every=0.2, what='three routes out of order')
    assert 'TLS' in route(server, 'stripped')['why'] and 'TLS' in route(server, 'wrong')['why']
    assert 'login' in route(server, 'refusing')['why']
    for relay in (stripped, wrong):
        assert not any('AUTH' in line or 'MAIL' in line for line in relay.sink.said())
    secret = [relay.login[1] for relay in (stripped, wrong, refusing, good)] + ['not the password']
    assert not any(word in line for line in server.lines for word in secret)


def test_source_addresses_and_names(world, house):
    far = world.host('mx.far.test', 'far.test')
    server = house(world, {
        **ORDINARY,
        ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False,
                                'outbound': ['one=2', 'two', 'gone']},
        ('outbound', 'one'): {'source': ['127.0.0.31'], 'helo': 'one.clinic.test'},
        ('outbound', 'two'): {'source': ['127.0.0.32'], 'helo': 'two.clinic.test'},
        ('outbound', 'gone'): {'source': ['192.0.2.77']}})
    submit(server, [f'mail-{number}' for number in range(60)], domain='far.test')
    got = far.wait(60)
    peers = collections.Counter(message.session.peer[0] for message in got)
    assert set(peers) == {'127.0.0.31', '127.0.0.32'} and peers['127.0.0.31'] > peers['127.0.0.32']
    for session in far.sessions:
        name = {'127.0.0.31': 'one', '127.0.0.32': 'two'}[session.peer[0]]
        assert f'EHLO {name}.clinic.test' in session.clear + session.secret
    assert 'address' in route(server, 'gone')['why']


def test_a_message_keeps_its_route(world, house):
    """Retries leave by the address of the first attempt, after a restart as well."""
    def later(verb, argument, session):
        if verb == 'RCPT' and is_late:
            seen[argument].add(session.peer[0])
            return '451 4.7.1 come again'
        if verb == 'RCPT':
            seen[argument].add(session.peer[0])
        return None
    seen, is_late = collections.defaultdict(set), True
    far = world.host('mx.far.test', 'far.test', rule=later)
    server = house(world, {**ORDINARY, ('outbound', 'one'): {'source': ['127.0.0.31']},
                           ('outbound', 'two'): {'source': ['127.0.0.32']},
                           ('outbound', 'three'): {'source': ['127.0.0.33']}})
    with smtplib.SMTP(server.address, server.ports['mx'], local_hostname='pc.clinic.test') as smtp:
        for number in range(30):
            smtp.sendmail('alice@clinic.test', [f'r{number}@far.test'], b'From: alice@clinic.test\r\nSubject: x\r\n\r\nx\r\n')
    wait_until(lambda: len(seen) == 30, 30, what='first attempts')
    time.sleep(2)
    server.stop()
    server.start()
    time.sleep(1.5)
    is_late = False
    far.wait(30)
    assert all(len(peers) == 1 for peers in seen.values()), seen
    assert len(set.union(*seen.values())) == 3


def test_secure_mail_goes_by_trusted_smart_hosts_only(world, house):
    arrived = []
    plain = Relay(world, 'plain', arrived)
    trusted = Relay(world, 'trusted', arrived)
    world.host('mx.far.test', 'far.test')
    server = house(world, {('outbound', 'plain'): plain.outbound(100),
                           ('outbound', 'trusted'): trusted.outbound(1, secure_mail=True)})
    for number in range(5):
        send(server, [f'r{number}@far.test'])
    wait_until(lambda: len(arrived) >= 5, 30, what='mail at the trusted one')
    assert {name for _, name in arrived} == {'trusted'}


@pytest.mark.needs('root')
def test_postfix_takes_our_login(world, house, folder):
    """A real Postfix with Cyrus SASL as smart host: both mechanisms."""
    certificate, key = world.ca.issue('relay.real.test')
    address = world.new_address()
    world.name('relay.real.test', address)
    postfix = Postfix(os.path.join(folder, 'postfix'), address, world.mx_port, 'relay.real.test', certificate, key,
                      login=('clerk', 'a password of words'))
    try:
        password = world.path('real.password')
        with open(password, 'w', encoding='ascii') as file:
            file.write('a password of words\n')
        os.chmod(password, 0o600)
        server = house(world, {**ORDINARY, ('outbound', 'real'): {
            'smart_host': f'relay.real.test:{world.mx_port}', 'user': 'clerk@relay.real.test', 'password_file': password}})
        submit(server, ['to-postfix-1', 'to-postfix-2'])
        postfix.wait(lambda data, mail: str(mail['Subject']).startswith('to-postfix'), 2)
        assert 'sasl_method=PLAIN' in postfix.log_text() and 'sasl_username=clerk@relay.real.test' in postfix.log_text()
        postfix.offer('LOGIN')
        server.stop()
        server.start()
        submit(server, ['to-postfix-3'])
        postfix.wait(lambda data, mail: mail['Subject'] == 'to-postfix-3')
        assert 'sasl_method=LOGIN' in postfix.log_text()
    finally:
        postfix.stop()
