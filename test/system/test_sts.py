# SPDX-License-Identifier: Apache-2.0
"""
MTA-STS [RFC 8461] from end to end: policies of others are found, kept and obeyed; our own are served. The name server
(nsd, signed zones) and the policies' web server are not ours; each test asks what the recipient's host really got.
"""
import json
import os
import ssl
import struct
import subprocess
import time
import urllib.request

import pytest

from world import policyhost, wait_until
from world.farm import POLICY_ADDRESS, Farm
from world.mails import header_id, send
from world.policyhost import policy
from world.postern import SANITIZED, TOP

pytestmark = pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
HOUR, DAY = 3600, 86400
ORDINARY = 'news +noencrypt+'


@pytest.fixture
def farm(world, folder):
    made = Farm(world, os.path.join(folder, 'farm'), names=[])
    yield made
    made.stop()


def settings(farm):
    return {**farm.settings(), 'delivery': {'retry_first': '500ms', 'retry_max': '1s'}}


def post(server, address):
    return header_id(send(server, [address], subject=ORDINARY))


def arrives(server, address):
    message = post(server, address)
    server.wait_state(message, address, 'delivered')
    return message


def is_held(server, address, times=3):
    """It is tried again and again, and does not leave."""
    message = post(server, address)
    wait_until(lambda: server.event_names(message, address).count('deferred') >= times, 30, every=0.2,
               what='that it is tried again')
    assert server.state_of(message, address) in ('planned', 'deferred', 'sending')
    return message


def kept(server, domain):
    """The policy that is kept of a domain, as `postern sts` tells."""
    found = server.control('sts', '--json', domain, check=False)
    return json.loads(found.stdout)[0] if found.returncode == 0 else None


def metric(server, name):
    return server.control_json('top', '--once')[0]['numbers'][name]


def led_away(case, server):
    """
    Whoever holds the domain's DNS sends its mail to another host, which has a good certificate for its own name. The server
    starts anew, so that its resolver sees that at once.
    """
    case.withdraw(case.domain, 'MX')
    bad = case.host(name=f'mx.elsewhere-{case.name}.test')
    case.farm.publish()
    server.kill_all()
    server.start()
    return bad


@pytest.fixture
def obeyed(farm, house):
    """A domain whose policy was fetched and obeyed once."""
    case = farm.domain('moved')
    case.good = case.host()
    case.enforce()
    farm.start()
    server = house(farm.world, settings(farm))
    arrives(server, 'a@moved.test')
    assert kept(server, 'moved.test')['mode'] == 'enforce'
    return case, server


@pytest.mark.asan
def test_a_policy_is_found_and_obeyed(farm, house):
    good, bad, testing, none = (farm.domain(name) for name in ('good', 'bad', 'testing', 'none'))
    good.host()
    good.enforce('*.good.test')
    bad_host = bad.host()
    bad.enforce('mx.other.test')
    testing.host()
    testing.sts(policy('testing', 'mx.other.test'))
    none.host()
    farm.start()
    server = house(farm.world, settings(farm))
    message = is_held(server, 'a@bad.test')
    for name in ('good', 'testing', 'none'):
        arrives(server, f'a@{name}.test')
    assert not bad_host.messages
    assert sorted(farm.policies.asked) == ['bad.test', 'good.test', 'testing.test']
    assert kept(server, 'none.test') is None
    seen = kept(server, 'bad.test')
    assert (seen['id'], seen['mx'], seen['state']) == ('1', ['mx.other.test'], 'announced')
    assert seen['text'] == policy('enforce', 'mx.other.test')
    assert metric(server, 'sts_policies') == 3 and metric(server, 'sts_policies_not_fetched') == 0
    # The owner mends it: the mail that waits goes, without anybody's doing here.
    farm.policies.serve('bad.test', policy('enforce', 'mx.bad.test'))
    bad.announce('v=STSv1; id=2;')
    farm.publish()
    server.wait_state(message, 'a@bad.test', 'delivered', 60)
    assert kept(server, 'bad.test')['id'] == '2'


BAD_MANNERS = {
    'redirect': lambda farm: policyhost.redirect('https://mta-sts.elsewhere.test' + policyhost.PATH),
    'large': lambda farm: policyhost.too_large(policy('enforce', 'mx.other.test')),
    'endless': lambda farm: policyhost.endless(policy('enforce', 'mx.other.test')),
    'hangup': lambda farm: policyhost.hang_up,
    'html': lambda farm: lambda handler: policyhost.say(handler, 200, policy('enforce', 'mx.other.test'), 'text/html'),
    'status': lambda farm: lambda handler: policyhost.say(handler, 203, policy('enforce', 'mx.other.test')),
    'garbage': lambda farm: 'Welcome!',
}


