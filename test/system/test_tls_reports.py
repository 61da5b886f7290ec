# SPDX-License-Identifier: Apache-2.0
"""
Reports about TLS (RFC 8460), both ways, day by day: what we send is read by a second reader written from the RFC, by
gzip and by dkimpy; what others send is taken or refused with a reason; two servers never keep each other busy.

Days pass by the clock shim, with a restart at each midnight: a running server doubts a clock that jumps.
"""
import email
import email.policy
import gzip
import http.server
import io
import json
import os
import re
import smtplib
import ssl
import subprocess
import threading
import time
import unittest.mock
from datetime import datetime, timedelta, timezone

import pytest

from test_clock import Clock
from world import free_port, wait_until
from world.dnssec import tlsa
from world.farm import Farm
from world.machine import PATIENCE
from world.mails import make_mail, submit
from world.policyhost import policy
from world.postern import SANITIZED, TOP

dkimpy = pytest.importorskip('dkim', reason='the package python3-dkim is not installed')
pytestmark = pytest.mark.skipif(SANITIZED, reason='the sanitizers want to be the first library')
DAY = 86400
REPORTS = {'from': 'tls-reports@clinic.test', 'contact': 'postmaster@clinic.test', 'spread': '0s'}
OPEN = {('account', 'clinic'): {'encrypt_by_default': False}}


@pytest.fixture
def clock(folder, monkeypatch):
    return Clock(folder, monkeypatch)


# ---- a second reader, from the text of RFC 8460 section 4 ----

RESULTS = {'starttls-not-supported', 'certificate-host-mismatch', 'certificate-expired', 'certificate-not-trusted',
           'validation-failure', 'tlsa-invalid', 'dnssec-invalid', 'dane-required', 'sts-policy-fetch-error',
           'sts-policy-invalid', 'sts-webpki-invalid'}
DOMAIN = re.compile(r'^([a-z0-9_-]+\.)+[a-z0-9-]+$')


def _members(thing, needed, allowed):
    assert isinstance(thing, dict), thing
    assert set(needed) <= set(thing) <= set(needed) | set(allowed), thing
    return thing


def read_report(text):
    """The report, after every rule of the RFC that can be checked: names, types, sums, times."""
    report = _members(json.loads(text), ('organization-name', 'date-range', 'contact-info', 'report-id', 'policies'), ())
    for name in ('organization-name', 'contact-info', 'report-id'):
        assert isinstance(report[name], str) and report[name]
    times = _members(report['date-range'], ('start-datetime', 'end-datetime'), ())
    begin, end = (datetime.strptime(times[key], '%Y-%m-%dT%H:%M:%SZ') for key in ('start-datetime', 'end-datetime'))
    assert (begin.hour, begin.minute, begin.second) == (0, 0, 0) and end - begin == timedelta(seconds=DAY - 1)
    assert isinstance(report['policies'], list) and report['policies']
    for entry in report['policies']:
        _members(entry, ('policy', 'summary'), ('failure-details',))
        policy = _members(entry['policy'], ('policy-type', 'policy-domain'), ('policy-string', 'mx-host'))
        assert policy['policy-type'] in ('tlsa', 'sts', 'no-policy-found')
        assert DOMAIN.match(policy['policy-domain'])
        for name in ('policy-string', 'mx-host'):
            assert all(isinstance(line, str) and line for line in policy.get(name, []))
        assert ('policy-string' in policy) == (policy['policy-type'] != 'no-policy-found')
        summary = _members(entry['summary'], ('total-successful-session-count', 'total-failure-session-count'), ())
        assert all(type(count) is int and count >= 0 for count in summary.values())
        failed = 0
        for failure in entry.get('failure-details', []):
            _members(failure, ('result-type', 'failed-session-count'),
                     ('sending-mta-ip', 'receiving-mx-hostname', 'receiving-ip', 'failure-reason-code'))
            assert failure['result-type'] in RESULTS
            failed += failure['failed-session-count']
        assert failed == summary['total-failure-session-count']
    return report


