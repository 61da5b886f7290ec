# SPDX-License-Identifier: Apache-2.0
"""
Every row of tls_outcomes.md with real deliveries: one server, one world, each case a domain, each column a message to
all of them. What is compared: the story the server tells, what the hosts really got, and all bytes on the wire.
"""
import email.policy
import os
import re
import secrets
import time

import dns.message
import dns.rdatatype
import pytest

from world import outcomes
from world.farm import CASES, Farm
from world.machine import PATIENCE
from world.mails import client, header_id, make_mail
from world.postern import PASSWORD, Postern, cheap_password_hash
from world.sniffer import Sniffer
from world.weak import weak_names

pytestmark = [pytest.mark.needs('root', 'namespaces', 'packets', 'nsd', 'ldns', 'postfix', 'dns'), pytest.mark.limit(600)]

TABLE = outcomes.read_table()
RETRY_S = 3
DELIVERED = ('dane', 'verified', 'encrypted', 'clear')
# (column of the table, account, words in the subject, more header lines, options of MAIL)
MESSAGES = [
    ('opportunistic', 'none', '+noencrypt+', {}, []),
    ('opportunistic', 'opportunistic', '+noencrypt+', {}, []),
    ('forced', 'forced', '+noencrypt+', {}, []),
    ('try', 'try', '+noencrypt+', {}, []),
    ('exclusive', 'exclusive', '+noencrypt+', {}, []),
    ('opportunistic, secure', 'none', '+encrypt+', {}, []),
    ('opportunistic, secure', 'opportunistic', '+encrypt+', {}, []),
    ('forced, secure', 'forced', '', {}, []),
    ('try, secure', 'try', '', {}, []),
    ('exclusive, secure', 'exclusive', '', {}, []),
    ('TLS-Required: No', 'opportunistic', '+noencrypt+', {'TLS_Required': 'No'}, []),
    ('TLS-Required: No, secure', 'try', '', {'TLS_Required': 'No'}, []),
    ('REQUIRETLS', 'bare', '+noencrypt+', {}, ['REQUIRETLS']),
    ('REQUIRETLS, secure', 'try', '', {}, ['REQUIRETLS']),
]
MODES = {'none': 'none', 'opportunistic': 'opportunistic', 'forced': 'forced', 'try': 'try', 'exclusive': 'exclusive',
         'bare': 'opportunistic'}


class Sent:
    """One message of a column: sent to every case at once."""

    def __init__(self, number, column, account, words, headers, options):
        self.column, self.account, self.options = column, account, options
        self.sender = f'm{number}@clinic.test'
        self.canary = f'canary{number}-{secrets.token_hex(8)}'
        self.words, self.headers = words, headers
        self.session, self.mail, self.story = None, None, {}

    def log_in(self, server):
        self.session = client(server, f'{self.account}@clinic.test')

    def send(self, cases):
        recipients = [f'p@{case.domain}' for case in cases]
        self.mail = make_mail(recipients, self.sender, f'About {self.canary} {self.words}', f'This is {self.canary}.\n',
                              **self.headers)
        with self.session as smtp:
            refused = smtp.sendmail(self.sender, recipients, self.mail.as_bytes(policy=email.policy.SMTP), self.options)
            assert not refused


