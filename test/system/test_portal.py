# SPDX-License-Identifier: Apache-2.0
"""The portal as readers, robots and strangers meet it, without a browser."""
import hashlib
import re
import time
import urllib.parse

import pytest

from world import wait_until
from world.mails import CANARIES, FILE_CANARY, canary_mail, header_id, make_mail, submit
from world.reader import Reader, link_in


def sent(world, house, changes=None, recipients=('patient@plain.test',), mail=None, **options):
    """A server, a plain-text host, and a message that ended in the portal: (server, host, mail, notice)."""
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world, changes)
    mail = mail or canary_mail(list(recipients), **options)
    code, text = submit(server, mail, recipients)
    assert code == 250, text
    notices = plain.wait(len(recipients))
    return server, plain, mail, notices[0] if len(recipients) == 1 else notices


@pytest.mark.asan
def test_code_attachment_reply_receipt(world, house):
    server, plain, mail, notice = sent(world, house)
    link = link_in(notice)
    reader = Reader(server, plain)
    page = reader.open_by_code(link)
    assert page.status == 200
    assert reader.pages <= 3  # the link's page, the code's page, the message
    for word in CANARIES[:3]:
        assert word in page.text, word
    assert page.headers['cache-control'].startswith('no-store')
    # The HTML part comes in a frame of its own, without scripts.
    frames = [url for url in page.links if url.endswith('/html')]
    frame = reader.get(urllib.parse.urljoin(page.url, frames[0]))
    assert 'kestrel-biopsy-finding' in frame.text and '<script' not in frame.text
    assert "sandbox" in frame.headers['content-security-policy']
    # The attachment is the same to the byte.
    part = [url for url in page.links if '/part/' in url][0]
    got = reader.get(urllib.parse.urljoin(page.url, part))
    original = [part for part in mail.iter_attachments()][0].get_content()
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(original).digest()
    assert got.headers['content-disposition'].startswith('attachment') and FILE_CANARY in got.headers['content-disposition']
    assert got.headers['x-content-type-options'] == 'nosniff'
    # The receipt reached the sender, once, over TLS, and quotes nothing.
    receipt = world.clinic.wait(1)[0]
    assert receipt.tls and receipt.recipients == ['alice@clinic.test']
    for word in CANARIES:
        assert word.encode() not in receipt.data
    # The reply, with a file.
    answer = bytes(range(256)) * 300
    page = reader.reply(page, 'Thank you, doctor.\nÜber den Befund: gut.', [('antwort.pdf', answer, 'application/pdf')])
    assert page.status == 200
    reply = world.clinic.wait(2)[1]
    assert reply.tls and reply.recipients == ['alice@clinic.test']
    assert 'Thank you, doctor.' in reply.text('plain') and 'Über den Befund' in reply.text('plain')
    files = list(reply.mail.iter_attachments())
    assert files[0].get_filename() == 'antwort.pdf' and files[0].get_content() == answer
    assert CANARIES[0].encode() not in reply.data
    # Reading again in the session gives no second receipt.
    reader.get(link)
    time.sleep(1)
    assert len(world.clinic.messages) == 2
    kinds = server.event_names(header_id(mail))
    assert any('reveal' in kind for kind in kinds), kinds


def test_question_and_answer(world, house):
    recipient = {('account', 'clinic'): {('recipient', 'patient@plain.test'): {
        'proof': 'answer', 'question': 'Name of your first dog?', 'answer': 'Rex the Second'}}}
    server, plain, mail, notice = sent(world, house, recipient)
    reader = Reader(server, plain)
    page = reader.get(link_in(notice))
    assert 'Name of your first dog?' in page.text
    assert 'Rex' not in page.text
    wrong = reader.prove(page, 'Fido')
    assert CANARIES[0] not in wrong.text
    page = reader.open_by_answer(link_in(notice), '  rex THE second ')
    assert CANARIES[0] in page.text
    assert 'Name of your first dog' not in notice.data.decode()