def test_what_is_not_a_policy_over_verified_https_counts_as_none(farm, house):
    """Nothing of this is obeyed, nothing is followed; mail goes as without a policy, and the log says why."""
    for name, answer in BAD_MANNERS.items():
        case = farm.domain(name)
        case.host()
        case.sts(answer(farm))
    for name, certificate in (('wrong-name', lambda c: c.issue('wrong-name.test')), ('self', lambda c: c.self_signed('mta-sts.self.test')),
                              ('ended', lambda c: c.issue('mta-sts.ended.test', days=-1)),
                              ('private', lambda c: farm.private.issue('mta-sts.private.test'))):
        case = farm.domain(name)
        case.host()
        case.sts(policy('enforce', 'mx.other.test'), certificate=certificate(case))
    two = farm.domain('two')
    two.host()
    two.sts(policy('enforce', 'mx.other.test'), txt=['v=STSv1; id=1;', 'v=STSv1; id=2;'])
    farm.policies.serve('elsewhere.test', policy('enforce', 'mx.other.test'))
    farm.domain('elsewhere').record(f'mta-sts.elsewhere.test. 60 IN A {POLICY_ADDRESS}')
    farm.start()
    server = house(farm.world, settings(farm))
    for name in [*BAD_MANNERS, 'wrong-name', 'self', 'ended', 'private', 'two']:
        arrives(server, f'a@{name}.test')
        assert kept(server, f'{name}.test') is None
    assert 'elsewhere.test' not in farm.policies.asked and 'two.test' not in farm.policies.asked
    said = {event['domain']: event['why'] for event in server.find_events('keeper.sts_never_fetched')}
    assert set(said) == {f'{name}.test' for name in [*BAD_MANNERS, 'wrong-name', 'self', 'ended', 'private']}


def test_loopback_is_not_fetched_from_unless_allowed(farm, house):
    case = farm.domain('inner')
    case.host()
    case.enforce('mx.other.test')
    farm.start()
    server = house(farm.world, {**settings(farm), 'sts': {'pause': '1s'}})
    arrives(server, 'a@inner.test')
    assert not farm.policies.greeted


def test_the_record_goes_and_the_policy_stays(obeyed):
    case, server = obeyed
    case.withdraw('_mta-sts.moved.test', 'TXT')
    case.farm.policies.stop()
    bad = led_away(case, server)
    is_held(server, 'a@moved.test')
    wait_until(lambda: kept(server, 'moved.test')['state'] == 'kept: nothing is announced any more', 30, what='that it is noticed')
    server.kill_all()
    server.start()
    is_held(server, 'b@moved.test')
    assert not bad.messages
    assert not server.find_events('keeper.sts_not_fetched')


def test_a_new_id_that_cannot_be_fetched_is_an_alarm_and_nothing_else(obeyed):
    case, server = obeyed
    case.announce('v=STSv1; id=2;')
    case.farm.policies.stop()
    bad = led_away(case, server)
    message = is_held(server, 'a@moved.test')
    wait_until(lambda: server.find_events('keeper.sts_not_fetched', domain='moved.test', kept_id='1', announced_id='2'), 30,
               what='the alarm')
    assert server.find_events('keeper.sts_not_fetched')[0]['level'] == 'warn'
    wait_until(lambda: metric(server, 'sts_policies_not_fetched') == 1, 20, what='the metric')
    assert [(one['domain'], one['id'], one['announced_id']) for one in server.control_json('status')[0]['sts']['not_fetched']] == \
        [('moved.test', '1', '2')]
    assert 'moved.test: policy 1 is kept, 2 is announced' in server.control('status').stdout
    assert 'cannot be had' in server.control('sts').stdout
    server.kill_all()
    server.start()
    is_held(server, 'b@moved.test')
    assert not bad.messages
    # The owner comes back with a policy that names the new host: what waits goes.
    case.farm.policies.serve('moved.test', policy('enforce', f'mx.elsewhere-{case.name}.test'))
    case.farm.policies.start()
    server.wait_state(message, 'a@moved.test', 'delivered', 60)
    wait_until(lambda: server.find_events('keeper.sts_fetched_again', domain='moved.test'), 20, what='the end of the alarm')
    assert not server.control_json('status')[0]['sts']['not_fetched']


def test_mode_none_ends_it(obeyed):
    case, server = obeyed
    case.farm.policies.serve('moved.test', policy('none'))
    case.announce('v=STSv1; id=3;')
    bad = led_away(case, server)
    message = post(server, 'a@moved.test')
    server.wait_state(message, 'a@moved.test', 'delivered', 60)
    assert bad.messages


