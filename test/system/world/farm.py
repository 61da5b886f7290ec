# SPDX-License-Identifier: Apache-2.0
"""
The farm: one recipients' domain for each way in which TLS between mail servers can be good, weak, broken or under
attack. The names of the cases are those of test/system/tls_outcomes.md, which says what must come of each.

Zones are signed and served by nsd (dnssec.py), policies by an HTTPS server (policyhost.py), mail is taken by a real
Postfix and by sinks (sink.py, weak.py). Below open.test. nothing is signed.
"""
import os
import ssl

from . import policyhost
from .ca import Authority, self_signed
from .dnssec import SignedNames, tlsa
from .policyhost import PolicyHost, policy
from .postfix import Postfix
from .weak import WEAK, Wire, hang_above, old_context, only

NAMES_ADDRESS, POLICY_ADDRESS, DOWN_ADDRESS = '127.0.0.53', '127.0.3.1', '127.0.3.2'
CASES = {}  # name -> function(case)


class Case:
    """
    One domain under test: NAME.test, or NAME.open.test where its zone is not signed.

    hosts     the sinks behind it; what they took and were told
    wires     those on the wire
    """

    def __init__(self, farm, name):
        self.farm, self.name = farm, name
        self.domain = f'{name}.test'
        self.hosts, self.wires = [], []
        self.postfix = None

    # ---- hosts ----

    def issue(self, name=None, **options):
        return self.farm.ca.issue(name or f'mx.{self.domain}', **options)

    def self_signed(self, name=None):
        return self_signed(self.farm.folder, name or f'mx.{self.domain}')

    def host(self, certificates=None, name=None, preference=10, is_mx=True, **options):
        """A sink with an address, an MX of the domain. Certificates: one pair, a list, none (no TLS); default a good one."""
        name = name or f'mx.{self.domain}'
        if certificates is None:
            certificates = [self.farm.ca.issue(name)]
        elif isinstance(certificates, tuple):
            certificates = [certificates]
        sink = self.farm.world.host(name, None, certificates=certificates, **options)
        self.hosts.append(sink)
        if is_mx:
            self.mx(name, preference)
        return sink

    def wire(self, sink, **attack):
        """Put somebody before the host: its name leads there from now on."""
        world, address = self.farm.world, self.farm.world.new_address()
        world.zone = [line.replace(f' A {sink.address}', f' A {address}') if line.endswith(f' A {sink.address}') else line
                      for line in world.zone]
        made = Wire(address, world.mx_port, sink, **attack)
        self.wires.append(made)
        return made

    def mx(self, name, preference=10):
        self.record(f'{self.domain}. 60 IN MX {preference} {name}.')

    def record(self, line):
        self.farm.world.zone.append(line)

    def withdraw(self, name, kind):
        """Take back the records of this name and type."""
        self.farm.world.zone = [line for line in self.farm.world.zone
                                if (line.split()[0].rstrip('.'), line.split()[3]) != (name, kind)]

    # ---- what is published ----

    def tlsa(self, *data, name=None):
        for one in data:
            self.record(f'{self.tlsa_name(name)} 60 IN TLSA {one}')

    def tlsa_name(self, name=None):
        return f'_{self.farm.world.mx_port}._tcp.{name or "mx." + self.domain}.'

    def sts(self, answer=None, certificate=None, txt=None, address=POLICY_ADDRESS, identity='1'):
        """An MTA-STS record, and what the policy host answers."""
        self.announce(*txt if isinstance(txt, list) else [txt or f'v=STSv1; id={identity};'])
        self.record(f'mta-sts.{self.domain}. 60 IN A {address}')
        self.farm.policies.serve(self.domain, answer, certificate)

    def announce(self, *texts):
        self.withdraw(f'_mta-sts.{self.domain}', 'TXT')
        for text in texts:
            self.record(f'_mta-sts.{self.domain}. 1 IN TXT "{text}"')

    def enforce(self, *patterns, **options):
        self.sts(policy('enforce', *patterns or [f'mx.{self.domain}']), **options)