class Farming:
    """The whole run: world, server, messages; and the outcome of each cell once it can be told."""

    def __init__(self, world, house):
        self.world = world
        self.sent = [Sent(number, *message) for number, message in enumerate(MESSAGES)]
        world.canaries += [sent.canary for sent in self.sent]
        self.farm = Farm(world, os.path.join(world.folder, 'farm'))
        self.cases, self.server = self.farm.cases, None
        self.sniffer = Sniffer(os.path.join(world.folder, 'wire.pcap'))
        try:
            self.farm.start()
            self.server = house(world, self.settings())
            for sent in self.sent:
                sent.log_in(self.server)
            for sent in self.sent:
                sent.send(self.cases.values())
            # All at once: no message finds a domain known by what became of another.
            self.server.write_settings({'hold_all': False})
            self.server.reload()
            self.began = time.monotonic()
            self.follow()
            self.server.stop()
        except BaseException:
            if self.server:
                print(self.server.log_tail(80))
            raise
        finally:
            self.farm.stop()
            self.sniffer.stop()

    def settings(self):
        changes = {**self.farm.settings(), 'hold_all': True}
        hash_of = Postern.HASH = Postern.HASH or cheap_password_hash(PASSWORD)
        for account, mode in MODES.items():
            changes[('account', account)] = {
                'organisation': 'Test Clinic', 'opt_out_allowed': True, 'mode': mode, 'cleartext_after': '1s',
                'notice_from': 'Clinic secure mail <secure@clinic.test>', 'tls_retry': '2s'}
            changes[('user', f'{account}@clinic.test')] = {
                'account': account, 'password': hash_of, 'senders': [sent.sender for sent in self.sent]}
        changes[('account', 'bare')]['methods'] = ['tls']
        changes['delivery'] = {'retry_first': f'{RETRY_S}s', 'retry_max': f'{2 * RETRY_S}s', 'command_timeout': '5s'}
        return changes

    def follow(self):
        """Until each cell is as the table says, or the time is over. What is held must still be held at the end."""
        end, settled = self.began + 45 * PATIENCE, self.began + 4 * RETRY_S
        while True:
            for sent in self.sent:
                story = self.server.story(header_id(sent.mail))
                sent.story = {one['address'].split('@')[1]: one for one in story['recipients']}
            self.statuses = {(report.recipients[0], address): status for report in self.world.clinic.messages
                             for address, status in outcomes.status_of(report.mail).items()}
            open_cells = [cell for cell in self.all_cells() if cell[2] != cell[3]]
            if time.monotonic() > end or (not open_cells and time.monotonic() > settled):
                return
            time.sleep(1)

    def outcome(self, sent, case):
        return outcomes.outcome_of(sent.story[case.domain], self.statuses.get((sent.sender, f'p@{case.domain}')))

    def all_cells(self):
        """[(sent, case, expected, found)]"""
        return [cell for case in self.cases.values() for cell in self.cells_of(case)]

    def cells_of(self, case):
        return [(sent, case, TABLE[case.name][sent.column], self.outcome(sent, case)) for sent in self.sent]


@pytest.fixture(scope='module')
def farming(module_world, module_house):
    return Farming(module_world, module_house)


def test_every_case_stands_in_the_table():
    assert sorted(TABLE) == sorted(CASES)


@pytest.mark.parametrize('name', TABLE)
def test_outcome(farming, name):
    wrong = [f'{sent.column} ({sent.account}): {expected} was expected, it is {found}\n'
             f'    {last_words(sent.story[case.domain])}'
             for sent, case, expected, found in farming.cells_of(farming.cases[name]) if found != expected]
    assert not wrong, '\n'.join(wrong)


def last_words(recipient):
    event = recipient['events'][-1] if recipient['events'] else {}
    return {key: event.get(key) for key in ('event', 'mx', 'level', 'row', 'unverified_why', 'reply', 'policy', 'lookups')
            if event.get(key)}


