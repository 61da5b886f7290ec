# SPDX-License-Identifier: Apache-2.0
"""
Hosts that lie to whoever looks closely: to tests without mail, and to the story of a delivery.
"""
import os

import pytest

from world import wait_until
from world.dnssec import tlsa
from world.farm import Farm
from world.mails import header_id, send

ORDINARY = 'news +noencrypt+'


@pytest.fixture
def farm(world, folder):
    made = Farm(world, os.path.join(folder, 'farm'), names=[])
    yield made
    made.stop()


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
def test_a_host_that_drops_starttls_at_the_second_look_has_no_dane(world, house, farm):
    """The match of TLSA records is asked for on a connection of its own: without TLS there it is no match."""
    case = farm.domain('turncoat')
    host = case.host(case.self_signed())
    case.tlsa(tlsa(case.self_signed('mx.elsewhere.test')[0], 3, 1, 1))

    def rule(verb, _, session):
        if verb == 'EHLO' and session.number > 1:
            return '250 mx.turncoat.test'
        return None
    host.rule = rule
    farm.start()
    server = house(world, farm.settings())
    board = server.control_json('tls', 'test', case.domain)[0]
    assert len(host.sessions) == 2
    assert board['verdict'] == 'no TLS', board
    assert 'STARTTLS' in board['last_test']['hosts'][0]['why']


def test_the_story_tells_of_the_host_that_took_the_mail(world, house):
    """One recipient is taken in clear by the first host, the other one is left to the second, which has TLS."""
    first = world.host('mx1.two.test', 'two.test', tls='none')
    second = world.host('mx2.two.test', None)
    world.zone.append('two.test. 60 IN MX 20 mx2.two.test.')
    first.rule = lambda verb, argument, _: '450 4.2.1 not now' if verb == 'RCPT' and 'later@' in argument else None
    server = house(world, {'delivery': {'retry_first': '500ms', 'retry_max': '1s'}})
    message = header_id(send(server, ['now@two.test', 'later@two.test'], subject=ORDINARY))
    told = {}
    for name in ('now', 'later'):
        told[name] = wait_until(lambda name=name: [e for e in server.recipient(message, f'{name}@two.test')['events']
                                                   if e['event'] == 'delivered'], 20, what=f'delivery to {name}')[-1]
    assert len(first.messages) == 1 and len(second.messages) == 1
    assert (told['later']['level'], told['later']['mx']) == ('verified', 'mx2.two.test')
    assert (told['now']['level'], told['now']['mx']) == ('none', 'mx1.two.test'), told['now']
