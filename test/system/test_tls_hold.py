# SPDX-License-Identifier: Apache-2.0
"""
Modes, the forced list, and mail that waits because of TLS: a domain that loses its TLS, a published policy that cannot be
met; when the sender is told and in which words; what comes after the wait; nothing of it is lost by a restart.
"""
import os
import time

import pytest

from world import wait_until
from world.farm import Farm
from world.machine import PATIENCE
from world.mails import CANARIES, header_id, make_mail, send, submit
from world.reader import link_in

ORDINARY = 'news +noencrypt+'


def post(server, address, subject=ORDINARY, **options):
    return header_id(send(server, [address], subject=subject, **options))


def known(world, server, host, domain, times=3):
    """Ordinary mail over TLS, so often that the domain is ratcheted."""
    before = len(host.messages)
    for number in range(times):
        post(server, f'n{number}@{domain}')
    host.wait(before + times)
    wait_until(lambda: server.control_json('tls', 'show', domain)[0]['ratcheted'], 10, what='the ratchet')


def delay_report(world, number=1):
    """The sender's delay report: its text and its status block."""
    mail = world.clinic.wait(number, seconds=30)[number - 1].mail
    parts = {part.get_content_type(): part for part in mail.walk()}
    return mail, str(parts['message/delivery-status'])


def stats(server):
    return server.control_json('top', '--once')[0]['numbers']


FAST = {'delivery': {'retry_first': '500ms', 'retry_max': '1s', 'idle': '0s', 'ratchet_hold': '4s', 'policy_notice': '1s'}}


@pytest.mark.asan
@pytest.mark.parametrize('tls', ['good', 'self'], ids=['verified', 'encrypted'])
def test_lost_starttls_holds_ordinary_mail(world, house, ca, tls):
    """Seen with TLS three times, then stripped: ordinary mail waits, over a restart too; alarm; the sender is told once."""
    from world.ca import self_signed
    pair = ca.issue('mx.strip.test') if tls == 'good' else self_signed(world.folder, 'mx.strip.test')
    host = world.host('mx.strip.test', 'strip.test', certificates=[pair])
    server = house(world, {**FAST, 'delivery': {**FAST['delivery'], 'ratchet_hold': '1h'}})
    known(world, server, host, 'strip.test')
    contexts, host.contexts = host.contexts, []
    message = post(server, 'late@strip.test')
    server.wait_state(message, 'late@strip.test', 'deferred')
    report, status = delay_report(world)
    assert 'Action: delayed' in status and '4.7.10' in status
    assert 'lost its TLS' in report.as_string().replace('=\n', '').replace('\n', ' ')
    assert server.find_events('keeper.tls_vanished', domain='strip.test', level='warn')
    assert len(server.find_events('keeper.tls_vanished')) == 1
    assert stats(server)['domains_tls_lost'] == 1
    assert 'strip.test' in server.control('status').stdout
    server.kill_all()
    server.start()
    time.sleep(2)
    assert stats(server)['domains_tls_lost'] == 1 and len(host.messages) == 3
    assert not [line for session in host.sessions for line in session.clear if line.upper().startswith('MAIL')]
    host.contexts = contexts
    assert host.wait(4)[3].tls
    wait_until(lambda: stats(server)['domains_tls_lost'] == 0, 10, what='the end of the alarm')
    assert len(world.clinic.messages) == 1, 'told more than once'