def sums(report):
    """(policy, good, {result: failed}) of each policy."""
    return sorted((entry['policy']['policy-type'], entry['summary']['total-successful-session-count'],
                   {one['result-type']: one['failed-session-count'] for one in entry.get('failure-details', [])})
                  for entry in report['policies'])


def open_mail(received, domain, dkim):
    """The report in a mail, after every rule of RFC 8460 section 5.3."""
    mail = received.mail
    assert mail.get_content_type() == 'multipart/report' and mail.get_param('report-type') == 'tlsrpt'
    assert mail['TLS-Report-Domain'] == domain, domain
    assert mail['TLS-Report-Submitter'] == 'clinic.test'
    assert mail['TLS-Required'] == 'No'
    subject = re.fullmatch(r'Report Domain: (\S+) Submitter: (\S+) Report-ID: <(\S+)>', mail['Subject'])
    assert subject and subject[1] == domain and subject[2] == 'clinic.test'
    assert received.mail_from.startswith('bounce+') and received.mail_from.endswith('@clinic.test')
    text, attached = mail.iter_parts()
    assert text.get_content_type() == 'text/plain' and attached.get_content_type() == 'application/tlsrpt+gzip'
    name = re.fullmatch(r'clinic\.test!([^!]+)!(\d+)!(\d+)!([A-Za-z0-9]+)\.json\.gz', attached.get_filename())
    assert name and name[1] == domain and int(name[3]) - int(name[2]) == DAY - 1
    packed = attached.get_payload(decode=True)
    assert subprocess.run(['gzip', '-t'], input=packed, check=False, timeout=20 * PATIENCE).returncode == 0
    report = read_report(gzip.decompress(packed))
    assert report['report-id'] == subject[3]
    begin = datetime.strptime(report['date-range']['start-datetime'], '%Y-%m-%dT%H:%M:%SZ')
    assert int(begin.replace(tzinfo=timezone.utc).timestamp()) == int(name[2])
    check_signatures(received.data, dkim)
    return report


def check_signatures(data, dkim):
    records = {f'{selector}._domainkey.clinic.test.': text for selector, (_, text) in dkim.items()}
    lookup = lambda name, timeout=5: records.get((name.decode() if isinstance(name, bytes) else name).lower(), '').encode()
    verifier = dkimpy.DKIM(data)
    for index in range(len(dkim)):
        with unittest.mock.patch('dkim.time.time', lambda: 2 ** 40):  # it was signed in days to come
            assert verifier.verify(idx=index, dnsfunc=lookup)
        assert verifier.domain == b'clinic.test' and b'l' not in verifier.signature_fields
    signed = verifier.signature_fields[b'h'].lower()
    assert all(name in signed for name in (b'from', b'subject', b'tls-report-domain', b'tls-report-submitter'))


def rua(domain, places):
    return f'_smtp._tls.{domain}. 60 IN TXT "v=TLSRPTv1; rua={places}"'


def next_day(server, clock, days):
    """Midnight: the server rests meanwhile."""
    server.stop()
    clock.set(days * DAY)
    server.start()


# ---- ours ----

