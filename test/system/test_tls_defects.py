# SPDX-License-Identifier: Apache-2.0
"""
Mistakes that mail servers have made with TLS between servers, as far as they need a story of several steps. The list with
all of them, and which test shows that we do not make them, is the second part of tls_outcomes.md.
"""
import os
import ssl
import time

import pytest

from test_clock import DAY, clock  # noqa: F401  (a fixture)
from world import wait_until
from world.dnssec import tlsa
from world.farm import Farm
from world.mails import canary_mail, header_id, make_mail, send, submit
from world.policyhost import policy
from world.postern import SANITIZED
from world.reader import link_in
from world.weak import hang_above, old_context

pytestmark = pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')

ORDINARY = 'news +noencrypt+'
SLOW_TO_CLEAR = {'cleartext_after': '15m'}


@pytest.fixture
def farm(world, folder):
    made = Farm(world, os.path.join(folder, 'farm'), names=[])
    yield made
    made.stop()


def start(farm, house, changes=None, **account):
    """A server in this world that retries quickly."""
    settings = {**farm.settings(), 'delivery': {'retry_first': '500ms', 'retry_max': '1s', **(changes or {})},
                ('account', 'clinic'): account}
    return house(farm.world, settings)


def post(server, *addresses, subject=ORDINARY, **options):
    """An ordinary message; returns its Message-ID."""
    return header_id(send(server, list(addresses), subject=subject, **options))


def last(server, message, address, *kinds):
    """The last event of these kinds, once there is one."""
    return wait_until(lambda: [event for event in server.recipient(message, address)['events']
                               if event['event'] in kinds], 30, every=0.2, what=f'{kinds} of {address}')[-1]


def delivered(server, message, address):
    event = last(server, message, address, 'delivered')
    return event['level'], event.get('row')


def held(server, message, address, times=2):
    """
    It was tried so often and is still here; the row that decided last. That is row 2, as for secure mail, where the domain is
    known to do TLS: then nothing goes to it without.
    """
    def tried():
        recipient = server.recipient(message, address)
        found = [event for event in recipient['events'] if event['event'] in ('deferred', 'not_proved')]
        assert recipient['state'] in ('planned', 'accepted', 'sending', 'deferred'), recipient
        return found if len(found) >= times else None
    return wait_until(tried, 30, every=0.2, what=f'{times} tries to {address}')[-1].get('row')


def untouched(sink, message):
    """No host was told a thing."""
    assert not [m for m in sink.messages if m.mail['Message-ID'] == f'<{message}>']


# ---- MTA-STS that is forgotten ----

@pytest.fixture
def moved(farm, house):
    """
    A domain whose policy was obeyed once. Then its mail is led to a host that is not in the policy, as by somebody
    who holds its DNS, and the web server with the policy is gone.
    """
    case = farm.domain('moved')
    case.good = case.host()
    case.enforce()
    farm.start()
    server = start(farm, house)
    assert delivered(server, post(server, 'a@moved.test'), 'a@moved.test') == ('verified', 7)
    case.withdraw('moved.test', 'MX')
    case.bad = case.host(name='mx.elsewhere.test')
    farm.policies.stop()
    return case, server


def led_away(case, server, before):
    """The policy that was there still counts. `before`: what happened to its record."""
    before(case)
    case.farm.publish()
    server.kill_all()
    server.start()
    message = post(server, 'a@moved.test')
    row = held(server, message, 'a@moved.test', 3)
    untouched(case.bad, message)
    return message, row


def test_policy_survives_a_new_id_that_cannot_be_fetched_and_a_restart(moved):
    case, server = moved
    message, row = led_away(case, server, lambda c: c.announce('v=STSv1; id=2;'))
    assert row in (2, 9)
    # The owner comes back: the new policy names the new host.
    case.farm.policies.serve('moved.test', policy('enforce', 'mx.elsewhere.test'))
    case.farm.policies.start()
    assert delivered(server, message, 'a@moved.test')[0] == 'verified'


def test_policy_survives_the_loss_of_its_record_and_a_restart(moved):
    case, server = moved
    _, row = led_away(case, server, lambda c: c.withdraw('_mta-sts.moved.test', 'TXT'))
    assert row in (2, 7)