def test_what_comes_after_the_hold(world, house, ca):
    """ratchet_after: clear sends in clear with a warning, portal seals, hold goes on; two accounts do not mix."""
    from world.postern import PASSWORD, cheap_password_hash
    accounts, users = {}, {}
    for rule in ('hold', 'clear', 'portal'):
        accounts[('account', rule)] = {'organisation': rule, 'opt_out_allowed': True, 'ratchet_after': rule,
                                       'notice_from': 'Secure <secure@clinic.test>', 'cleartext_after': '0s'}
        users[('user', f'{rule}@clinic.test')] = {'account': rule, 'password': cheap_password_hash(PASSWORD)}
    host = world.host('mx.strip.test', 'strip.test')
    server = house(world, {**FAST, **accounts, **users})
    known(world, server, host, 'strip.test')
    host.contexts = []
    sent = {}
    for rule in ('hold', 'clear', 'portal'):
        mail = make_mail([f'{rule}@strip.test'], f'{rule}@clinic.test', ORDINARY)
        assert submit(server, mail, [f'{rule}@strip.test'], f'{rule}@clinic.test', user=f'{rule}@clinic.test')[0] == 250
        sent[rule] = header_id(mail)
    began = time.monotonic()
    got = host.wait(5, seconds=40)[3:]
    assert time.monotonic() - began > 3
    ids = [message.mail['Message-ID'].strip('<>') for message in got]
    assert sent['clear'] in ids and sent['portal'] not in ids and sent['hold'] not in ids
    assert [link_in(message) for message in got if message.mail['Message-ID'].strip('<>') != sent['clear']]
    assert server.find_events('keeper.ratchet_lifted', domain='strip.test', level='warn')
    assert server.state_of(sent['hold'], 'hold@strip.test') == 'deferred'
    assert server.methods(sent['portal'])['portal@strip.test'] == 'portal'


def test_no_ratchet_when_it_is_off(world, house):
    host = world.host('mx.strip.test', 'strip.test', tls='wrong')
    server = house(world, {'delivery': {**FAST['delivery'], 'ratchet': 0}})
    for number in range(4):
        post(server, f'n{number}@strip.test')
    host.wait(4)
    host.contexts = []
    post(server, 'late@strip.test')
    assert not host.wait(5)[4].tls


def test_the_forced_list(world, house, folder):
    """Opting out does not help to a domain on the list: proved TLS, or the portal. The file is read again at reload."""
    good, plain = world.host('mx.good.test', 'good.test'), world.host('mx.plain.test', 'plain.test', tls='none')
    below = world.host('mx.below.test', 'a.b.test', tls='none')
    path = os.path.join(folder, 'forced')
    with open(path, 'w', encoding='ascii') as file:
        file.write('# by contract\nplain.test\n')
    os.chmod(path, 0o644)
    server = house(world, {'forced_domains': ['good.test'], 'forced_domains_file': path})
    post(server, 'a@good.test')
    post(server, 'b@plain.test')
    post(server, 'c@a.b.test')
    assert good.wait(1)[0].tls
    assert link_in(plain.wait(1)[0])
    assert not below.wait(1)[0].tls  # not listed: as it was asked
    explained = server.control_json('explain', '--from', 'alice@clinic.test', '--to', 'x@plain.test', '--subject', ORDINARY)[0]
    assert explained['rule'] == 'forced' and 'by the system-wide forced list' in explained['reasons']
    with open(path, 'a', encoding='ascii') as file:
        file.write('*.b.test\n')
    server.reload()
    wait_until(lambda: server.control_json('explain', '--from', 'alice@clinic.test', '--to', 'x@a.b.test', '--subject',
                                           ORDINARY)[0]['rule'] == 'forced', 20, what='the new list')
    with open(path, 'a', encoding='ascii') as file:
        file.write('not a domain\n')
    checked = server.command('check', '-c', server.settings_path, check=False)
    assert checked.returncode != 0 and 'line 4 is no domain' in checked.stderr + checked.stdout