def test_each_domain_is_told_once_a_day(world, house, clock, dkim):
    good = world.host('mx.good.test', 'good.test')
    world.host('mx.plain.test', 'plain.test', tls='none')
    world.host('mx.quiet.test', 'quiet.test')
    told = world.host('mx.told.test', 'told.test', tls='wrong')  # that TLS is broken there hinders no report
    world.zone += [rua('good.test', 'mailto:tls@told.test'), rua('plain.test', 'mailto:plain%2Btls@told.test?x=y'),
                   '_smtp._tls.quiet.test. 60 IN TXT "not a record"']
    server = house(world, {**OPEN, 'tls_reports': REPORTS})
    for number in range(3):
        submit(server, make_mail([f'a{number}@good.test']), [f'a{number}@good.test'])
        good.wait(number + 1)
    submit(server, make_mail(['b@plain.test']), ['b@plain.test'])
    submit(server, make_mail(['c@quiet.test']), ['c@quiet.test'])
    world.hosts['mx.plain.test'].wait(1)
    world.hosts['mx.quiet.test'].wait(1)
    assert not told.messages
    next_day(server, clock, 1)
    mails = {message.recipients[0]: message for message in told.wait(2, 40)}
    report = open_mail(mails['tls@told.test'], 'good.test', dkim)
    assert report['organization-name'] == 'Test Clinic' and report['contact-info'] == 'postmaster@clinic.test'
    [(policy, well, failed)] = sums(report)
    assert policy == 'no-policy-found' and 1 <= well <= 3 and not failed  # a connection used again is one session
    report = open_mail(mails['plain+tls@told.test'], 'plain.test', dkim)
    assert sums(report) == [('no-policy-found', 0, {'starttls-not-supported': 1})]
    [detail] = report['policies'][0]['failure-details']
    assert detail['receiving-mx-hostname'] == 'mx.plain.test' and detail['receiving-ip'].startswith('127.0.1.')
    # The reports themselves are nothing to report, and what was told is forgotten.
    for day in (2, 3):
        next_day(server, clock, day)
        time.sleep(4)
    assert len(told.messages) == 2
    assert not world.clinic.messages
    assert len(server.find_events('keeper.tls_report')) == 2


def test_reports_that_cannot_go_make_no_noise(world, house, clock):
    """The place refuses at the door: no notice, no bounce to anybody, no report about it."""
    good = world.host('mx.good.test', 'good.test')
    world.host('mx.shut.test', 'shut.test', rule=lambda verb, *_: '550 5.1.1 nobody' if verb == 'RCPT' else None)
    world.zone += [rua('good.test', 'mailto:x@shut.test'), rua('shut.test', 'mailto:x@shut.test')]
    server = house(world, {**OPEN, 'tls_reports': REPORTS})
    submit(server, make_mail(['a@good.test']), ['a@good.test'])
    good.wait(1)
    next_day(server, clock, 1)
    wait_until(lambda: server.find_events('keeper.failed', domain='shut.test'), 40, what='the refusal')
    next_day(server, clock, 2)
    time.sleep(5)
    assert len(server.find_events('keeper.tls_report')) == 1
    assert not world.clinic.messages and server.queue_length() == 0


@pytest.mark.needs('root', 'namespaces', 'nsd', 'ldns', 'dns')
def test_policies_are_told_with_their_text(world, house, clock, dkim, folder):
    """DANE and MTA-STS, met and missed: type, domain, text and patterns of the policy, and what failed under it."""
    farm = Farm(world, os.path.join(folder, 'farm'), names=[])
    told, certificate = world.host('mx.told.test', 'told.test'), {}
    for name in ('dane', 'wrong', 'enforced', 'testing'):
        case = farm.domain(name)
        certificate[name] = case.issue() if name == 'enforced' else case.self_signed()
        case.host(certificate[name])
        case.record(rua(case.domain, f'mailto:{name}@told.test'))
    farm.cases['dane'].tlsa(tlsa(certificate['dane'][0], 3, 1, 1))
    farm.cases['wrong'].tlsa(tlsa(certificate['dane'][0], 3, 1, 1))
    farm.cases['enforced'].enforce('*.enforced.test', 'other.enforced.test')
    farm.cases['testing'].sts(policy('testing', 'mx.testing.test'))
    farm.start()
    try:
        server = house(world, {**farm.settings(), **OPEN, 'tls_reports': REPORTS,
                               'delivery': {'retry_first': '1s', 'retry_max': '1s', 'expire': '3s'}})
        for name in certificate:
            submit(server, make_mail([f'a@{name}.test']), [f'a@{name}.test'])
        for name in ('dane', 'enforced', 'testing'):
            world.hosts[f'mx.{name}.test'].wait(1)
        wait_until(lambda: server.queue_length() == 0, 30, what='the end of what is not proved')
        next_day(server, clock, 1)
        found = {message.recipients[0].split('@')[0]: message for message in told.wait(4, 40)}
        policies = {name: open_mail(message, f'{name}.test', dkim)['policies'] for name, message in found.items()}
    finally:
        farm.stop()
    record = tlsa(certificate['dane'][0], 3, 1, 1).lower()
    [entry] = policies['dane']
    assert entry['policy'] == {'policy-type': 'tlsa', 'policy-string': [record], 'policy-domain': 'mx.dane.test'}
    assert entry['summary'] == {'total-successful-session-count': 1, 'total-failure-session-count': 0}
    [entry] = policies['wrong']
    assert entry['policy'] == {'policy-type': 'tlsa', 'policy-string': [record], 'policy-domain': 'mx.wrong.test'}
    [failure] = entry['failure-details']
    assert failure['result-type'] == 'validation-failure' and failure['failed-session-count'] >= 2
    assert failure['receiving-mx-hostname'] == 'mx.wrong.test' and failure['sending-mta-ip'].startswith('127.')
    [entry] = policies['enforced']
    assert entry['policy']['policy-type'] == 'sts' and entry['policy']['policy-domain'] == 'enforced.test'
    assert entry['policy']['mx-host'] == ['*.enforced.test', 'other.enforced.test']
    assert {'version: STSv1', 'mode: enforce', 'mx: *.enforced.test'} <= set(entry['policy']['policy-string'])
    assert any(line.startswith('max_age: ') for line in entry['policy']['policy-string'])
    assert entry['summary']['total-successful-session-count'] == 1
    [entry] = policies['testing']
    assert 'mode: testing' in entry['policy']['policy-string']
    assert sums({'policies': [entry]}) == [('sts', 0, {'certificate-not-trusted': 1})]


