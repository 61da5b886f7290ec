# SPDX-License-Identifier: Apache-2.0
"""The portal's pages on a stand (test/portal/stand.c): what a reader, a scanner, a stranger get.

The stand's keeper is a few lines; the copies are sealed for real, TLS is real, curl and Python
speak to it. The whole system is tested elsewhere.
"""
import base64
import email
import email.policy
import hashlib
import http.client
import os
import queue
import re
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

import pytest

from world.machine import PATIENCE

BUILD = os.environ.get('POSTERN_BUILD', os.path.join(os.path.dirname(__file__), '../../build'))


class Stand:
    def __init__(self, folder):
        self.folder = folder
        self.process = subprocess.Popen([os.path.join(BUILD, 'portal-stand'), folder], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.links, self.lines = {}, queue.Queue()
        for line in self.process.stdout:
            words = line.split()
            if words[0] == 'url':
                self.url = words[1]
            elif words[0] == 'link':
                self.links[words[1]] = urllib.parse.urlsplit(words[2]).path
            elif words[0] == 'ready':
                break
        self.port = int(self.url.rsplit(':', 1)[1])
        self.context = ssl.create_default_context(cafile=os.path.join(folder, 'ca.pem'))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def said(self, *awaited):
        """What happened since the last call; waits for lines that begin so, and a moment for what should not come."""
        found, awaited = [], list(awaited)
        end = time.monotonic() + 20 * PATIENCE
        while awaited and time.monotonic() < end:
            try:
                found.append(self.lines.get(timeout=0.1))
            except queue.Empty:
                continue
            awaited = [start for start in awaited if not found[-1].startswith(start)]
        time.sleep(.15)
        while not self.lines.empty():
            found.append(self.lines.get())
        return found

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20 * PATIENCE) == 0

    def raw(self, data, wait=5):
        with socket.create_connection(('127.0.0.1', self.port), timeout=wait) as plain:
            with self.context.wrap_socket(plain, server_hostname='localhost') as tls:
                tls.sendall(data)
                got = b''
                try:
                    while piece := tls.recv(65536):
                        got += piece
                except (TimeoutError, ssl.SSLError, ConnectionError):
                    pass
                return got


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()
        self.text = self.body.decode('utf-8', 'replace')


class Browser:
    """A browser without scripts: cookies by path, forms by hand."""

    def __init__(self, stand):
        self.stand, self.cookies = stand, {}

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPSConnection('localhost', self.stand.port, timeout=20 * PATIENCE,
                                                 context=self.stand.context)
        headers = dict(headers or {})
        cookies = [c for p, c in self.cookies.items() if path.startswith(p)]
        if cookies:
            headers['Cookie'] = '; '.join(cookies)
        connection.request(method, path, body, headers)
        answer = Answer(connection.getresponse())
        connection.close()
        for cookie in answer.headers.get_all('Set-Cookie') or []:
            where = re.search(r'Path=([^;]+)', cookie).group(1)
            self.cookies[where] = cookie.split(';')[0]
        return answer

    def get(self, path):
        return self.ask('GET', path)

    def post(self, path, **fields):
        return self.ask('POST', path, urllib.parse.urlencode(fields),
                        {'Content-Type': 'application/x-www-form-urlencoded'})

    def send(self, path, parts):
        boundary = '----stand'
        body = b''
        for head, content in parts:
            body += (f'--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n'.encode()
                     + content + b'\r\n')
        body += f'--{boundary}--\r\n'.encode()
        return self.ask('POST', path, body,
                        {'Content-Type': f'multipart/form-data; boundary={boundary}'})


def nonce_of(answer, action=''):
    form = re.search(r'<form[^>]*action="[^"]*' + re.escape(action) + r'".*?</form>', answer.text,
                     re.S).group(0)
    return re.search(r'name="nonce" value="([^"]+)"', form).group(1)