def test_link_only_is_a_policy(world, house):
    server, plain, mail, notice = sent(world, house, {('account', 'clinic'): {'reader_proof': 'link'}})
    reader = Reader(server, plain)
    page = reader.open_by_link(link_in(notice))
    assert CANARIES[0] in page.text


def crawl(reader, link):
    """A robot: GET, HEAD and OPTIONS of everything that it can find, rewritten in the ways that scanners do."""
    seen, todo, shown = set(), [], []
    for suffix in ('', '#', '%23', '/', '?utm_source=scan', '.', '>', '%3E', '#top', '?', '//', '/message', '/html',
                   '/part/1', '/part/2', '/open', '/code', '/reply', '/sent', '%20', '&x=1', '/../', '/%2e%2e/'):
        todo.append(link + suffix)
    while todo:
        url = todo.pop()
        if url in seen or len(seen) > 70:
            continue
        seen.add(url)
        for method in ('HEAD', 'GET', 'OPTIONS', 'GET'):
            page = reader.request(method, url.split('#')[0])
            shown.append(page)
            if page.status in (301, 302, 303, 307, 308):
                todo.append(urllib.parse.urljoin(url, page.headers['location']))
            for found in page.links + [form['action'] for form in page.forms]:
                absolute = urllib.parse.urljoin(url, found)
                if absolute.startswith(reader.server.url):
                    todo.append(absolute)
    return shown


@pytest.mark.asan
def test_robots_change_nothing(world, house):
    server, plain, mail, notice = sent(world, house)
    link = link_in(notice)
    before = server.story_state(header_id(mail))
    for agent in range(2):
        pages = crawl(Reader(server, plain, address=f'127.0.8.{agent + 1}'), link)
        assert len(pages) > 60
        for page in pages:
            for word in CANARIES:
                assert word not in page.text, (page.url, word)
    time.sleep(1)
    assert len(plain.messages) == 1      # no code was mailed
    assert world.clinic.messages == []   # no receipt
    assert server.story_state(header_id(mail)) == before
    # The reader comes after the robots, through a link that a gateway has rewritten, and reads.
    for suffix in ('#', '%23'):
        reader = Reader(server, plain)
        page = reader.get(link + suffix if suffix == '%23' else link)
        assert page.status == 200 and page.forms
    page = Reader(server, plain).open_by_code(link + '%23')
    assert CANARIES[0] in page.text


def test_a_forged_post_reveals_nothing(world, house):
    """A robot that posts forms without the page's nonce, or from another site."""
    server, plain, mail, notice = sent(world, house, {('account', 'clinic'): {'reader_proof': 'link'}})
    link = link_in(notice)
    reader = Reader(server, plain)
    for body in (b'', b'typed=', b'nonce=&typed=', b'nonce=0000000000000000000000000000000000000000', b'x' * 5000):
        page = reader.request('POST', link + '/open', body, {'Content-Type': 'application/x-www-form-urlencoded'})
        assert page.status != 200 or CANARIES[0] not in page.text
        followed = reader.follow(page)
        assert CANARIES[0] not in followed.text
    form = reader.get(link).form('/open')
    for headers in ({'Origin': 'https://evil.test'}, {'Sec-Fetch-Site': 'cross-site'}):
        page = reader.request('POST', link + '/open', urllib.parse.urlencode(form['fields']).encode(),
                              {'Content-Type': 'application/x-www-form-urlencoded', **headers})
        assert CANARIES[0] not in reader.follow(page).text
    time.sleep(0.5)
    assert world.clinic.messages == []


def test_wrong_codes_are_limited(world, house):
    server, plain, mail, notice = sent(world, house, {'portal': {'attempts': 3, 'lock': '4s'}})
    reader = Reader(server, plain)
    page, code = reader.ask_code(link_in(notice))
    wrong = [str((int(code) + step) % 10 ** len(code)).zfill(len(code)) for step in range(1, 12)]
    start = page
    locked = None
    for count, guess in enumerate(wrong):
        page = reader.prove(start, guess)
        assert CANARIES[0] not in page.text
        if 'oo many' in page.text:
            locked = count
            break
    assert locked is not None and locked <= 3
    # The right code is of no use now, from here or from elsewhere.
    page = Reader(server, plain, address='127.0.8.9').prove(start, code)
    assert CANARIES[0] not in page.text
    # After the pause the reader gets in.
    time.sleep(4.5)
    page = Reader(server, plain).open_by_code(link_in(notice))
    assert CANARIES[0] in page.text