class Farm:
    """The cases of `names` (None: all), built into one world; start() opens the DNS and the policy host."""

    def __init__(self, world, folder, names=None):
        self.world, self.folder, self.ca = world, folder, world.ca
        os.makedirs(folder, exist_ok=True)
        self.private = Authority(os.path.join(folder, 'private'), 'A private CA')
        self.names = SignedNames(os.path.join(folder, 'names'), NAMES_ADDRESS, 53)
        self.policies = PolicyHost(self.ca, POLICY_ADDRESS)
        self.postfix = None
        self.cases = {}
        for name in CASES if names is None else names:
            CASES[name](self.domain(name))

    def domain(self, name):
        """One more domain, to be furnished by hand."""
        self.cases[name] = Case(self, name)
        return self.cases[name]

    def start(self):
        self.publish()
        self.policies.start()
        return self

    def publish(self):
        """The zones as they are now, signed anew."""
        self.names.stop()
        self.names.records = list(self.world.zone)
        self.names.start()

    def stop(self):
        for case in self.cases.values():
            for wire in case.wires:
                wire.stop()
        self.names.stop()
        self.policies.stop()
        if self.postfix:
            self.postfix.stop()

    def settings(self):
        """What a server needs to live in this world."""
        return {'resolver': {'local_data': None, 'forward': [f'{NAMES_ADDRESS}@{self.names.port}'],
                             'trust_anchor': self.names.anchor},
                'sts': {'port': self.policies.port, 'allow_private': True, 'pause': '1s'}}

    def real_postfix(self):
        """One Postfix with a good certificate for two names, of which one has TLSA records."""
        if not self.postfix:
            where = os.path.join(self.folder, 'postfix')
            os.makedirs(where)
            address = self.world.new_address()
            self.certificate = self.ca.issue('mx1.postfix.test', 'mx2.postfix.test')
            self.postfix = Postfix(where, address, self.world.mx_port, 'mx1.postfix.test', *self.certificate)
            for name in ('mx1.postfix.test', 'mx2.postfix.test'):
                self.world.name(name, address)
            self.world.zone.append(f'_{self.world.mx_port}._tcp.mx1.postfix.test. 60 IN TLSA '
                                   f'{tlsa(self.certificate[0], 3, 1, 1)}')
        return self.postfix


def case(name):
    def keep(function):
        assert name not in CASES
        CASES[name] = function
        return function
    return keep


# ---- nothing is published ----

@case('plain-good')
def _(c):
    c.host()


@case('plain-postfix')
def _(c):
    c.postfix = c.farm.real_postfix()
    c.mx('mx2.postfix.test')


@case('plain-tls13')
def _(c):
    c.host().contexts[0].minimum_version = ssl.TLSVersion.TLSv1_3


@case('plain-tls12')
def _(c):
    c.host().contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2


def _sni(certificate, publish):
    """Whoever does not say the host's name in the ClientHello is shown another certificate."""
    def build(c):
        pair = certificate(c)
        named = old_context(pair, ssl.TLSVersion.TLSv1_3)
        sink = c.host(c.issue('mx.elsewhere.test'))

        def choose(stream, name, _):
            if name == f'mx.{c.domain}':
                stream.context = named
        sink.contexts[0].sni_callback = choose
        publish(c, pair)
    return build


CASES['plain-sni'] = _sni(lambda c: c.issue(), lambda c, pair: None)
CASES['dane-sni'] = _sni(lambda c: c.self_signed(), lambda c, pair: c.tlsa(tlsa(pair[0], 3, 1, 1)))
CASES['sts-sni'] = _sni(lambda c: c.issue(), lambda c, pair: c.enforce())


@case('plain-self')
def _(c):
    c.host(c.self_signed())


@case('plain-expired')
def _(c):
    c.host(c.issue(days=-1))


