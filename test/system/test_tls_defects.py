# SPDX-License-Identifier: Apache-2.0
"""
Mistakes that mail servers have made with TLS between servers, as far as they need a story of several steps. The list with
all of them, and which test shows that we do not make them, is the second part of tls_outcomes.md.
"""
import os
import time

import pytest

from world import wait_until
from world.dnssec import tlsa
from world.farm import Farm
from world.mails import canary_mail, header_id, make_mail, send, submit
from world.policyhost import policy
from world.reader import link_in

pytestmark = pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')



def waits(feature):
    return pytest.mark.skip(reason='waits for: ' + feature)


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
    """It was tried so often and is still here; the row that decided last."""
    def tried():
        recipient = server.recipient(message, address)
        found = [event for event in recipient['events'] if event['event'] == 'deferred']
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


@waits('sts')
def test_policy_survives_a_new_id_that_cannot_be_fetched_and_a_restart(moved):
    case, server = moved
    message, row = led_away(case, server, lambda c: c.announce('v=STSv1; id=2;'))
    assert row in (7, 9)
    # The owner comes back: the new policy names the new host.
    case.farm.policies.serve('moved.test', policy('enforce', 'mx.elsewhere.test'))
    case.farm.policies.start()
    assert delivered(server, message, 'a@moved.test') == ('verified', 7)


@waits('sts')
def test_policy_survives_the_loss_of_its_record_and_a_restart(moved):
    case, server = moved
    _, row = led_away(case, server, lambda c: c.withdraw('_mta-sts.moved.test', 'TXT'))
    assert row == 7


@waits('sts')
def test_policy_survives_a_record_that_cannot_be_asked_for(moved):
    case, server = moved
    _, row = led_away(case, server, lambda c: (c.withdraw('_mta-sts.moved.test', 'TXT'),
                                               c.farm.names.fail('_mta-sts.moved.test')))
    assert row == 7


@waits('sts')
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

@waits('sts')
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


@waits('sts')
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
        assert delivered(server, header_id(mail), 'a@strict.test') == ('verified', 7)
        assert delivered(server, header_id(mail), 'a@free.test') == ('verified', 10)
    assert len(host.messages) == 6


@waits('table')
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
    time.sleep(1.5)  # the old record's life
    message = post(server, 'a@turn.test')
    assert held(server, message, 'a@turn.test') == 3
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


@waits('table')
def test_failed_handshakes_do_not_end_in_clear_at_once(farm, house):
    case = farm.domain('shut')
    host = case.host([], garble=True)
    farm.start()
    server = start(farm, house, **SLOW_TO_CLEAR)
    assert held(server, post(server, 'a@shut.test'), 'a@shut.test', 4) == 10
    assert not host.messages


# ---- the certificate is changed ----

@waits('modes')
def test_certificate_changes_between_the_test_and_the_message(farm, house):
    """`postern tls test` sees a good host. The connection that carries the message does not."""
    case = farm.domain('swap')
    host = case.host()
    farm.start()
    server = start(farm, house, tls_retry='2s')
    answer = server.control('tls', 'test', 'swap.test').stdout
    assert 'mx.swap.test' in answer
    host.set_certificates([case.issue('impostor.example.test')])
    mail = canary_mail(['a@swap.test'])
    assert submit(server, mail, ['a@swap.test'])[0] == 250
    assert link_in(host.wait(1)[0])
    untouched(host, header_id(mail))
    assert server.recipient(header_id(mail), 'a@swap.test')['method'] == 'portal'