class Clock:
    """The server's wall clock, set from outside (test/long/clock_shim.c)."""

    def __init__(self, folder, monkeypatch):
        self.path, shim = os.path.join(folder, 'clock'), os.path.join(folder, 'clock_shim.so')
        subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', shim, os.path.join(TOP, 'test', 'long', 'clock_shim.c')], check=True)
        self.set(0)
        os.chmod(self.path, 0o644)
        monkeypatch.setenv('LD_PRELOAD', shim)
        monkeypatch.setenv('CLOCK_SHIM', self.path)

    def set(self, seconds):
        with open(self.path, 'r+b' if os.path.exists(self.path) else 'wb') as file:
            file.write(struct.pack('q', int(seconds * 1e9)))


@pytest.mark.skipif(SANITIZED, reason='the sanitizers want to be the first library')
def test_a_day_passes(farm, house, folder, monkeypatch):
    """Fetched anew at half of its life without any mail; what could not be had until its end is over then, not before."""
    clock = Clock(folder, monkeypatch)
    case = farm.domain('moved')
    case.host()
    case.enforce(f'mx.{case.domain}')
    farm.start()
    server = house(farm.world, settings(farm))
    arrives(server, 'a@moved.test')
    asked, first = len(farm.policies.asked), kept(server, 'moved.test')
    assert first['refresh_ms'] - first['fetched_ms'] == DAY * 1000 // 2
    clock.set(13 * HOUR)
    wait_until(lambda: kept(server, 'moved.test')['expires_ms'] > first['expires_ms'] + 12 * HOUR * 1000, 40, what='a refresh')
    assert len(farm.policies.asked) == asked + 1 and kept(server, 'moved.test')['id'] == '1'
    # From here on nobody has it any more.
    farm.policies.stop()
    case.withdraw('_mta-sts.moved.test', 'TXT')
    clock.set(13 * HOUR + 23 * HOUR)
    bad = led_away(case, server)
    is_held(server, 'b@moved.test')
    server.stop()
    clock.set(13 * HOUR + 25 * HOUR)
    server.start()
    arrives(server, 'c@moved.test')
    assert [m.recipients[0] for m in bad.messages].count('c@moved.test') == 1


# ---- our own policy ----

def get(server, host, path='/.well-known/mta-sts.txt', *options):
    """By curl, for a name that leads to the server's listener."""
    port = server.ports['portal']
    got = subprocess.run(['curl', '-sS', '-i', '--cacert', server.world.ca.roots, '--resolve', f'{host}:{port}:{server.address}',
                          *options, f'https://{host}:{port}{path}'], capture_output=True, text=True, check=False, timeout=30)
    head, _, body = got.stdout.partition('\n\n')  # line ends as Python reads them
    return (int(head.split()[1]) if head else 0), head, body


def publishing(world, **changes):
    certificate = world.ca.issue('portal.clinic.test', 'mta-sts.clinic.test', 'mta-sts.other.test')
    return {('domain', 'clinic.test'): {'sts': {'mode': 'enforce', 'mx': ['in.clinic.test', '*.relay.test']}},
            'portal': {'certificate': certificate[0], 'key': certificate[1], **changes}}


TEXT = 'version: STSv1\r\nmode: enforce\r\nmx: in.clinic.test\r\nmx: *.relay.test\r\nmax_age: 604800\r\n'


@pytest.mark.asan
def test_our_policy_is_served(world, house):
    server = house(world, publishing(world))
    status, head, body = get(server, 'mta-sts.clinic.test')
    assert status == 200 and body == TEXT.replace('\r\n', '\n')
    assert 'content-type: text/plain' in head.lower()
    assert get(server, 'MTA-STS.clinic.test')[0] == 200
    assert get(server, 'mta-sts.clinic.test', '/.well-known/mta-sts.txt', '--head')[0] == 200
    # Nothing else is there; and nowhere else.
    for path in ('/', '/robots.txt', '/health', '/.well-known/', '/.well-known/mta-sts.txt/', '/m/abc', '/%2ewell-known/mta-sts.txt'):
        assert get(server, 'mta-sts.clinic.test', path)[0] == 404, path
    assert get(server, 'mta-sts.clinic.test', '/.well-known/mta-sts.txt', '-d', 'x=1')[0] == 405
    assert get(server, 'mta-sts.other.test')[0] == 421
    assert get(server, 'portal.clinic.test')[0] == 404
    assert get(server, 'portal.clinic.test', '/health')[0] == 200
    # Another text after a reload.
    server.write_settings({('domain', 'clinic.test'): {'sts': {'mode': 'testing'}}})
    server.reload()
    wait_until(lambda: 'mode: testing' in get(server, 'mta-sts.clinic.test')[2], 20, what='the new policy')