@case('plain-name')
def _(c):
    c.host(c.issue('mx.elsewhere.test'))


@case('plain-private')
def _(c):
    c.host(c.farm.private.issue(f'mx.{c.domain}'))


@case('plain-none')
def _(c):
    c.host([])


@case('plain-stripped')
def _(c):
    c.wire(c.host(), strip=True)


@case('plain-454')
def _(c):
    c.wire(c.host(), refuse='454 4.7.0 TLS not available due to temporary reason')


@case('plain-502')
def _(c):
    c.wire(c.host(), refuse='502 5.5.1 what is STARTTLS')


@case('plain-garbled')
def _(c):
    c.host([], garble=True)


@case('plain-hangup')
def _(c):
    c.host([], hang_up=True)


@case('plain-large-hello')
def _(c):
    c.host([], handshake=hang_above(300, old_context(c.issue(), ssl.TLSVersion.TLSv1_2)))


@case('plain-tls10')
def _(c):
    c.host().contexts = [old_context(c.issue(), ssl.TLSVersion.TLSv1)]


@case('plain-tls11')
def _(c):
    c.host().contexts = [old_context(c.issue(), ssl.TLSVersion.TLSv1_1)]


def _weak(kind, forced):
    def build(c):
        c.host([], handshake=only(kind, forced))
    return build


for _kind in WEAK:
    CASES[f'plain-{_kind}'] = _weak(_kind, forced=False)
    CASES[f'plain-{_kind}-forced'] = _weak(_kind, forced=True)


@case('plain-second-mx')
def _(c):
    c.host(c.self_signed('mx1.' + c.domain), 'mx1.' + c.domain)
    c.host(name='mx2.' + c.domain, preference=20)


@case('null-mx')
def _(c):
    c.record(f'{c.domain}. 60 IN MX 0 .')


# ---- DANE ----

@case('dane-postfix')
def _(c):
    c.postfix = c.farm.real_postfix()
    c.mx('mx1.postfix.test')


def _dane(usage, selector, matching, certificate=lambda c: c.self_signed()):
    """A host whose own certificate is the one published."""
    def build(c):
        pair = certificate(c)
        c.host(pair)
        c.tlsa(tlsa(pair[0], usage, selector, matching))
    return build


CASES['dane-311'] = _dane(3, 1, 1)
CASES['dane-312'] = _dane(3, 1, 2)
CASES['dane-310'] = _dane(3, 1, 0)
CASES['dane-301'] = _dane(3, 0, 1)
CASES['dane-300'] = _dane(3, 0, 0)
CASES['dane-ee-expired'] = _dane(3, 1, 1, lambda c: c.issue(days=-1))
CASES['dane-ee-name'] = _dane(3, 1, 1, lambda c: c.self_signed('mx.elsewhere.test'))


def _dane_ta(selector, name=None, days=30, chain=True, matching=1):
    """A certificate of the private authority, whose own certificate is the one published."""
    def build(c):
        private = c.farm.private
        pair = private.issue(name or f'mx.{c.domain}', days=days)
        c.host(private.with_chain(pair) if chain else pair)
        c.tlsa(tlsa(private.roots, 2, selector, matching))
    return build


CASES['dane-211'] = _dane_ta(1)
CASES['dane-201'] = _dane_ta(0)
CASES['dane-200-no-chain'] = _dane_ta(0, chain=False, matching=0)
CASES['dane-ta-domain'] = lambda c: _dane_ta(1, c.domain)(c)
CASES['dane-ta-name'] = _dane_ta(1, 'mx.elsewhere.test')
CASES['dane-ta-expired'] = _dane_ta(1, days=-1)
CASES['dane-ta-no-chain'] = _dane_ta(1, chain=False)


@case('dane-mismatch')
def _(c):
    c.host()
    c.tlsa(tlsa(c.self_signed('other.' + c.domain)[0], 3, 1, 1))