def test_wrong_answers_are_limited(world, house):
    server, plain, mail, notice = sent(world, house, {
        'portal': {'attempts': 3, 'lock': '60s'},
        ('account', 'clinic'): {('recipient', 'plain.test'): {'proof': 'answer', 'question': 'Colour?', 'answer': 'blue'}}})
    reader = Reader(server, plain)
    page = start = reader.get(link_in(notice))
    for guess in ('red', 'green', 'black', 'white', 'pink'):
        page = reader.prove(start, guess)
        assert CANARIES[0] not in page.text
    assert 'oo many' in page.text
    assert CANARIES[0] not in reader.prove(start, 'blue').text


def test_a_code_works_once_and_only_for_its_message(world, house):
    server, plain, mail, notice = sent(world, house)
    other = canary_mail(['patient@plain.test'])
    assert submit(server, other, ['patient@plain.test'])[0] == 250
    second = plain.wait(2)[1]
    reader = Reader(server, plain)
    page, code = reader.ask_code(link_in(notice))
    cross = Reader(server, plain)
    cross_page, _ = cross.ask_code(link_in(second))
    assert CANARIES[0] not in cross.prove(cross_page, code).text
    assert CANARIES[0] in reader.prove(page, code).text
    again = Reader(server, plain)
    assert CANARIES[0] not in again.prove(page, code).text


def dress(page):
    """What a stranger can compare: status, headers that say something, body."""
    ignored = ('date', 'connection', 'keep-alive')
    return page.status, {name: value for name, value in page.headers.items() if name not in ignored}, page.body