def test_policy_survives_a_record_that_cannot_be_asked_for(moved):
    case, server = moved
    _, row = led_away(case, server, lambda c: (c.withdraw('_mta-sts.moved.test', 'TXT'),
                                               c.farm.names.fail('_mta-sts.moved.test')))
    assert row in (2, 7)


def test_policy_of_mode_none_ends_it(moved):
    """The owner's way out [RFC 8461 §8.3]: fetched over verified HTTPS, so nobody else can go it."""
    case, server = moved
    case.farm.policies.serve('moved.test', policy('none'))
    case.farm.policies.start()
    case.announce('v=STSv1; id=3;')
    case.farm.publish()
    message = post(server, 'a@moved.test')
    assert delivered(server, message, 'a@moved.test')[0] == 'verified'


# ---- policies and connections that are shared ----

def test_two_domains_one_host_one_policy(farm, house):
    """Mail is grouped by host only after each domain's own policy has been heard, also on a connection that is open."""
    strict, free = farm.domain('strict'), farm.domain('free')
    host = free.host(free.issue('mx.elsewhere.test'), name='mx.shared.test')
    strict.mx('mx.shared.test')
    strict.enforce('mx.shared.test')
    farm.start()
    server = start(farm, house, {'idle': '20s'})
    messages = []
    for _ in range(4):
        mail = make_mail(['a@strict.test', 'a@free.test'], subject=ORDINARY)
        assert submit(server, mail, ['a@strict.test', 'a@free.test'])[0] == 250
        messages.append(header_id(mail))
    for message in messages:
        assert delivered(server, message, 'a@free.test') == ('encrypted', 10)
        assert held(server, message, 'a@strict.test') == 7
    assert {m.recipients[0] for m in host.messages} == {'a@free.test'}
    told = [line for session in host.sessions for line in session.clear + session.secret]
    assert not [line for line in told if 'strict.test' in line]


def test_two_domains_one_host_both_fine(farm, house):
    """The other way round: what is fine for both is sent, each by its own row."""
    strict, free = farm.domain('strict'), farm.domain('free')
    host = free.host(name='mx.shared.test')
    strict.mx('mx.shared.test')
    strict.enforce('mx.shared.test')
    farm.start()
    server = start(farm, house, {'idle': '20s'})
    for _ in range(3):
        mail = make_mail(['a@strict.test', 'a@free.test'], subject=ORDINARY)
        assert submit(server, mail, ['a@strict.test', 'a@free.test'])[0] == 250
        assert delivered(server, header_id(mail), 'a@strict.test') in (('verified', 7), ('verified', 2))
        assert delivered(server, header_id(mail), 'a@free.test') in (('verified', 10), ('verified', 2))
    assert len(host.messages) == 6


def test_tlsa_changes_while_a_connection_is_open(farm, house):
    """An open connection proves what it proved; a new one is held to what is published now."""
    case = farm.domain('turn')
    pair = case.self_signed()
    host = case.host(pair)
    case.record(f'{case.tlsa_name()} 1 IN TLSA {tlsa(pair[0], 3, 1, 1)}')
    farm.start()
    server = start(farm, house, {'idle': '0s'})
    assert delivered(server, post(server, 'a@turn.test'), 'a@turn.test') == ('dane', 3)
    case.withdraw(case.tlsa_name().rstrip('.'), 'TLSA')
    case.record(f'{case.tlsa_name()} 1 IN TLSA 3 1 1 ' + '00' * 32)
    farm.publish()
    time.sleep(6)  # the old record's life, and the least time that answers are kept
    message = post(server, 'a@turn.test')
    assert held(server, message, 'a@turn.test') in (2, 3)
    assert len(host.messages) == 1


# ---- a fault that lasts a moment ----