@pytest.mark.parametrize('name', TABLE)
def test_the_hosts_saw_what_the_story_says(farming, name):
    """
    Delivered means that a host has it, exactly one, over TLS unless the table says clear. Not delivered means that no
    host was told even who writes: no MAIL FROM of ours, neither before TLS nor under a TLS that proved too little.
    """
    case = farming.cases[name]
    for sent, _, expected, _ in farming.cells_of(case):
        level = expected.split()[0]
        got = [message for sink in case.hosts for message in sink.messages if message.mail_from == sent.sender]
        told = [(line, is_clear) for sink in case.hosts for session in sink.sessions
                for is_clear, lines in ((True, session.clear), (False, session.secret))
                for line in lines if line.upper().startswith('MAIL FROM:<' + sent.sender.upper())]
        if level in DELIVERED:
            if not case.postfix:
                assert len(got) == 1 and sent.canary.encode() in got[0].data, (sent.column, expected, len(got))
                assert (got[0].tls is None) == (level == 'clear'), (sent.column, expected, got[0].tls)
                assert all(is_clear == (level == 'clear') for _, is_clear in told), (sent.column, expected, told)
                # Demanded of the next host where it was promised, and never of another one [RFC 8689 §4.2.1].
                assert {' REQUIRETLS' in line for line, _ in told} == {'REQUIRETLS' in sent.options}, told
                assert (b'TLS-Required: No' in got[0].data) == ('TLS_Required' in sent.headers), sent.column
        else:
            assert not got and not told, (sent.column, expected, told)


def test_postfix_says_the_same(farming):
    """What a real Postfix received: each delivered message once, over TLS 1.3."""
    texts = [data.decode('utf-8', 'replace') for data, _ in farming.farm.postfix.messages()]
    for case in (case for case in farming.cases.values() if case.postfix):
        for sent, _, expected, _ in farming.cells_of(case):
            found = [text for text in texts if sent.canary in text and f'X-Original-To: p@{case.domain}\n' in text]
            assert len(found) == expected.startswith(DELIVERED), (case.name, sent.column, found)
            assert all('using TLSv1.3' in text for text in found), found


def test_nothing_readable_on_the_wire(farming):
    """A canary in clear, however disguised, only where the table says clear, and only on the way to that host."""
    places = {}
    for case in farming.cases.values():
        for sink in case.hosts:
            places[sink.address] = case
        for wire in case.wires:
            places[wire.address] = case
    for sent in farming.sent:
        for word, form, stream in farming.sniffer.find(sent.canary):
            target = re.match(r'.* > (.*):\d+$', stream)
            case = places.get(target.group(1)) if target else None
            assert case, (sent.column, form, stream)
            assert TABLE[case.name][sent.column].startswith('clear'), (case.name, sent.column, word, form, stream)


def test_failure_reports_hold_no_content(farming):
    """Of mail with REQUIRETLS a report gives back the header at most [RFC 8689 §5]."""
    reports = [message for message in farming.world.clinic.messages if message.mail.get_content_type() == 'multipart/report']
    assert reports
    for sent in farming.sent:
        if sent.options:
            assert not [report for report in reports if f'This is {sent.canary}'.encode() in report.data], sent.column


def questions(sniffer):
    """[(name, type)] of every DNS question that crossed the wire."""
    found = set()
    for data in sniffer.datagrams:
        try:
            message = dns.message.from_wire(data, ignore_trailing=True)
            found |= {(str(one.name).lower(), dns.rdatatype.to_text(one.rdtype)) for one in message.question}
        except Exception:  # no DNS, or none that is right
            continue
    return found


def test_tlsa_is_not_asked_for_below_unsigned_addresses(farming):
    asked = questions(farming.sniffer)
    assert ('dane-311.test.', 'MX') in asked
    assert not [one for one in asked if one[1] == 'TLSA' and one[0][0] == '_' and one[0].endswith('.open.test.')], asked


def test_nothing_weak_is_offered(farming):
    """No ClientHello names a suite of 3DES, RC4, export, without encryption or without certificate."""
    hellos = [session.offered for case in farming.cases.values() for sink in case.hosts
              for session in sink.sessions if hasattr(session, 'offered')]
    assert len(hellos) >= 5
    for offered in hellos:
        assert not weak_names(offered), weak_names(offered)
    for case in farming.cases.values():
        for sink in case.hosts:
            for session in sink.sessions:
                # Behind a ServerHello that nobody asked for comes an alert at most: 7 bytes in TLS 1.2.
                assert len(getattr(session, 'after_hello', b'')) <= 7, (case.name, session.after_hello)