def test_missing_expired_retracted_and_wrong_links_look_the_same(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world, {  # bob's account lets links live for two seconds
        ('account', 'brief'): {'organisation': 'Brief', 'cleartext_after': '0s', 'portal_expire': '2s',
                               'portal_expire_min': '1s', 'notice_from': 'secure@clinic.test'},
        ('user', 'bob@clinic.test'): {'account': 'brief'}})
    links = {}
    for name, user in (('retracted', 'alice'), ('expired', 'bob'), ('live', 'alice')):
        count, sender = len(plain.messages), f'{user}@clinic.test'
        mail = canary_mail(['patient@plain.test'], sender=sender)
        assert submit(server, mail, ['patient@plain.test'], sender=sender, user=sender)[0] == 250
        links[name] = link_in(plain.wait(count + 1)[count]), header_id(mail)
    live = links['live'][0]
    token = live.rsplit('/', 1)[1]
    assert len(token) == 43
    server.control('retract', links['retracted'][1])
    swap = token[:-2] + ('A' if token[-2] != 'A' else 'B') + token[-1]
    strangers = {
        'retracted': links['retracted'][0],
        'wrong': live.replace(token, swap),
        'random': live.replace(token, 'x' * 42 + 'A'),
        'expired': links['expired'][0],
    }
    wait_until(lambda: Reader(server).get(links['expired'][0]).forms == [], 20, what='expiry')
    for tail in ('', '/code', '/message', '/html', '/part/1', '/reply'):
        for method in ('GET', 'HEAD', 'POST'):
            dresses = {}
            for name, link in strangers.items():
                page = Reader(server).request(method, link + tail, b'typed=1&nonce=2' if method == 'POST' else None,
                                              {'Content-Type': 'application/x-www-form-urlencoded'} if method == 'POST' else {})
                dresses[name] = dress(page)
            first = dresses['random']
            for name, seen in dresses.items():
                assert seen == first, (name, method, tail, seen[:2], first[:2])
    # And the time to say so does not tell them apart: asked in turns, so that a busy moment meets all, and
    # the quick answers compared, which others' work disturbs least.
    times = {name: [] for name in strangers}
    for _ in range(10):  # a busy machine may need a second look
        for _ in range(8):
            for name, link in strangers.items():
                start = time.perf_counter()
                Reader(server).request('GET', link)
                times[name].append(time.perf_counter() - start)
        quick = {name: sorted(found)[len(found) // 8] for name, found in times.items()}
        if max(quick.values()) < min(quick.values()) * 2 + 0.005:
            break
    else:
        raise AssertionError(quick)
    assert CANARIES[0] not in Reader(server).get(live).text


def test_retraction_takes_effect_within_a_second_even_in_a_session(world, house):
    server, plain, mail, notice = sent(world, house)
    reader = Reader(server, plain)
    page = reader.open_by_code(link_in(notice))
    assert CANARIES[0] in page.text
    answer = server.control('retract', header_id(mail)).stdout
    assert re.search('read', answer, re.I), answer  # the honest answer: it was read
    time.sleep(1)
    for url in [page.url, link_in(notice)] + [urllib.parse.urljoin(page.url, link) for link in page.links
                                               if '/m/' in link]:
        again = reader.get(url)
        assert CANARIES[0] not in again.text, url
        assert CANARIES[4].encode() not in again.body, url


def test_headers_that_protect(world, house):
    server, plain, mail, notice = sent(world, house)
    reader = Reader(server, plain)
    for url in (link_in(notice), server.url + '/', server.url + '/nothing'):
        page = reader.get(url)
        assert page.headers['x-content-type-options'] == 'nosniff'
        assert page.headers['referrer-policy'] == 'no-referrer'
        policy = page.headers['content-security-policy']
        assert "default-src 'none'" in policy and "frame-ancestors" in policy
        assert 'max-age=' in page.headers['strict-transport-security']
        assert 'no-store' in page.headers['cache-control']
    page = reader.open_by_code(link_in(notice))
    cookie = [line for line in [page.headers.get('set-cookie', '')] if line]
    for line in cookie:
        assert 'Secure' in line and 'HttpOnly' in line and 'SameSite=' in line


def test_hostile_html_is_harmless(world, house):
    """What webmail systems suffered from, in one message; the browser test looks at it again."""
    evil = ('<html><head><script>alert(1)</script><base href="https://evil.test/"><meta http-equiv="refresh" '
            'content="0;url=https://evil.test/"></head><body onload="alert(2)"><p>kestrel-biopsy-finding</p>'
            '<img src="https://evil.test/pixel.gif" onerror="alert(3)"><svg><animate onbegin="alert(4)"/></svg>'
            '<a href="javascript:alert(5)">x</a><iframe src="https://evil.test/"></iframe>'
            '<form action="https://evil.test/"><input name="p"></form><style>@import url(https://evil.test/a.css);'
            'body{background:url(https://evil.test/b.png)}</style><object data="x"></object>'
            '<div style="background-image:url(https://evil.test/c)">y</div></body></html>')
    mail = make_mail(['patient@plain.test'], subject='html', body='text\n', html=evil)
    server, plain, mail, notice = sent(world, house, mail=mail)
    reader = Reader(server, plain)
    page = reader.open_by_code(link_in(notice))
    frame = reader.get(urllib.parse.urljoin(page.url, [url for url in page.links if url.endswith('/html')][0]))
    assert 'kestrel-biopsy-finding' in frame.text
    lower = frame.text.lower()
    for word in ('<script', 'onload', 'onerror', 'onbegin', 'javascript:', '<iframe', '<form', '<object', '<base href',
                 'http-equiv="refresh"', '@import', 'evil.test/pixel', 'evil.test/b.png', 'evil.test/c'):
        assert word not in lower, word
    policy = frame.headers['content-security-policy']
    assert 'sandbox' in policy and "default-src 'none'" in policy and 'script-src' not in policy.replace("script-src 'none'", '')
