# SPDX-License-Identifier: Apache-2.0
"""
The board of domains' TLS: tests without mail against a signed world of real name servers, a real Postfix and hostile hosts;
verdicts that flip within a day of the server's clock without any send, the history, and what the commands print.
"""
import os
import time

import pytest

from test_clock import Clock
from world import wait_until
from world.farm import Farm
from world.machine import PATIENCE
from world.mails import header_id, make_mail, send, submit
from world.postern import SANITIZED

DAY = 86400

# Case of the farm: verdict, words in what is wrong with the first host ('' = nothing).
EXPECTED = {
    'plain-good': ('verified', ''),
    'plain-postfix': ('verified', ''),
    'plain-tls12': ('verified', ''),
    'plain-self': ('encrypted', 'self'),
    'plain-expired': ('encrypted', 'expired'),
    'plain-name': ('encrypted', 'name'),
    'plain-none': ('no TLS', 'STARTTLS is not offered'),
    'plain-garbled': ('no TLS', ''),
    'plain-large-hello': ('verified', ''),
    'null-mx': ('no mail', ''),
    'dane-postfix': ('dane', ''),
    'dane-311': ('dane', ''),
    'dane-211': ('dane', ''),
    'dane-ee-expired': ('dane', ''),
    'dane-mismatch': ('encrypted', 'TLSA'),
    'dane-servfail': ('encrypted', 'look-up failed'),
    'sts-good': ('verified', ''),
    'sts-unlisted': ('encrypted', 'MTA-STS policy does not name'),
}


@pytest.fixture
def farm(world, folder):
    made = Farm(world, os.path.join(folder, 'farm'), names=[name for name in EXPECTED if name in farm_cases()])
    yield made.start()
    made.stop()


def farm_cases():
    from world.farm import CASES
    return CASES


def probe(server, domain):
    return server.control_json('tls', 'test', domain)[0]


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'postfix', 'dns')
@pytest.mark.limit(300)
def test_every_kind_of_host(world, house, farm):
    """What a test finds is what the farm is; the commands print it."""
    server = house(world, {**farm.settings(), 'delivery': {'command_timeout': '3s'}})
    wrong = []
    for name, case in farm.cases.items():
        board = probe(server, case.domain)
        verdict, words = EXPECTED[name]
        hosts = board.get('last_test', {}).get('hosts', [])
        why = hosts[0].get('why', '') if hosts else ''
        if board['verdict'] != verdict or (words == '') != (why == '') and name != 'plain-garbled' or words not in why:
            wrong.append((name, board['verdict'], why, board.get('last_test')))
    assert not wrong, '\n'.join(map(str, wrong))
    good = probe(server, farm.cases['sts-good'].domain)
    assert good['last_test']['sts'] == 'enforce' and 'sts_enforce' in good['features']
    host = good['last_test']['hosts'][0]
    assert host['mx_proof'] == 'mta-sts' or good['last_test']['mx_secure']
    assert host['tls'] == 'TLSv1.3' and host['names'] and host['issuer'] and host['not_after_ms'] > time.time() * 1000
    assert probe(server, farm.cases['plain-large-hello'].domain)['last_test']['hosts'][0]['small_hello']
    listed = {row['domain']: row['verdict'] for row in server.control_json('tls', 'list')}
    assert listed == {case.domain: EXPECTED[name][0] for name, case in farm.cases.items()}
    report = server.control_json('tls', 'report')[0]
    assert report['tested'] == len(EXPECTED) and report['verdicts']['dane'] == 4 and report['no_tls'] == 2
    assert report['features'].get('sts_enforce', 0) == 2
    for arguments in (('list',), ('show', farm.cases['dane-311'].domain), ('show', farm.cases['sts-unlisted'].domain), ('report',)):
        text = server.control('tls', *arguments).stdout
        assert max(map(len, text.splitlines())) <= 120, text
        print(text)
    # No mail was said to anybody: only greetings and QUIT.
    for case in farm.cases.values():
        for host in case.hosts:
            for session in host.sessions:
                assert not [line for line in session.clear + session.secret if line.upper().startswith(('MAIL', 'RCPT', 'DATA'))]


BOARD = {'board': {'every': '1d', 'first_after': '1s', 'again_after': '2s'}}


def verdict(server, domain):
    return server.control_json('tls', 'show', domain)[0]['verdict']