def test_one_broken_handshake_is_no_reason_for_clear_text(farm, house):
    """Whoever can break one handshake gains nothing: not this message in clear, nor later ones."""
    case = farm.domain('shaken')
    pair, tries = case.issue(), []
    host = case.host(pair)

    def shake(sock, session):
        tries.append(session)
        if len(tries) <= 2:
            sock.sendall(b'\x15\x03\x03\x00\x02\x02\x50')
            return None
        return host.contexts[0].wrap_socket(sock, server_side=True)
    host.handshake = shake
    farm.start()
    server = start(farm, house, **SLOW_TO_CLEAR)
    for _ in range(2):
        assert delivered(server, post(server, 'a@shaken.test'), 'a@shaken.test')[0] == 'verified'
    assert all(message.tls for message in host.messages)
    assert not [line for session in host.sessions for line in session.clear if line.upper().startswith('MAIL')]


def test_failed_handshakes_do_not_end_in_clear_at_once(farm, house):
    case = farm.domain('shut')
    host = case.host([], garble=True)
    farm.start()
    server = start(farm, house, **SLOW_TO_CLEAR)
    assert held(server, post(server, 'a@shut.test'), 'a@shut.test', 4) == 10
    assert not host.messages


# ---- the certificate is changed ----

@pytest.mark.parametrize('proof', ['WebPKI', 'DANE'])
def test_certificate_changes_between_the_test_and_the_message(farm, house, proof):
    """`postern tls test` sees a good host. The connection that carries the message does not."""
    case = farm.domain('swap')
    pair = case.issue() if proof == 'WebPKI' else case.self_signed()
    host = case.host(pair)
    if proof == 'DANE':
        case.tlsa(tlsa(pair[0], 3, 1, 1))
    farm.start()
    server = start(farm, house, tls_retry='2s')
    answer = server.control('tls', 'test', 'swap.test').stdout
    assert 'mx.swap.test' in answer and ('dane' if proof == 'DANE' else 'verified') in answer.lower(), answer
    host.set_certificates([case.issue('impostor.example.test')])
    mail = canary_mail(['a@swap.test'])
    assert submit(server, mail, ['a@swap.test'])[0] == 250
    wait_until(lambda: server.recipient(header_id(mail), 'a@swap.test')['method'] == 'portal', 30, what='the portal')
    untouched(host, header_id(mail))
    if proof == 'WebPKI':
        assert link_in(host.wait(1)[0])


# ---- what is remembered, told, reported ----

def test_the_ratchet_holds_over_a_restart(farm, house):
    """A host that did TLS again and again and suddenly offers none is not sent anything in clear."""
    case = farm.domain('steady')
    host = case.host(case.self_signed())
    farm.start()
    server = start(farm, house, {'ratchet': 2, 'ratchet_hold': '1h', 'idle': '0s'})
    for _ in range(2):
        assert delivered(server, post(server, 'a@steady.test'), 'a@steady.test') == ('encrypted', 10)
    host.contexts = []
    server.kill_all()
    server.start()
    message = post(server, 'a@steady.test')
    assert held(server, message, 'a@steady.test') == 11
    untouched(host, message)
    assert not [line for session in host.sessions for line in session.clear if line.upper().startswith('MAIL')]
    host.set_certificates([case.self_signed('mx.steady.test')])
    assert delivered(server, message, 'a@steady.test') == ('encrypted', 10)


def test_the_sender_is_told_soon(farm, house):
    """Mail held by a policy: the sender hears of it within policy_notice, with the reason, and not in days."""
    case = farm.domain('shut')
    case.host()
    case.tlsa('3 1 1 ' + '00' * 32)
    farm.start()
    server = start(farm, house, {'policy_notice': '1s'})
    mail = make_mail(['a@shut.test'], subject=ORDINARY, body='This is for nobody else.\n')
    assert submit(server, mail, ['a@shut.test'])[0] == 250
    notice = farm.world.clinic.wait(1, fits=lambda m: m.mail.get_content_type() == 'multipart/report')[0]
    report = [part for part in notice.mail.walk() if part.get_content_type() == 'message/delivery-status'][0].get_payload()[1]
    assert report['Action'] == 'delayed' and report['Status'].startswith('4.7.'), str(report)
    assert 'DANE' in notice.text() or 'TLSA' in notice.text(), notice.text()
    assert b'for nobody else' not in notice.data
    time.sleep(3)
    assert len([m for m in farm.world.clinic.messages if m.mail.get_content_type() == 'multipart/report']) == 1