@case('dane-rollover')
def _(c):
    now = c.self_signed()
    c.host(now)
    c.tlsa(tlsa(c.self_signed('next.' + c.domain)[0], 3, 1, 1), tlsa(now[0], 3, 1, 1))


def _dane_both(ee_matches, ta_matches):
    """Records for the host's certificate and for its authority: one that matches is enough."""
    def build(c):
        private = c.farm.private
        pair = private.issue(f'mx.{c.domain}')
        c.host(private.with_chain(pair))
        c.tlsa(tlsa(pair[0], 3, 1, 1) if ee_matches else '3 1 1 ' + '00' * 32,
               tlsa(private.roots, 2, 0, 1) if ta_matches else '2 0 1 ' + '00' * 32)
    return build


CASES['dane-ee-not-ta'] = _dane_both(True, False)
CASES['dane-ta-not-ee'] = _dane_both(False, True)
CASES['dane-not-ee-not-ta'] = _dane_both(False, False)


@case('dane-agility-good')
def _(c):
    now = c.self_signed()
    c.host(now)
    c.tlsa(tlsa(now[0], 3, 1, 2), '3 1 1 ' + '00' * 32)


@case('dane-agility-bad')
def _(c):
    now = c.self_signed()
    c.host(now)
    c.tlsa(tlsa(now[0], 3, 1, 1), '3 1 2 ' + '00' * 64)


@case('dane-mixed-good')
def _(c):
    now = c.self_signed()
    c.host(now)
    c.tlsa(tlsa(now[0], 3, 1, 1), '1 1 1 ' + '00' * 32, '9 9 9 00')


@case('dane-mixed-bad')
def _(c):
    now = c.issue()
    c.host(now)
    c.tlsa('3 1 1 ' + '00' * 32, tlsa(now[0], 1, 1, 1))


def _unusable(*records, **host):
    def build(c):
        c.host(host.get('certificates') if 'certificates' in host else c.self_signed())
        c.tlsa(*records)
    return build


CASES['dane-unusable-pkix'] = _unusable('0 1 1 ' + '00' * 32, '1 0 1 ' + '11' * 32)
CASES['dane-unusable-short'] = _unusable('3 1 1 ' + '00' * 31, '2 0 2 ' + '11' * 63)
CASES['dane-unusable-unknown'] = _unusable('4 1 1 ' + '00' * 32, '3 2 1 ' + '11' * 32, '3 1 7 ' + '22' * 32)
CASES['dane-unusable-none'] = _unusable('1 1 1 ' + '00' * 32, certificates=[])


@case('dane-bogus')
def _(c):
    _dane(3, 1, 1)(c)
    c.farm.names.forge(c.tlsa_name(), 'TLSA')


@case('dane-servfail')
def _(c):
    c.host()
    c.farm.names.fail(f'_tcp.mx.{c.domain}')


@case('dane-robbed')
def _(c):
    c.host()
    c.tlsa('3 1 1 ' + '00' * 32)
    c.farm.names.cut(f'_tcp.mx.{c.domain}')


@case('dane-none')
def _(c):
    c.host([])
    c.tlsa('3 1 1 ' + '00' * 32)


@case('dane-stripped')
def _(c):
    pair = c.self_signed()
    c.wire(c.host(pair), strip=True)
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('dane-502')
def _(c):
    pair = c.self_signed()
    c.wire(c.host(pair), refuse='502 5.5.1 what is STARTTLS')
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('dane-garbled')
def _(c):
    c.host([], garble=True)
    c.tlsa('3 1 1 ' + '00' * 32)


@case('dane-tls10')
def _(c):
    pair = c.self_signed()
    c.host(pair).contexts = [old_context(pair, ssl.TLSVersion.TLSv1)]
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('dane-cname-tlsa')
def _(c):
    """The TLSA records stand elsewhere, where the name of the host leads by an alias [RFC 7671 §7]."""
    pair = c.self_signed()
    c.host(pair)
    c.record(f'{c.tlsa_name()} 60 IN CNAME tlsa.{c.domain}.')
    c.record(f'tlsa.{c.domain}. 60 IN TLSA {tlsa(pair[0], 3, 1, 1)}')