@pytest.mark.skipif(SANITIZED, reason='the sanitizers want to be the first library')
def test_a_day_flips_the_verdict_without_any_send(world, house, folder, monkeypatch):
    """First use, then nothing is sent any more: a day later the board knows what has changed, and plans go by it."""
    clock = Clock(folder, monkeypatch)
    host = world.host('mx.good.test', 'good.test')
    late = world.host('mx.late.test', 'late.test', tls='wrong')
    server = house(world, BOARD)
    for domain in ('good.test', 'late.test'):
        send(server, [f'a@{domain}'])
        wait_until(lambda: verdict(server, domain) != 'unknown', 20, what=f'a first test of {domain}')
    assert verdict(server, 'good.test') == 'verified' and verdict(server, 'late.test') == 'encrypted'
    # One loses its TLS, the other gets it right; nothing is sent.
    host.contexts, late.contexts = [], host.contexts
    late.contexts = world.host('mx.late.test.', None, certificates=[world.ca.issue('mx.late.test')]).contexts
    sent = len(host.messages), len(late.messages)
    clock.set(DAY)
    wait_until(lambda: verdict(server, 'late.test') == 'verified', 30 * PATIENCE, what='the better verdict')
    wait_until(lambda: verdict(server, 'good.test') == 'no TLS', 30 * PATIENCE, what='the worse verdict, seen twice')
    assert (len(host.messages), len(late.messages)) == sent
    shown = server.control_json('tls', 'show', 'good.test')[0]
    assert [(one['before'], one['after']) for one in shown['changes']] == [('verified', 'no TLS'), ('unknown', 'verified')]
    assert shown['since_ms'] > time.time() * 1000 + (DAY - 600) * 1000
    assert server.find_events('keeper.domain_tls_changed', domain='good.test', now='no TLS', level='warn')
    # Secure mail is planned by it: to the portal at once, without an attempt to prove TLS.
    mail = make_mail(['b@good.test'])
    assert submit(server, mail, ['b@good.test'])[0] == 250
    wait_until(lambda: server.methods(header_id(mail))['b@good.test'] == 'portal', 20, what='the portal')
    # What is known outlives the server.
    server.stop()
    server.start()
    assert verdict(server, 'good.test') == 'no TLS' and verdict(server, 'late.test') == 'verified'
    assert len(server.control_json('tls', 'show', 'good.test')[0]['changes']) == 2


@pytest.mark.asan
def test_a_moment_of_trouble_changes_nothing(world, house):
    """Worse once, good again at the second look: the verdict stands, nobody is warned."""
    host = world.host('mx.good.test', 'good.test')
    server = house(world, {'board': {'again_after': '3s', 'every': '1d'}})
    assert probe(server, 'good.test')['verdict'] == 'verified'
    contexts, host.contexts = host.contexts, []
    board = probe(server, 'good.test')
    assert board['verdict'] == 'verified' and board['worse_ms'] and board['last_test']['found'] == 'no TLS'
    host.contexts = contexts
    wait_until(lambda: 'worse_ms' not in server.control_json('tls', 'show', 'good.test')[0], 20 * PATIENCE, what='the second look')
    assert verdict(server, 'good.test') == 'verified'
    assert not server.find_events('keeper.domain_tls_changed')


@pytest.mark.asan
def test_a_probe_never_replaces_the_live_proof(world, house, ca):
    """Good when tested, an impostor when mail comes: nothing secure is said to it (product A12)."""
    good, bad = ca.issue('mx.swap.test'), ca.issue('impostor.example.test')
    host = world.host('mx.swap.test', 'swap.test', certificates=[good, bad])
    server = house(world, {('account', 'clinic'): {'tls_retry': '1s'}})
    assert probe(server, 'swap.test')['verdict'] == 'verified'
    mail = make_mail(['a@swap.test'])
    assert submit(server, mail, ['a@swap.test'])[0] == 250
    host.wait(1, seconds=40)  # the notice
    assert mail['Message-ID'] not in [message.mail['Message-ID'] for message in host.messages]
    assert server.methods(header_id(mail))['a@swap.test'] == 'portal'


def test_many_new_domains_are_tested_a_few_at_a_time(world, house):
    """Twenty first uses at once: at most at_once hosts are asked at a time, none is forgotten, no mail waits for it."""
    count, busy, most, is_over = 20, set(), [0], [False]

    def rule(verb, _argument, session):
        if is_over[0] and verb == 'EHLO':
            busy.add(session)
            most[0] = max(most[0], len(busy))
            time.sleep(0.05)
        if verb == 'QUIT':
            busy.discard(session)
    hosts = [world.host(f'mx.d{number}.test', f'd{number}.test', rule=rule) for number in range(count)]
    server = house(world, {'board': {'every': '1d', 'first_after': '4s', 'at_once': 3}, 'delivery': {'idle': '0s'}})
    recipients = [f'a@d{number}.test' for number in range(count)]
    assert submit(server, make_mail(recipients), recipients)[0] == 250
    wait_until(lambda: all(host.messages for host in hosts), 3.5, what='delivery, before any test')
    is_over[0] = True
    wait_until(lambda: all(row['verdict'] == 'verified' for row in server.control_json('tls', 'list')), 60, what='all tests')
    assert len(server.control_json('tls', 'list')) == count
    assert 1 <= most[0] <= 3
    assert server.control('tls', 'test', 'nobody.test', check=False).returncode == 0
    assert verdict(server, 'nobody.test') == 'no mail'
    assert server.control('tls', 'test', 'nodots', check=False).returncode == 1
    assert server.control('tls', 'wrong', check=False).returncode == 64
