# SPDX-License-Identifier: Apache-2.0
"""
One message to four recipients whose hosts do TLS well, not at all, under a wrong name, and broken: one
delivery over TLS, three notices, and no secret word in clear anywhere on the wire.
"""
import subprocess

import pytest

from world.machine import PATIENCE
from world.mails import CANARIES, canary_mail, header_id, submit
from world.reader import Reader, link_in
from world.sniffer import Sniffer

FOUR = ['good@good.test', 'plain@plain.test', 'wrong@wrong.test', 'garble@garble.test']


def tshark(path, *words):
    """The packets of the capture that hold one of the words, as tshark prints them."""
    return subprocess.run(['tshark', '-r', path, '-Y', ' or '.join(f'frame contains "{word}"' for word in words)],
                          capture_output=True, text=True, check=True, timeout=120 * PATIENCE).stdout.strip()


@pytest.mark.asan
@pytest.mark.needs('root', 'postfix', 'packets', 'tshark')
def test_one_delivery_three_notices_nothing_in_clear(world, house, postfix, folder):
    mx = postfix(world)
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    wrong = world.host('mx.wrong.test', 'wrong.test', tls='wrong')
    garble = world.host('mx.garble.test', 'garble.test', tls='none', garble=True)
    server = house(world)
    mail = canary_mail(FOUR)
    path = world.path('lo.pcap')
    with Sniffer(path) as wire:
        code, text = submit(server, mail, FOUR)
        assert code == 250, text
        # The good domain has the message itself, over TLS 1.3.
        data, _ = mx.wait(lambda data, got: got['Message-ID'] == mail['Message-ID'])[0]
        assert all(word.encode() in data for word in CANARIES[:4])
        # The others have a notice each and nothing else.
        notices = {}
        for sink, address in ((plain, FOUR[1]), (wrong, FOUR[2]), (garble, FOUR[3])):
            notices[address] = sink.wait(1)[0]
            assert notices[address].recipients == [address]
        # A reader opens one of them, over HTTPS, while the wire is watched. The code goes by mail.
        link = link_in(notices[FOUR[1]])
        reader = Reader(server, wire_sink=plain)
        page = reader.open_by_code(link, address=FOUR[1])
        assert CANARIES[0] in page.text
        world.clinic.wait(1, fits=lambda message: True)  # the receipt
    assert wire.lost == 0
    assert wire.packets > 100
    assert wire.find(*CANARIES) == []
    # The sniffer sees what there is to see: the notices that went in clear, and the commands around them.
    assert wire.find('Test Clinic') != []
    assert wire.find('plain@plain.test') != []
    # The wrong-name and the garbling host never heard of the message before its notice.
    for sink in (plain, wrong, garble):
        for line in sink.said():
            assert not any(word.lower() in line.lower() for word in CANARIES)
        assert len([m for m in sink.messages if m.mail['Message-ID'] == mail['Message-ID']]) == 0
    # A second opinion: tshark reads the same capture and finds none of the words either.
    assert tshark(path, *CANARIES) == ''
    assert tshark(path, 'plain@plain.test') != ''
    # And the story tells the same.
    methods = server.methods(header_id(mail))
    assert methods == {FOUR[0]: 'tls', FOUR[1]: 'portal', FOUR[2]: 'portal', FOUR[3]: 'portal'}


def test_notice_is_neutral(world, house):
    """Text and HTML, one link, from our own domain, signed, with a null or bounce sender, no word of the message."""
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    mail = canary_mail(['patient@plain.test'])
    assert submit(server, mail, ['patient@plain.test'])[0] == 250
    notice = plain.wait(1)[0]
    from email.utils import parseaddr
    assert parseaddr(notice.mail['From'])[1] == 'secure@clinic.test'
    assert notice.mail['DKIM-Signature'] is not None
    assert 'd=clinic.test' in str(notice.mail['DKIM-Signature'])
    assert notice.mail_from.startswith('bounce+') and notice.mail_from.endswith('@clinic.test')
    text, html = notice.text('plain'), notice.text('html')
    assert text and html
    assert text.count('https://') == 1
    links = {part for part in html.replace('"', ' ').replace('<', ' ').replace('>', ' ').split()
             if part.startswith('https://')}
    assert len(links) == 1 and links.pop() == link_in(notice)
    assert link_in(notice).startswith(server.url + '/')
    everything = notice.data.decode('utf-8', 'replace') + text + html
    for word in CANARIES + ('alice', mail['Message-ID']):
        assert word.lower() not in everything.lower().replace('alice@clinic.test', ''), word
    # Nothing in the notice is loaded from anywhere: no image, no style sheet, no font.
    for word in ('<img', '<link', '<script', 'url(', '@import', 'src='):
        assert word not in html.lower()


def test_escalation_sends_even_good_tls_through_the_portal(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    mail = canary_mail(['a@good.test'])
    mail.replace_header('Subject', 'Results +Encrypt+ today')
    assert submit(server, mail, ['a@good.test'])[0] == 250
    notice = good.wait(1)[0]
    assert notice.mail['Message-ID'] != mail['Message-ID']
    assert link_in(notice)
    assert server.methods(header_id(mail)) == {'a@good.test': 'portal'}


def test_opt_out_sends_ordinary_mail(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    from world.mails import make_mail
    mail = make_mail(['a@plain.test'], subject='Newsletter +noencrypt+')
    assert submit(server, mail, ['a@plain.test'])[0] == 250
    got = plain.wait(1)[0]
    assert got.mail['Message-ID'] == mail['Message-ID']
    assert '+noencrypt+' not in got.mail['Subject']
    # With both triggers in the subject encryption wins.
    both = make_mail(['a@plain.test'], subject='+noencrypt+ and +encrypt+')
    assert submit(server, both, ['a@plain.test'])[0] == 250
    notice = plain.wait(2)[1]
    assert notice.mail['Message-ID'] != both['Message-ID'] and link_in(notice)


def test_exclusive_mode_drops_and_says_so(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {('account', 'clinic'): {'mode': 'exclusive'}})
    from world.mails import make_mail
    mail = make_mail(['a@plain.test', 'b@good.test'])
    assert submit(server, mail, ['a@plain.test', 'b@good.test'])[0] == 250
    good.wait(1)
    server.wait_state(header_id(mail), 'a@plain.test', 'dropped')
    assert plain.messages == [] and world.clinic.messages == []