def test_the_story_tells_what_was_looked_up(farm, house):
    """Row, look-ups with their DNSSEC state, the policy by its id, the certificate: for people and for programs."""
    dane, sts = farm.domain('dane'), farm.domain('sts')
    pair = dane.self_signed()
    dane.host(pair)
    dane.tlsa(tlsa(pair[0], 3, 1, 1))
    sts.host()
    sts.enforce(identity='20260101T')
    farm.start()
    server = start(farm, house)
    message = post(server, 'a@dane.test', 'a@sts.test')
    assert delivered(server, message, 'a@dane.test') == ('dane', 3)
    assert delivered(server, message, 'a@sts.test') == ('verified', 7)
    event = last(server, message, 'a@dane.test', 'delivered')
    assert 'mx.dane.test TLSA: secure' in event['lookups'] and 'dane.test MX: secure' in event['lookups'], event
    assert '3 1 1' in event['policy'] and event['certificate'], event
    event = last(server, message, 'a@sts.test', 'delivered')
    assert '20260101T' in event['policy'] and event['certificate'], event
    text = server.control('trace', message).stdout
    for word in ('20260101T', '3 1 1', 'TLSA: secure'):
        assert word in text, text
    for domain, word in (('dane.test', '3 1 1'), ('sts.test', '20260101T')):
        server.control('tls', 'test', domain)
        text = server.control('explain', '--from', 'alice@clinic.test', '--to', f'b@{domain}').stdout
        assert word in text, text



@pytest.mark.skipif(SANITIZED, reason='the sanitizers want to be the first library')
def test_reports_do_not_loop(farm, house, clock):
    """
    A domain that wants reports by mail, and whose TLS is bad: one message, one report the next day, and none about that
    report the day after, though the report had the same trouble on its way [RFC 8460 §5.3].
    """
    hosts = {}
    for name in ('told', 'other'):
        case = farm.domain(name)
        hosts[name] = case.host(case.self_signed())
        case.record(f'_smtp._tls.{name}.test. 60 IN TXT "v=TLSRPTv1; rua=mailto:tls@{name}.test"')
    farm.start()
    server = house(farm.world, {**farm.settings(), 'delivery': {'idle': '0s'},
                                 'tls_reports': {'from': 'tls-reports@clinic.test', 'spread': '1s'}})

    def reports(name):
        return [m for m in hosts[name].messages if m.mail.get_content_type() == 'multipart/report']

    def midnight(days):
        # The server rests meanwhile: a clock that jumps is doubted for a while.
        server.stop()
        clock.set(days * DAY)
        server.start()
    assert delivered(server, post(server, 'a@told.test'), 'a@told.test')[0] == 'encrypted'
    midnight(1)
    wait_until(lambda: reports('told'), 60, what='the first report')
    for day in (2, 3):
        post(server, f'day{day}@other.test')
        hosts['other'].wait(1, fits=lambda m, day=day: m.recipients == [f'day{day}@other.test'])
        midnight(day)
        wait_until(lambda day=day: len(reports('other')) >= day - 1, 60, what='a report to the other')
    assert len(reports('told')) == 1, [m.data for m in reports('told')]
    assert len(reports('other')) == 2


def test_a_deaf_host_is_said_a_small_hello_at_once_the_next_time(farm, house):
    """What was learnt of a host that is deaf for a large ClientHello outlives the server; nothing goes there in clear."""
    case = farm.domain('deaf')
    limit = 300
    host = case.host([], handshake=hang_above(limit, old_context(case.issue(), ssl.TLSVersion.TLSv1_2)))
    farm.start()
    server = start(farm, house, {'idle': '0s', 'command_timeout': '2s'}, **SLOW_TO_CLEAR)
    assert delivered(server, post(server, 'a@deaf.test'), 'a@deaf.test')[0] == 'verified'
    sizes = [session.hello for session in host.sessions]
    assert max(sizes) > limit >= sizes[-1], sizes
    server.kill_all()
    server.start()
    before = len(host.sessions)
    assert delivered(server, post(server, 'a@deaf.test'), 'a@deaf.test')[0] == 'verified'
    sizes = [session.hello for session in host.sessions[before:]]
    assert len(sizes) == 1 and sizes[0] <= limit, sizes
    assert all(message.tls for message in host.messages)