class Endpoint:
    """A web server that takes reports, or answers as it is told."""

    def __init__(self, world, name, status=201):
        self.got, self.port, self.status = [], free_port(), status
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                endpoint.got.append((self.path, self.headers['Content-Type'], body))
                self.send_response(endpoint.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        address = world.new_address()
        world.zone.append(f'{name}. 60 IN A {address}')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*world.ca.issue(name))
        self.server = http.server.ThreadingHTTPServer((address, self.port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def test_reports_go_by_https(world, house, clock):
    good, other = world.host('mx.good.test', 'good.test'), world.host('mx.no.test', 'no.test')
    takes, refuses = Endpoint(world, 'reports.test'), Endpoint(world, 'refuses.test', 404)
    world.zone += [rua('good.test', f'https://reports.test:{takes.port}/v1/tls?x=1'),
                   rua('no.test', f'https://refuses.test:{refuses.port}/')]
    server = house(world, {**OPEN, 'tls_reports': REPORTS, 'sts': {'allow_private': True}})
    submit(server, make_mail(['a@good.test']), ['a@good.test'])
    submit(server, make_mail(['a@no.test']), ['a@no.test'])
    good.wait(1)
    other.wait(1)
    next_day(server, clock, 1)
    wait_until(lambda: takes.got and refuses.got, 40, what='both reports')
    wait_until(lambda: server.find_events('keeper.tls_report', by='https') and
               server.find_events('keeper.tls_report_refused', domain='no.test'), 40, what='what came of them')
    [(path, kind, body)] = takes.got
    assert (path, kind) == ('/v1/tls?x=1', 'application/tlsrpt+gzip')
    assert sums(read_report(gzip.decompress(body))) == [('no-policy-found', 1, {})]
    next_day(server, clock, 2)
    time.sleep(4)
    assert len(takes.got) == len(refuses.got) == 1
    takes.close()
    refuses.close()


class Pair:
    """Two servers, each the MX of its domain, that report to each other."""

    def __init__(self, world, house, clock, receives=True):
        self.clock, self.day = clock, 0
        self.a = self._make(world, house, 'clinic.test', '127.0.0.2', receives)
        self.b = self._make(world, house, 'other.test', '127.0.0.3', receives)
        world.zone += ['mail.other.test. 60 IN A 127.0.0.3', 'other.test. 60 IN MX 10 mail.other.test.',
                       'clinic.test. 60 IN MX 10 mail.clinic.test.', rua('clinic.test', 'mailto:tlsrpt@clinic.test'),
                       rua('other.test', 'mailto:tlsrpt@other.test')]
        for server in (self.a, self.b):
            server.write_settings()
            server.start()

    @staticmethod
    def _make(world, house, domain, address, receives):
        dkim = {('dkim', selector): {'key': path} for selector, path in world.dkim.items()}
        reports = {**REPORTS, 'from': f'tls@{domain}', 'receive': f'tlsrpt@{domain}' if receives else None}
        changes = {**OPEN, 'tls_reports': reports, 'hostname': f'mail.{domain}', ('domain', 'clinic.test'): None,
                   ('user', 'alice@clinic.test'): {'senders': [f'alice@{domain}']},
                   # Mail on the connection that a report came by is no session of its own.
                   'delivery': {'idle': '0s'}, ('listener', 'mx'): {'address': f'{address}:{world.mx_port}'}}
        server = house(world, changes, start=False, address=address)
        changes[('domain', domain)] = {'account': 'clinic', 'next_hop': f'in.clinic.test:{world.mx_port}', **dkim}
        server.ports['mx'] = world.mx_port
        server.write_settings(changes)
        return server

    def pass_day(self):
        self.day += 1
        for server in (self.a, self.b):
            server.stop()
        self.clock.set(self.day * DAY)
        for server in (self.a, self.b):
            server.start()

    def exchange(self, world):
        before = len(world.clinic.messages)
        for server, sender, to in ((self.a, 'alice@clinic.test', 'x@other.test'), (self.b, 'alice@other.test', 'y@clinic.test')):
            code, text = submit(server, make_mail([to], sender=sender), [to], sender=sender)
            assert code == 250, text
        world.clinic.wait(before + 2)

    def sent(self):
        return [len(server.find_events('keeper.tls_report')) for server in (self.a, self.b)]


def test_two_servers_do_not_keep_each_other_busy(world, house, clock):
    pair = Pair(world, house, clock)
    for day in (1, 2):
        pair.exchange(world)
        pair.pass_day()
        wait_until(lambda: pair.sent() == [day, day], 40, what=f'the reports of day {day}')
        for server in (pair.a, pair.b):
            wait_until(lambda: len(server.find_events('keeper.tls_report_received')) == day, 40, what='their arrival')
    # Nobody writes any more: nothing is left to report, but reports.
    for _ in range(3):
        pair.pass_day()
        time.sleep(4)
    assert pair.sent() == [2, 2]
    assert len(world.clinic.messages) == 4
    for server, own in ((pair.a, 'clinic.test'), (pair.b, 'other.test')):
        answers = json.loads(server.command('tls', 'reports', '-c', server.settings_path, '--json').stdout)
        assert [(one['domain'], one['policy'], one['successful'], one['failed']) for one in answers] == \
            [(own, 'no-policy-found', 1, 0)] * 2
        assert server.queue_length() == 0


def test_reports_that_bounce_later_do_not_go_round(world, house, clock):
    """The report is accepted, then it fails behind the door: the bounce is mail again, and must not be reported."""
    world.clinic.rule = lambda verb, argument, _: '550 5.1.1 nobody' if verb == 'RCPT' and 'tlsrpt@' in argument else None
    pair = Pair(world, house, clock, receives=False)
    pair.exchange(world)
    for _ in range(4):
        pair.pass_day()
        time.sleep(5)
    assert pair.sent() == [1, 1]
    assert len(world.clinic.messages) == 2


# ---- those of others ----

def signed(mail, key, domain=b'company-x.example'):
    with open(key, 'rb') as file:
        return dkimpy.sign(mail, b's', domain, file.read(), include_headers=[b'from', b'subject']) + mail


def report_mail(packed, domain='clinic.test', kind='application/tlsrpt+gzip', name='a.json.gz'):
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail['From'], mail['To'] = 'tls@company-x.example', 'tlsrpt@clinic.test'
    mail['Subject'] = f'Report Domain: {domain} Submitter: company-x.example Report-ID: <1@company-x.example>'
    mail['TLS-Report-Domain'], mail['TLS-Report-Submitter'] = domain, 'company-x.example'
    mail.set_content('report\n')
    main, _, sub = kind.partition('/')
    mail.add_attachment(packed, maintype=main, subtype=sub, filename=name)
    return mail.as_bytes()


def sample(**changes):
    """The report of RFC 8460 appendix B, about our domain and yesterday."""
    with open(f'{TOP}/test/vectors/tls-report/appendix-b.json', encoding='utf-8') as file:
        report = json.load(file)
    day = (datetime.now(timezone.utc) - timedelta(days=1)).strftime('%Y-%m-%d')
    report['date-range'] = {'start-datetime': f'{day}T00:00:00Z', 'end-datetime': f'{day}T23:59:59Z'}
    report['policies'][0]['policy']['policy-domain'] = 'clinic.test'
    report.update(changes)
    return report


def pack(report):
    return gzip.compress(json.dumps(report).encode())


def give(server, data):
    """A stranger sends it."""
    with smtplib.SMTP(server.address, server.ports['mx'], timeout=20 * PATIENCE) as client:
        client.ehlo('company-x.example')
        client.sendmail('', ['tlsrpt@clinic.test'], data)


def test_reports_of_others(world, house, dkim):
    server = house(world, {'tls_reports': {'receive': 'tlsrpt@clinic.test'}})
    key = dkim['r1'][0]
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode='wb') as file:
        file.write(b' ' * (64 << 20))
    others = [signed(report_mail(pack(sample())), key),
              signed(report_mail(pack(sample(**{'report-id': 'two'})), kind='application/gzip'), key),
              signed(report_mail(json.dumps(sample(**{'report-id': 'three'})).encode(), kind='application/tlsrpt+json',
                                 name='a.json'), key),
              signed(report_mail(pack(sample())), key),                              # the same again
              report_mail(pack(sample(**{'report-id': 'unsigned'}))),
              signed(report_mail(b'\x1f\x8b\x08 not gzip'), key),
              signed(report_mail(bomb.getvalue()), key),
              signed(report_mail(gzip.compress(b'[' * 100000)), key),
              signed(report_mail(gzip.compress(b'{"organization-name": "x"')), key),
              signed(report_mail(pack(sample(policies=[]))), key),
              signed(b'From: x@y.test\r\nSubject: hello\r\n\r\nno report\r\n', key)]
    for mail in others:
        give(server, mail)
    wait_until(lambda: len(server.find_events('keeper.tls_report_received')) == 3 and
               len(server.find_events('keeper.tls_report_unreadable')) == 8, 40, what='all of them')
    answers = json.loads(server.command('tls', 'reports', '-c', server.settings_path, '--json').stdout)
    [good] = [one for one in answers if 'unreadable' not in one]
    assert (good['domain'], good['organisation'], good['policy']) == ('clinic.test', 'Company-X', 'sts')
    assert (good['successful'], good['failed']) == (3 * 5326, 3 * 303)
    assert {(one['result'], one['mx'], one['sessions']) for one in good['failures']} == {
        ('certificate-expired', 'mx1.mail.company-y.example', 300),
        ('starttls-not-supported', 'mx2.mail.company-y.example', 600),
        ('validation-failure', 'mx-backup.mail.company-y.example', 9)}
    reasons = ' '.join(one['unreadable'] for one in answers if 'unreadable' in one)
    for words in ('came before', 'no DKIM signature', 'damaged', 'more than is allowed', 'holds too much', 'no JSON',
                  'no policies', 'no TLS report'):
        assert words in reasons, (words, reasons)
    text = server.command('tls', 'reports', 'clinic.test', '-c', server.settings_path).stdout
    assert 'by Company-X  policy sts: 15978 good, 909 failed' in text and 'starttls-not-supported  at mx2' in text
    assert not world.clinic.messages and server.queue_length() == 0
    # What was taken is forgotten, and stays so.
    server.stop()
    assert server.command('verify', '-c', server.settings_path).returncode == 0
    server.start()
    again = json.loads(server.command('tls', 'reports', '-c', server.settings_path, '--json').stdout)
    assert again == answers