def test_policies_without_a_portal(world, house):
    """A listener without url serves policies and nothing else."""
    server = house(world, publishing(world, url=None))
    assert get(server, 'mta-sts.clinic.test')[0] == 200
    assert get(server, 'portal.clinic.test', '/')[0] == 421
    context = ssl.create_default_context(cafile=world.ca.roots)
    context.check_hostname = False
    with pytest.raises(urllib.request.HTTPError) as error:
        urllib.request.urlopen(f'https://{server.address}:{server.ports["portal"]}/health', context=context, timeout=10)
    assert error.value.code == 421


def test_another_postern_obeys_our_policy(farm, house, world):
    """The one serves its policy, the other fetches it from there and holds mail for a host that is not in it."""
    other = house(world, publishing(world))
    domain = farm.domain('peer')
    bad = domain.host()
    domain.announce('v=STSv1; id=1;')
    domain.record(f'mta-sts.peer.test. 60 IN A {other.address}')
    certificate = world.ca.issue('portal.clinic.test', 'mta-sts.peer.test')
    other.write_settings({'portal': {'certificate': certificate[0], 'key': certificate[1]},
                          ('domain', 'peer.test'): {'account': 'clinic', 'sts': {'mode': 'enforce', 'mx': ['mx.listed.test']}}})
    other.reload()
    farm.start()
    server = house(world, {**settings(farm), 'sts': {'allow_private': True, 'port': other.ports['portal'], 'pause': '1s'}},
                   address='127.0.0.3')
    time.sleep(0.5)
    is_held(server, 'a@peer.test')
    assert kept(server, 'peer.test')['mx'] == ['mx.listed.test']
    assert not bad.messages


# ---- what to publish ----

def lines_of(answer):
    return [line for line in answer.split('\n') if line and not line.startswith(';')]


def asked(server, *options):
    got = server.command('dns', '-c', server.settings_path, *options, 'clinic.test', check=False)
    return got.returncode, got.stdout


def test_dns_prints_what_is_then_found(farm, house, world):
    """Everything is missing; its own output goes into a signed zone of nsd; everything is right."""
    world.zone = [line for line in world.zone if 'clinic.test' not in line]
    farm.start()
    server = house(world, {**settings(farm), **publishing(world), 'tls_reports': {'receive': 'tls-reports@clinic.test'}})
    server.write_settings(farm.settings())
    code, text = asked(server)
    assert code == 1 and text.count('; MISSING') >= 6 and '; right' not in text
    records = lines_of(text)
    kinds = [line.split()[3] for line in records]
    assert kinds.count('MX') == 1 and kinds.count('TLSA') == 1 and kinds.count('CNAME') == 1
    assert len([line for line in records if '_domainkey.clinic.test. ' in line]) == len(world.dkim)
    certificate = subprocess.run(f'openssl x509 -in {server.tls[0]} -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum',
                                 shell=True, capture_output=True, text=True, check=True).stdout.split()[0]
    assert f'_25._tcp.mail.clinic.test. 3600 IN TLSA 3 1 1 {certificate}' in records
    world.zone += records + ['mail.clinic.test. 60 IN A 127.0.0.2', 'portal.clinic.test. 60 IN A 127.0.0.2']
    farm.publish()
    code, text = asked(server)
    assert code == 0 and 'MISSING' not in text and 'WRONG' not in text and '; another' not in text, text
    states = json.loads(asked(server, '--json')[1])
    assert {one['state'] for one in states} == {'right'} and all(one['signed'] for one in states)
    # What has changed since is wrong, or just another way.
    def change(line):
        if ' TLSA ' in line:
            return line.replace('TLSA 3 1 1 ', 'TLSA 3 1 1 00')[:-2]
        return line.replace('v=spf1 mx', 'v=spf1 include:x.test').replace(' MX 10 mail.clinic', ' MX 10 mx.other')
    world.zone = [change(line) for line in world.zone] + ['_dmarc.clinic.test. 60 IN TXT "v=DMARC1; p=none"']
    server.write_settings({('domain', 'clinic.test'): {'sts': {'mode': 'testing'}}})
    farm.publish()
    code, states = asked(server, '--json')
    assert code == 1
    found = {(one['type'], one['name']): (one['state'], one['good']) for one in json.loads(states)}
    assert found['TXT', '_mta-sts.clinic.test'] == ('other', False)
    assert found['TLSA', '_25._tcp.mail.clinic.test'] == ('other', False)
    assert found['TXT', '_dmarc.clinic.test'] == ('other', False)  # two are none
    assert found['MX', 'clinic.test'] == ('other', True)
    assert found['TXT', 'clinic.test'] == ('right', True)


def test_dns_of_a_domain_that_is_not_ours(world, house):
    server = house(world, start=False)
    got = server.command('dns', '-c', server.settings_path, 'other.test', check=False)
    assert got.returncode == 1 and 'no domain of ours' in got.stderr