def pattern(length):
    return bytes((i * 7 + i // 256) & 255 for i in range(length))


@pytest.fixture(scope='module')
def stand(module_folder):
    it = Stand(module_folder)
    yield it
    it.close()


@pytest.fixture
def browser(stand):
    stand.said()
    return Browser(stand)


def open_link(browser):
    """From the link to the message by the link alone; its address."""
    base = browser.stand.links['link']
    first = browser.get(base)
    assert first.status == 200
    answer = browser.post(base + '/open', nonce=nonce_of(first, '/open'))
    assert answer.status == 303
    assert answer.headers['Location'] == './message'
    return base


@pytest.mark.asan
def test_code_from_link_to_message(stand, browser):
    base = stand.links['code']
    first = browser.get(base)
    assert 'g•••@mail.test' in first.text and 'St. Hedwig Clinic' in first.text
    sent = browser.post(base + '/code', nonce=nonce_of(first, '/code'))
    assert sent.status == 303 and sent.headers['Location'] == './code'
    second = browser.get(base + '/code')
    assert 'autocomplete="one-time-code"' in second.text
    wrong = browser.post(base + '/open', nonce=nonce_of(second, '/open'), typed='000000')
    assert wrong.status == 403 and 'This is not the code' in wrong.text
    assert 'try 2 more times' in wrong.text
    right = browser.post(base + '/open', nonce=nonce_of(wrong, '/open'), typed=' 123456 ')
    assert right.status == 303
    cookie = right.headers['Set-Cookie']
    for word in ('Secure', 'HttpOnly', 'SameSite=Strict', 'Path=' + base, 'Max-Age=1800'):
        assert word in cookie
    assert right.headers['Location'] == './message'
    message = browser.get(base + '/message')
    assert message.status == 200
    assert 'Your results from Tuesday – all well' in message.text
    assert 'Please keep taking the tablets' in message.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in message.text
    frame = browser.get(base + '/html')
    assert 'Haemoglobin' in frame.text
    policy = frame.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy and 'sandbox' in policy and 'script' not in policy
    assert browser.get(base + '/message').status == 200
    facts = stand.said('revealed code', 'code code')
    assert facts.count('revealed code') == 1 and facts.count('code code') == 1


@pytest.mark.asan
def test_answer_is_asked_and_tries_are_counted(stand, browser):
    base = stand.links['answer']
    page = browser.get(base)
    assert 'What was the name of our first dog?' in page.text
    good = browser.post(base + '/open', nonce=nonce_of(page), typed='rex  the GREAT')
    assert good.status == 303
    message = browser.get(base + '/message')
    assert '<iframe' not in message.text and 'Dear Ms Example' in message.text
    for _ in range(2):
        page = browser.post(base + '/open', nonce=nonce_of(page), typed='Fido')
        assert page.status == 403 and 'not the right answer' in page.text
    locked = browser.post(base + '/open', nonce=nonce_of(page), typed='Fido')
    assert locked.status == 429 and 'in 15 minutes' in locked.text
    assert int(locked.headers['Retry-After']) == 900
    assert browser.get(base).status == 429


@pytest.mark.asan
def test_attachments_come_whole(stand, browser):
    base = open_link(browser)
    one = browser.get(base + '/part/1')
    assert hashlib.sha256(one.body).digest() == hashlib.sha256(pattern(300000)).digest()
    assert one.headers['Content-Type'] == 'application/pdf'
    assert one.headers['Content-Disposition'] == (
        'attachment; filename="Laborbefund Gr__e.pdf"; '
        "filename*=UTF-8''Laborbefund%20Gr%C3%BC%C3%9Fe.pdf")
    assert 'sandbox' in one.headers['Content-Security-Policy']
    two = browser.get(base + '/part/2')
    assert two.body == pattern(1234)
    assert two.headers['Content-Type'] == 'application/octet-stream'
    assert browser.get(base + '/part/3').status == 404
    head = browser.ask('HEAD', base + '/part/1')
    assert head.status == 200 and head.headers['Content-Length'] == '300000'
    assert [f for f in stand.said('taken link 1', 'taken link 2') if f.startswith('taken')] == ['taken link 1', 'taken link 2']


@pytest.mark.asan
def test_reply_with_files(stand, browser):
    base = open_link(browser)
    form = browser.get(base + '/reply')
    nonce = nonce_of(form).encode()
    sent = browser.send(base + '/reply', [
        ('name="nonce"', nonce),
        ('name="text"', 'Grüße,\r\nalles gut.\r\n.\r\nFrom here'.encode()),
        ('name="file"; filename="Bild ä.png"\r\nContent-Type: image/png', pattern(100000)),
        ('name="file"; filename="../../x.sh"\r\nContent-Type: text/x-sh', b''),
    ])
    assert sent.status == 303 and sent.headers['Location'] == './sent'
    assert 'on its way' in browser.get(base + '/sent').text
    (fact,) = [f for f in stand.said('reply') if f.startswith('reply')]
    with open(fact.split()[2], 'rb') as file:
        raw = file.read()
    assert b'\n' not in raw.replace(b'\r\n', b'')
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert mail['Subject'] == 'Re: Your results from Tuesday – all well'
    assert mail['To'] == 'ada@clinic.test' and mail['Reply-To'] == 'grete@mail.test'
    assert mail['From'].addresses[0].addr_spec == 'secure@clinic.test'
    assert mail['From'].addresses[0].display_name == 'grete@mail.test via secure portal'
    assert mail['In-Reply-To'] == '<original-1@clinic.test>'
    assert len(mail.get_all('MIME-Version')) == 1
    assert mail['Message-ID'] == f'<{fact.split()[1]}>'
    text, image, script = mail.iter_parts()
    assert text.get_content().replace('\r\n', '\n').rstrip('\n') == (
        'Grüße,\nalles gut.\n.\nFrom here')
    assert b"filename*=utf-8''bild%20%c3%a4.png" in raw.lower()
    assert image.get_content_type() == 'image/png' and image.get_content() == pattern(100000)
    assert script.get_filename() == 'x.sh' and script.get_payload(decode=True) == b''


@pytest.mark.asan
def test_reply_refusals(stand, browser):
    base = open_link(browser)
    nonce = nonce_of(browser.get(base + '/reply')).encode()
    empty = browser.send(base + '/reply', [('name="nonce"', nonce), ('name="text"', b' \r\n')])
    assert empty.status == 400 and 'write something' in empty.text
    many = [('name="nonce"', nonce), ('name="text"', b'keep <this>')]
    many += [(f'name="file"; filename="{i}"', b'x') for i in range(11)]
    too_many = browser.send(base + '/reply', many)
    assert too_many.status == 413 and 'keep &lt;this&gt;' in too_many.text
    large = browser.send(base + '/reply', [
        ('name="nonce"', nonce), ('name="text"', b'keep'),
        ('name="file"; filename="a"', b'x' * (1 << 20) + b'y')])
    assert large.status == 413 and 'keep' in large.text
    huge = browser.send(base + '/reply', [
        ('name="nonce"', nonce), ('name="file"; filename="a"', b'x' * (5 << 20))])
    assert huge.status == 413 and 'too large' in huge.text
    late = browser.send(base + '/reply', [
        ('name="nonce"', nonce), ('name="file"; filename="a"', b'x'), ('name="text"', b'late')])
    assert late.status == 400
    nobody = Browser(stand)
    kept = nobody.send(base + '/reply', [
        ('name="nonce"', nonce), ('name="text"', b'my words'),
        ('name="file"; filename="a"', b'x' * 100000)])
    assert kept.status == 403 and 'my words' in kept.text
    forged = browser.send(base + '/reply', [('name="nonce"', b'A' * 32), ('name="text"', b'x')])
    assert forged.status == 400
    # Nothing of all that stayed in the queue.
    assert not [f for f in stand.said() if f.startswith('reply')]


def test_absent_links_look_the_same(stand, browser):
    never = '/m/' + base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip('=')
    paths = [stand.links['gone'], never, '/m/short', '/m/', '/nothing', never + '/message/x',
             never + '/code']
    bodies = {browser.get(path).body for path in paths}
    assert len(bodies) == 1
    answers = [browser.get(path) for path in paths]
    assert {a.status for a in answers} == {404}
    assert len({str(sorted((k, v) for k, v in a.headers.items() if k != 'Date'))
                for a in answers}) == 1


def test_scanners_change_nothing(stand, browser):
    for name in ('code', 'link'):
        base = stand.links[name]
        for tail in ('', '#', '%23', '%2523', '%23top', '/', '?utm=1', '.', ')', '/code', '/open',
                     '/message', '/html', '/part/1', '/reply', '/sent'):
            for method in ('GET', 'HEAD', 'OPTIONS'):
                for headers in ({}, {'Purpose': 'prefetch'}, {'Range': 'bytes=0-10'},
                                {'Accept': 'application/json'}):
                    answer = browser.ask(method, base + tail, headers=headers)
                    assert answer.status in (200, 204, 303), (method, tail)
    assert browser.get(stand.links['code'] + '%23').status == 200
    facts = stand.said()
    assert not [f for f in facts if not f.startswith('asked look')], facts


def test_posts_need_a_nonce_from_the_page(stand, browser):
    base = stand.links['link']
    page = browser.get(base)
    nonce = nonce_of(page)
    form = {'Content-Type': 'application/x-www-form-urlencoded'}
    body = urllib.parse.urlencode({'nonce': nonce})
    assert browser.post(base + '/open').status == 400
    assert browser.post(base + '/open', nonce='A' * 32).status == 400
    assert browser.post(base + '/open', nonce=nonce_of(browser.get(stand.links['code']))).status == 400
    assert browser.post(base + '/open', nonce=nonce, more='1').status == 400
    assert browser.ask('POST', base + '/open', body, {'Content-Type': 'text/plain'}).status == 400
    for name, value in (('Origin', 'https://evil.test'), ('Sec-Fetch-Site', 'cross-site'),
                        ('Sec-Fetch-Site', 'same-site')):
        assert browser.ask('POST', base + '/open', body, {**form, name: value}).status == 400
    assert not [f for f in stand.said() if f.startswith('revealed')]
    for name, value in (('Origin', stand.url), ('Origin', 'null'),
                        ('Sec-Fetch-Site', 'same-origin')):
        assert browser.ask('POST', base + '/open', body, {**form, name: value}).status == 303


def test_a_session_opens_one_message_only(stand, browser):
    base = open_link(browser)
    cookie = browser.cookies[base]
    other = stand.links['code']
    name = 'postern_' + '0' * 8
    for value in (cookie, name + '=' + cookie.split('=')[1], 'x'):
        answer = Browser(stand).ask('GET', other + '/message', headers={'Cookie': value})
        assert answer.status == 303 and answer.headers['Location'] == './'
    assert Browser(stand).get(base + '/message').status == 303


def test_other_pages(stand, browser):
    assert 'Secure messages are kept here' in browser.get('/').text
    assert browser.get('/robots.txt').text == 'User-agent: *\nDisallow: /\n'
    assert browser.get('/health').text == 'ok\n'
    css = re.search(r'href="(/portal-[0-9a-f]{12}\.css)"', browser.get('/').text).group(1)
    style = browser.get(css)
    assert style.headers['Content-Type'].startswith('text/css')
    assert 'immutable' in style.headers['Cache-Control']
    options = browser.ask('OPTIONS', '/')
    assert options.status == 204 and 'GET' in options.headers['Allow']


@pytest.mark.asan
def test_every_answer_is_strict(stand, browser):
    base = open_link(browser)
    for path in ('/', '/robots.txt', '/nothing', base, base + '/message', base + '/part/1',
                 base + '/html', base + '/reply'):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers['Content-Security-Policy']
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Referrer-Policy'] == 'no-referrer'
        assert headers['Cache-Control'] == 'no-store'
        assert 'Strict-Transport-Security' in headers and 'Server' not in headers
    page = browser.get(base + '/message').text
    assert '<script' not in page and ' style=' not in page and ' onclick' not in page


@pytest.mark.asan
def test_strange_requests_are_refused(stand, browser):
    host = f'Host: localhost:{stand.port}\r\n'.encode()
    for data, status in (
            (b'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n', b'421'),
            (b'GET / HTTP/1.1\r\n' + host + host + b'\r\n', b'400'),
            (b'GET / HTTP/1.1\r\n' + host + b'X : y\r\n\r\n', b'400'),
            (b'GET / HTTP/1.1\r\n' + host + b'X: a\x00b\r\n\r\n', b'400'),
            (b'PUT / HTTP/1.1\r\n' + host + b'Content-Length: 1\r\n\r\nx', b'405'),
            (b'GET /' + b'a' * 3000 + b' HTTP/1.1\r\n' + host + b'\r\n', b'414'),
            (b'GET / HTTP/1.1\r\n' + host + b'X: ' + b'a' * 20000 + b'\r\n\r\n', b'431'),
            (b'GET / HTTP/1.1\r\n' + host + b'X: y\r\n' * 100 + b'\r\n', b'431'),
            (b'POST /m/x/open HTTP/1.1\r\n' + host + b'Content-Length: 1\r\n'
             b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', b'400')):
        got = stand.raw(data + b'', 3)
        assert got.split(b' ')[1:2] == [status], (data[:60], got[:100])
        assert b'evil' not in got and b'aaaa' not in got


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_tls_is_strict(stand):
    def handshake(**wish):
        context = ssl.create_default_context(cafile=os.path.join(stand.folder, 'ca.pem'))
        context.minimum_version = wish.get('least', ssl.TLSVersion.TLSv1)
        context.maximum_version = wish.get('most', ssl.TLSVersion.TLSv1_3)
        context.set_ciphers(wish.get('ciphers', 'ALL:@SECLEVEL=0'))
        with socket.create_connection(('127.0.0.1', stand.port), timeout=5 * PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname='localhost') as tls:
                return tls.version(), tls.cipher()[0]

    assert handshake()[0] == 'TLSv1.3'
    version, cipher = handshake(most=ssl.TLSVersion.TLSv1_2)
    assert version == 'TLSv1.2' and 'ECDHE' in cipher and ('GCM' in cipher or 'CHACHA' in cipher)
    for wish in ({'most': ssl.TLSVersion.TLSv1_1},
                 {'most': ssl.TLSVersion.TLSv1_2, 'ciphers': 'ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0'},
                 {'most': ssl.TLSVersion.TLSv1_2, 'ciphers': 'AES128-GCM-SHA256:@SECLEVEL=0'}):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(**wish)


@pytest.mark.needs('curl')
def test_curl_reads_a_message(stand):
    base = stand.url + stand.links['link']
    jar = os.path.join(stand.folder, 'jar')
    curl = ['curl', '-sS', '--fail', '--cacert', os.path.join(stand.folder, 'ca.pem'),
            '-b', jar, '-c', jar]
    page = subprocess.run([*curl, base], check=True, capture_output=True, text=True).stdout
    nonce = re.search(r'name="nonce" value="([^"]+)"', page).group(1)
    message = subprocess.run([*curl, '-L', '--data-urlencode', 'nonce=' + nonce, base + '/open'],
                             check=True, capture_output=True, text=True).stdout
    assert 'Your results from Tuesday' in message
