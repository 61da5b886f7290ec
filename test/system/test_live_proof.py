# SPDX-License-Identifier: Apache-2.0
"""The proof is taken from the connection that carries the message, never from an earlier one."""
import ssl
import time
import warnings

import pytest

from world.ca import Authority, self_signed
from world.mails import canary_mail, header_id, make_mail, send, submit
from world.reader import link_in


@pytest.mark.asan
def test_certificate_changes_between_two_connections(world, house, ca):
    good, bad = ca.issue('mx.swap.test'), ca.issue('impostor.example.test')
    host = world.host('mx.swap.test', 'swap.test', certificates=[good, bad])
    server = house(world, {'delivery': {'idle': '0s'}, ('account', 'clinic'): {'tls_retry': '3s'}})
    first = send(server, ['a@swap.test'], subject='before the swap')
    host.wait(1)
    assert server.delivery_evidence(header_id(first), 'a@swap.test')['level'] == 'verified'
    # The domain is now known to be good. The next connection shows the impostor's certificate.
    mail = canary_mail(['a@swap.test'])
    assert submit(server, mail, ['a@swap.test'])[0] == 250
    # It retries for tls_retry, then plans again: the portal. The notice is ordinary mail.
    notice = host.wait(2, seconds=40)[1]
    assert link_in(notice)
    for session in host.sessions[1:]:
        for line in session.clear + session.secret:
            assert mail['Message-ID'].strip('<>') not in line
    assert not [m for m in host.messages if m.mail['Message-ID'] == mail['Message-ID']]
    # Not even the envelope of the secure message went over the bad connections: the first MAIL FROM seen on
    # one of them belongs to the notice.
    for session in host.sessions[1:]:
        for line in session.secret + session.clear:
            if line.upper().startswith('MAIL FROM'):
                assert 'alice@' not in line, line


def test_certificate_comes_back_in_time(world, house, ca):
    good, bad = ca.issue('mx.swap.test'), ca.issue('impostor.example.test')
    host = world.host('mx.swap.test', 'swap.test', certificates=[good, bad, bad, good])
    server = house(world, {'delivery': {'idle': '0s', 'retry_max': '1s'},
                           ('account', 'clinic'): {'tls_retry': '60s'}})
    send(server, ['a@swap.test'])
    host.wait(1)
    mail = canary_mail(['a@swap.test'])
    assert submit(server, mail, ['a@swap.test'])[0] == 250
    got = host.wait(2, seconds=40)[1]
    assert got.mail['Message-ID'] == mail['Message-ID']
    assert got.session.tls == 'TLSv1.3'
    assert got.session.number == len(host.sessions)


def test_starttls_taken_away(world, house, ca):
    """An active attacker strips STARTTLS from the second connection on."""
    host = world.host('mx.strip.test', 'strip.test')
    server = house(world, {'delivery': {'idle': '0s'}, ('account', 'clinic'): {'tls_retry': '2s'}})
    send(server, ['a@strip.test'])
    host.wait(1)
    host.contexts = []
    mail = canary_mail(['a@strip.test'])
    assert submit(server, mail, ['a@strip.test'])[0] == 250
    notice = host.wait(2, seconds=40)[1]
    assert link_in(notice)
    assert not [m for m in host.messages if m.mail['Message-ID'] == mail['Message-ID']]


def test_second_mx_with_proof_is_used(world, house):
    """The preferred MX fails its proof, the next one does not."""
    bad = world.host('mx1.two.test', 'two.test', tls='wrong')
    good = world.host('mx2.two.test', None)
    world.name('mx2.two.test', good.address, 'two.test', preference=20)
    server = house(world)
    mail = canary_mail(['a@two.test'])
    assert submit(server, mail, ['a@two.test'])[0] == 250
    got = good.wait(1)[0]
    assert got.mail['Message-ID'] == mail['Message-ID']
    assert bad.messages == []