@case('dane-cname-host')
def _(c):
    """The MX is an alias of a signed name: the records stand below its target [RFC 7672 §2.2.2]."""
    pair = c.self_signed()
    c.host(pair, 'real.' + c.domain, is_mx=False)
    c.record(f'mx.{c.domain}. 60 IN CNAME real.{c.domain}.')
    c.mx(f'mx.{c.domain}')
    c.tlsa(tlsa(pair[0], 3, 1, 1), name='real.' + c.domain)


@case('dane-cname-open')
def _(c):
    """A signed alias of an unsigned name: the records of the alias count [RFC 7672 §2.2.2]."""
    pair = c.self_signed()
    c.host(pair, f'real.{c.name}.open.test', is_mx=False)
    c.record(f'mx.{c.domain}. 60 IN CNAME real.{c.name}.open.test.')
    c.mx(f'mx.{c.domain}')
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('dane-tlsa-open')
def _(c):
    """The TLSA name is an alias of one in an unsigned zone: what stands there counts as nothing, and as no failure."""
    c.host()
    c.record(f'{c.tlsa_name()} 60 IN CNAME tlsa.{c.name}.open.test.')
    c.record(f'tlsa.{c.name}.open.test. 60 IN TLSA 3 1 1 ' + '00' * 32)


@case('dane-no-aaaa')
def _(c):
    """Only the proof that there is no AAAA record is broken. The A record is signed, that is enough."""
    _dane(3, 1, 1)(c)
    c.farm.names.forge(f'mx.{c.domain}', 'NSEC')


@case('dane-second-mx')
def _(c):
    """The preferred host does not match, the next one does."""
    good = c.self_signed('mx2.' + c.domain)
    c.host(name='mx1.' + c.domain)
    c.tlsa('3 1 1 ' + '00' * 32, name='mx1.' + c.domain)
    c.host(good, 'mx2.' + c.domain, preference=20)
    c.tlsa(tlsa(good[0], 3, 1, 1), name='mx2.' + c.domain)


# ---- DNSSEC elsewhere ----

@case('mx-bogus')
def _(c):
    _dane(3, 1, 1)(c)
    c.farm.names.forge(c.domain, 'MX')


@case('address-bogus')
def _(c):
    _dane(3, 1, 1)(c)
    c.farm.names.forge(f'mx.{c.domain}', 'A')


@case('mx-unsigned-good')
def _(c):
    c.domain = f'{c.name}.open.test'
    pair = c.self_signed(f'mx.{c.name}.test')
    c.host(pair, f'mx.{c.name}.test')
    c.tlsa(tlsa(pair[0], 3, 1, 1), name=f'mx.{c.name}.test')


@case('mx-unsigned-bad')
def _(c):
    c.domain = f'{c.name}.open.test'
    c.host(name=f'mx.{c.name}.test')
    c.tlsa('3 1 1 ' + '00' * 32, name=f'mx.{c.name}.test')


@case('host-unsigned')
def _(c):
    """TLSA records that nobody signs: they must not even be asked for."""
    c.host(name=f'mx.{c.name}.open.test')
    c.tlsa('3 1 1 ' + '00' * 32, name=f'mx.{c.name}.open.test')


@case('host-unsigned-servfail')
def _(c):
    """The zone cannot answer for TLSA. As they are not asked for, nothing is held up [RFC 7672 §2.1.2]."""
    c.host(name=f'mx.{c.name}.open.test')
    c.farm.names.fail(f'_tcp.mx.{c.name}.open.test')


# ---- MTA-STS ----

@case('sts-postfix')
def _(c):
    c.postfix = c.farm.real_postfix()
    c.mx('mx2.postfix.test')
    c.enforce('mx2.postfix.test')


@case('sts-good')
def _(c):
    c.host()
    c.enforce()