def test_modes_by_sender(world, house):
    """Who counts before whom, as explain and mail see it."""
    host = world.host('mx.plain.test', 'plain.test', tls='none')
    world.name('mx.plain.test', host.address, 'other.test')
    server = house(world, {('account', 'clinic'): {
        'mode': 'opportunistic', ('sender', 'nurse@clinic.test'): {'mode': 'forced'},
        ('recipient', 'other.test'): {'mode': 'none'}}})

    def rule(sender, recipient):
        answer = server.control_json('explain', '--from', sender, '--to', recipient)[0]
        return answer['rule'], answer['reasons']
    assert rule('alice@clinic.test', 'x@plain.test')[0] == 'mode-without-protection'
    assert rule('nurse@clinic.test', 'x@plain.test')[0] == 'forced'
    assert "by the sender's address" in rule('nurse@clinic.test', 'x@plain.test')[1]
    assert rule('nurse@clinic.test', 'x@other.test')[0] == 'mode-without-protection'
    assert "by the recipient's domain" in rule('nurse@clinic.test', 'x@other.test')[1]
    mail = make_mail(['a@plain.test'], 'nurse@clinic.test', 'from the nurse')
    assert submit(server, mail, ['a@plain.test'], 'nurse@clinic.test')[0] == 250
    assert link_in(host.wait(1)[0])


# ---- what others publish ----

@pytest.fixture
def farm(world, folder):
    made = Farm(world, os.path.join(folder, 'farm'), names=['dane-mismatch'])
    yield made
    made.stop()


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
@pytest.mark.limit(200)
def test_a_policy_that_cannot_be_met(farm, house):
    """Ordinary mail waits and its sender is told which policy and row; secure mail goes to the portal after tls_retry, and
    the sender learns that its notice waits; an exception with an end lets ordinary mail through."""
    world, case = farm.world, farm.cases['dane-mismatch']
    farm.start()
    server = house(world, {**farm.settings(), **FAST, ('account', 'clinic'): {'tls_retry': '3s'}})
    ordinary = post(server, f'a@{case.domain}')
    report, status = delay_report(world)
    text = report.as_string().replace('=\n', '').replace('\n', ' ')
    assert 'published policy could not be met' in text and 'row 3' in text and 'TLSA' in text
    assert 'Action: delayed' in status and '4.7.10' in status
    for word in CANARIES:
        assert word not in report.as_string()
    secure = post(server, f'b@{case.domain}', subject='for your eyes')
    wait_until(lambda: server.methods(secure)[f'b@{case.domain}'] == 'portal', 30, what='the portal')
    _, status = delay_report(world, 2)
    assert f'b@{case.domain}' in status
    time.sleep(2)
    assert server.state_of(ordinary, f'a@{case.domain}') == 'deferred'
    assert not [host for host in case.hosts if host.messages]
    assert len(world.clinic.messages) == 2
    server.write_settings({('exception', case.domain): {'until': '2099-12-31', 'reason': 'they know'}})
    server.reload()
    late = post(server, f'c@{case.domain}')
    wait_until(lambda: server.state_of(late, f'c@{case.domain}') == 'delivered', 30, what='the exception')


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
@pytest.mark.limit(200)
def test_a_notice_instead(farm, house):
    """policy_unmet = portal: the content stays here, the notice goes past the policy; what heals is delivered."""
    world, case = farm.world, farm.cases['dane-mismatch']
    farm.start()
    server = house(world, {**farm.settings(), **FAST, ('account', 'clinic'): {'tls_retry': '2s', 'policy_unmet': 'portal'}})
    message = post(server, f'a@{case.domain}')
    assert link_in(case.hosts[0].wait(1, seconds=40)[0])
    assert server.methods(message)[f'a@{case.domain}'] == 'portal'
    assert 'could not be met in time' in server.recipient(message, f'a@{case.domain}')['reasons']


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
@pytest.mark.limit(200)
def test_what_heals_is_delivered(farm, house):
    world, case = farm.world, farm.cases['dane-mismatch']
    farm.start()
    server = house(world, {**farm.settings(), **FAST})
    message = post(server, f'a@{case.domain}')
    server.wait_state(message, f'a@{case.domain}', 'deferred')
    case.withdraw(case.tlsa_name().rstrip('.'), 'TLSA')
    farm.publish()
    wait_until(lambda: server.state_of(message, f'a@{case.domain}') == 'delivered', 60 * PATIENCE, every=0.5, what='delivery')