def test_response_injected_before_the_handshake_is_not_believed(world, house):
    """A man in the middle sends replies behind the 220 to STARTTLS, in clear."""
    host = world.host('mx.inject.test', 'inject.test')

    def rule(verb, argument, session):
        if verb == 'STARTTLS':
            return '220 2.0.0 go ahead\r\n250-mx.inject.test\r\n250 PIPELINING\r\n250 2.1.0 ok'
        return None
    host.rule = rule
    server = house(world)
    mail = canary_mail(['a@inject.test'])
    assert submit(server, mail, ['a@inject.test'])[0] == 250
    time.sleep(2)
    assert not [m for m in host.messages if m.mail['Message-ID'] == mail['Message-ID']]


def test_connections_are_reused_only_for_what_they_proved(world, house):
    """Ordinary mail and secure mail to one wrong-name host: the ordinary connection never carries the secret."""
    host = world.host('mx.wrong.test', 'wrong.test', tls='wrong')
    server = house(world, {'delivery': {'idle': '10s'}})
    for index in range(3):
        open_mail = make_mail(['a@wrong.test'], subject=f'news {index} +noencrypt+')
        assert submit(server, open_mail, ['a@wrong.test'])[0] == 250
        secret = canary_mail(['a@wrong.test'])
        assert submit(server, secret, ['a@wrong.test'])[0] == 250
    host.wait(6)
    assert len([m for m in host.messages if 'news' in (m.mail['Subject'] or '')]) == 3
    assert len([m for m in host.messages if link_in(m, must=False)]) == 3


PROOFS = {
    'exact': (lambda ca, name: ca.issue(name), True),
    'one of several names': (lambda ca, name: ca.issue('a.example.test', name), True),
    'wildcard for one label': (lambda ca, name: ca.issue('*.' + name.split('.', 1)[1]), True),
    'upper case': (lambda ca, name: ca.issue(name.upper()), True),
    'wildcard for two labels': (lambda ca, name: ca.issue('*.' + name.split('.', 2)[2]), False),
    'another name': (lambda ca, name: ca.issue('mx.example.test'), False),
    'the domain, not the host': (lambda ca, name: ca.issue(name.split('.', 1)[1]), False),
    'a name that only begins so': (lambda ca, name: ca.issue(name + '.evil.test'), False),
    'expired': (lambda ca, name: ca.issue(name, days=-1), False),
    'self-signed': (lambda ca, name: self_signed(ca.folder, name), False),
    'another authority': (lambda ca, name: Authority(ca.folder + '/other', 'Another CA').issue(name), False),
}


def test_which_certificates_prove(world, house, ca):
    hosts = {}
    for index, (words, (make, proves)) in enumerate(PROOFS.items()):
        name = f'mx.d{index}.test'
        hosts[words] = world.host(name, f'd{index}.test', certificates=[make(ca, name)]), f'p@d{index}.test', proves
    hosts['TLS 1.2'] = world.host('mx.old.test', 'old.test'), 'p@old.test', True
    hosts['TLS 1.2'][0].contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2
    hosts['TLS 1.1 only'] = world.host('mx.older.test', 'older.test'), 'p@older.test', False
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        hosts['TLS 1.1 only'][0].contexts[0].minimum_version = ssl.TLSVersion.TLSv1_1
        hosts['TLS 1.1 only'][0].contexts[0].maximum_version = ssl.TLSVersion.TLSv1_1
        hosts['TLS 1.1 only'][0].contexts[0].set_ciphers('ALL:@SECLEVEL=0')
    server = house(world)
    addresses = [address for _, address, _ in hosts.values()]
    mail = canary_mail(addresses)
    assert submit(server, mail, addresses)[0] == 250
    for words, (host, address, proves) in hosts.items():
        got = host.wait(1)[0]
        assert (got.mail['Message-ID'] == mail['Message-ID']) == proves, words
        assert proves or link_in(got), words
        evidence = [event for event in server.recipient(header_id(mail), address)['events']
                    if event['event'] == ('delivered' if proves else 'not_proved')]
        assert evidence, (words, server.recipient(header_id(mail), address))
        if not proves:
            assert evidence[0]['unverified_why'] or evidence[0].get('trail'), words


def test_requiretls_protects_what_would_have_gone_in_clear(world, house):
    """REQUIRETLS is taken as "must protect", whatever the subject says."""
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    mail = make_mail(['a@plain.test'], subject='news +noencrypt+')
    assert submit(server, mail, ['a@plain.test'], options=['REQUIRETLS'])[0] == 250
    assert link_in(plain.wait(1)[0])