@case('sts-wildcard')
def _(c):
    c.host()
    c.enforce(f'*.{c.domain}')


@case('sts-wildcard-two')
def _(c):
    name = f'a.mx.{c.domain}'
    c.host(name=name)
    c.enforce(f'*.{c.domain}')


@case('sts-wildcard-none')
def _(c):
    """The wildcard does not stand for no label at all."""
    c.host(name=c.domain)
    c.enforce(f'*.{c.domain}')


def _sts(certificate):
    def build(c):
        c.host(certificate(c))
        c.enforce()
    return build


CASES['sts-expired'] = _sts(lambda c: c.issue(days=-1))
CASES['sts-name'] = _sts(lambda c: c.issue('mx.elsewhere.test'))
CASES['sts-self'] = _sts(lambda c: c.self_signed())
CASES['sts-private'] = _sts(lambda c: c.farm.private.issue(f'mx.{c.domain}'))
CASES['sts-none'] = _sts(lambda c: [])


@case('sts-unlisted')
def _(c):
    c.host()
    c.enforce('mx.elsewhere.test')


@case('sts-second-mx')
def _(c):
    """The preferred host is not in the policy, the next one is."""
    c.host(name='mx1.' + c.domain)
    c.host(name='mx2.' + c.domain, preference=20)
    c.enforce('mx2.' + c.domain)


@case('sts-stripped')
def _(c):
    c.wire(c.host(), strip=True)
    c.enforce()


@case('sts-502')
def _(c):
    c.wire(c.host(), refuse='502 5.5.1 what is STARTTLS')
    c.enforce()


@case('sts-garbled')
def _(c):
    c.host([], garble=True)
    c.enforce()


@case('sts-tls10')
def _(c):
    c.host().contexts = [old_context(c.issue(), ssl.TLSVersion.TLSv1)]
    c.enforce()


@case('sts-testing-good')
def _(c):
    c.host()
    c.sts(policy('testing', f'mx.{c.domain}'))


@case('sts-testing-expired')
def _(c):
    c.host(c.issue(days=-1))
    c.sts(policy('testing', f'mx.{c.domain}'))


@case('sts-testing-unlisted')
def _(c):
    c.host()
    c.sts(policy('testing', 'mx.elsewhere.test'))


@case('sts-testing-none')
def _(c):
    c.host([])
    c.sts(policy('testing', f'mx.{c.domain}'))


@case('sts-mode-none')
def _(c):
    c.host(c.self_signed())
    c.sts(policy('none'))


# A policy is announced and cannot be had, and none is known from before. Behind each stands a host that would not meet
# it, so that the outcome shows whether it was taken.

def _no_policy(answer=None, **options):
    def build(c):
        c.host(c.self_signed())
        text = policy('enforce', f'mx.{c.domain}')
        made = answer(text) if answer else None
        if 'certificate' in options:
            options['certificate'] = options['certificate'](c)
        c.sts(made, **options)
    return build


CASES['fetch-404'] = _no_policy()
CASES['fetch-refused'] = _no_policy(lambda text: text, address=DOWN_ADDRESS)
CASES['fetch-hangup'] = _no_policy(lambda text: policyhost.hang_up)
CASES['fetch-redirect'] = _no_policy(lambda text: policyhost.redirect('https://mta-sts.sts-good.test' + policyhost.PATH))
CASES['fetch-large'] = _no_policy(policyhost.too_large)
CASES['fetch-endless'] = _no_policy(policyhost.endless)
CASES['fetch-slow'] = _no_policy(policyhost.slow)
CASES['fetch-html'] = _no_policy(lambda text: lambda handler: policyhost.say(handler, 200, text, 'text/html'))
CASES['fetch-garbage'] = _no_policy(lambda text: '<html>Welcome to our hosting!</html>')
CASES['fetch-no-mode'] = _no_policy(lambda text: text.replace('mode: enforce\r\n', ''))
CASES['fetch-no-mx'] = _no_policy(lambda text: '\r\n'.join(line for line in text.split('\r\n') if line[:3] != 'mx:'))
CASES['fetch-self'] = _no_policy(lambda text: text, certificate=lambda c: self_signed(c.farm.folder, f'mta-sts.{c.domain}'))
CASES['fetch-name'] = _no_policy(lambda text: text, certificate=lambda c: c.issue(c.domain))
CASES['fetch-expired'] = _no_policy(lambda text: text, certificate=lambda c: c.issue(f'mta-sts.{c.domain}', days=-1))
CASES['txt-two'] = _no_policy(lambda text: text, txt=['v=STSv1; id=1;', 'v=STSv1; id=2;'])
CASES['txt-wrong'] = _no_policy(lambda text: text, txt='v=STSv9; id=1;')


# ---- DANE and MTA-STS together ----

@case('both-good')
def _(c):
    pair = c.issue()
    c.host(pair)
    c.tlsa(tlsa(pair[0], 3, 1, 1))
    c.enforce()


@case('both-dane-bad')
def _(c):
    """DANE wins: a fine certificate does not help."""
    c.host()
    c.tlsa('3 1 1 ' + '00' * 32)
    c.enforce()


@case('both-sts-bad')
def _(c):
    """DANE wins: MTA-STS is not asked whether the certificate is fine [RFC 8461 §2]."""
    pair = c.self_signed()
    c.host(pair)
    c.tlsa(tlsa(pair[0], 3, 1, 1))
    c.enforce()


@case('both-servfail')
def _(c):
    c.host()
    c.farm.names.fail(f'_tcp.mx.{c.domain}')
    c.enforce()


@case('both-unusable-good')
def _(c):
    c.host()
    c.tlsa('1 1 1 ' + '00' * 32)
    c.enforce()


@case('both-unusable-bad')
def _(c):
    c.host(c.self_signed())
    c.tlsa('1 1 1 ' + '00' * 32)
    c.enforce()


@case('both-unsigned-mx')
def _(c):
    """Row 6: the host's TLSA records match; the policy for the domain is met as well."""
    c.domain = f'{c.name}.open.test'
    name = f'mx.{c.name}.test'
    pair = c.farm.ca.issue(name)
    c.host(pair, name)
    c.tlsa(tlsa(pair[0], 3, 1, 1), name=name)
    c.enforce(name)


# ---- REQUIRETLS ----

@case('requiretls-dane')
def _(c):
    pair = c.self_signed()
    c.host(pair, tls_keywords=['REQUIRETLS'])
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('requiretls-sts')
def _(c):
    c.host(tls_keywords=['REQUIRETLS'])
    c.enforce()


@case('requiretls-before-tls')
def _(c):
    """Promised in clear, where anybody may have written it, and not under TLS."""
    pair = c.self_signed()
    sink = c.host(pair)
    sink.rule = lambda verb, _, session: '250-' + sink.name + '\r\n250-REQUIRETLS\r\n250 STARTTLS' \
        if verb == 'EHLO' and not session.tls else None
    c.tlsa(tlsa(pair[0], 3, 1, 1))


@case('requiretls-signed-mx')
def _(c):
    """Promised, a good certificate, and the signed MX record says that it is the domain's host."""
    c.host(tls_keywords=['REQUIRETLS'])


@case('requiretls-plain')
def _(c):
    """Promised, with a good certificate; but who says that this host takes the domain's mail?"""
    c.domain = f'{c.name}.open.test'
    c.host(tls_keywords=['REQUIRETLS'])


@case('requiretls-second-mx')
def _(c):
    """The preferred host does not promise it, the next one does."""
    for number, words in ((1, []), (2, ['REQUIRETLS'])):
        name = f'mx{number}.{c.domain}'
        pair = c.self_signed(name)
        c.host(pair, name, preference=10 * number, tls_keywords=words)
        c.tlsa(tlsa(pair[0], 3, 1, 1), name=name)
