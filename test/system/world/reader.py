# SPDX-License-Identifier: Apache-2.0
"""A reader without a browser: follows links, fills in forms, keeps cookies. Also finds links in notices."""
import html.parser
import http.client
import re
import secrets
import socket
import ssl
import urllib.parse

from . import wait_until
from .machine import PATIENCE


def link_in(message, must=True):
    """The portal link in a notice (a Received message)."""
    found = re.findall(r'https://portal\.clinic\.test:\d+/\S+', message.text('plain'))
    if must:
        assert found, message.data.decode('utf-8', 'replace')
    return found[0].rstrip('.>)') if found else None


def code_in(message):
    """The one-time code in a mail: the one group of digits (perhaps with a space or dash in it) on its own line."""
    text = message.text('plain')
    found = re.findall(r'(?m)^\s*([0-9]{3,5}[ -]?[0-9]{3,5}|[0-9]{6,10})\s*$', text) or \
        re.findall(r'\b([0-9]{6,10}|[0-9]{3,5} [0-9]{3,5})\b', text)
    assert found, text
    return found[0].replace(' ', '').replace('-', '')


class _Forms(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.forms, self.links, self.at = [], [], None

    def handle_starttag(self, tag, attributes):
        values = {name: value or '' for name, value in attributes}
        if tag == 'form':
            self.at = {'action': values.get('action', ''), 'method': values.get('method', 'get').lower(),
                       'type': values.get('enctype', 'application/x-www-form-urlencoded'), 'fields': {},
                       'empty': []}
            self.forms.append(self.at)
        elif tag in ('input', 'textarea') and self.at is not None:
            name = values.get('name')
            if name and values.get('type') == 'hidden':
                self.at['fields'][name] = values.get('value', '')
            elif name:
                self.at['empty'].append((name, values.get('type', tag)))
        for name in ('href', 'src', 'action', 'data', 'poster', 'formaction'):
            if values.get(name) and tag != 'form':
                self.links.append(values[name])

    def handle_endtag(self, tag):
        if tag == 'form':
            self.at = None


class Page:
    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.text = body.decode('utf-8', 'replace')
        parser = _Forms()
        if 'html' in headers.get('content-type', ''):
            parser.feed(self.text)
        self.forms, self.links = parser.forms, parser.links

    def form(self, ending):
        """The form whose action ends so."""
        found = [form for form in self.forms if form['action'].endswith(ending)]
        assert found, f'no form for {ending} at {self.url}:\n{self.text}'
        return found[0]


class Reader:
    """
    server     the Postern to read at
    wire_sink  the sink that gets the reader's mail, for codes
    address    our own loopback address (limits are by network)
    """

    def __init__(self, server, wire_sink=None, address='127.0.0.1'):
        self.server, self.sink, self.address = server, wire_sink, address
        self.cookies = {}
        self.context = ssl.create_default_context(cafile=server.world.ca.roots)
        self.pages = 0

    def request(self, method, url, body=None, headers=None, cookies=True):
        """One request, redirects not followed."""
        parts = urllib.parse.urlsplit(url)
        path = parts.path + ('?' + parts.query if parts.query else '')
        connection = http.client.HTTPSConnection('portal.clinic.test', self.server.ports['portal'],
                                                 context=self.context, timeout=30 * PATIENCE)
        raw = socket.create_connection((self.server.address, self.server.ports['portal']), 30 * PATIENCE,
                                       (self.address, 0))
        connection.sock = self.context.wrap_socket(raw, server_hostname='portal.clinic.test')
        sent = {'User-Agent': 'reader'}
        if cookies and self.cookies:
            sent['Cookie'] = '; '.join(f'{name}={value}' for name, value in self.cookies.items())
        sent.update(headers or {})
        connection.request(method, path or '/', body=body, headers=sent)
        answer = connection.getresponse()
        data = answer.read()
        for line in answer.headers.get_all('Set-Cookie') or []:
            name, _, value = line.split(';')[0].partition('=')
            if cookies:
                self.cookies[name.strip()] = value.strip()
        connection.close()
        return Page(url, answer.status, {name.lower(): value for name, value in answer.headers.items()}, data)

    def stream(self, url):
        """The blocks of a file that may be too large to keep."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPSConnection('portal.clinic.test', self.server.ports['portal'],
                                                 context=self.context, timeout=60)
        raw = socket.create_connection((self.server.address, self.server.ports['portal']), 30,
                                       (self.address, 0))
        connection.sock = self.context.wrap_socket(raw, server_hostname='portal.clinic.test')
        connection.request('GET', parts.path, headers={
            'Cookie': '; '.join(f'{name}={value}' for name, value in self.cookies.items())})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        while block := answer.read(1 << 18):
            yield block
        connection.close()

    def follow(self, page):
        """Follow redirects as a browser does."""
        for _ in range(5):
            if page.status not in (301, 302, 303, 307, 308):
                self.pages += 1
                return page
            page = self.request('GET', urllib.parse.urljoin(page.url, page.headers['location']))
        raise AssertionError('too many redirects')

    def get(self, url):
        return self.follow(self.request('GET', url))

    def post(self, page, form, fields=None, files=()):
        """Send a form with its hidden fields and these; files: [(field, name, bytes, type)]."""
        values = {**form['fields'], **(fields or {})}
        url = urllib.parse.urljoin(page.url, form['action'])
        if form['type'] == 'multipart/form-data':
            mark = secrets.token_hex(16)
            body = b''
            for name, value in values.items():
                body += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, filename, data, kind in files:
                body += (f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
                         f'Content-Type: {kind}\r\n\r\n').encode() + data + b'\r\n'
            body += f'--{mark}--\r\n'.encode()
            kind = f'multipart/form-data; boundary={mark}'
        else:
            body, kind = urllib.parse.urlencode(values).encode(), form['type']
        return self.follow(self.request('POST', url, body, {
            'Content-Type': kind, 'Origin': self.server.url, 'Sec-Fetch-Site': 'same-origin'}))

    # ---- what readers do ----

    def ask_code(self, link, address=None):
        """Open the link, have a code mailed; returns (page with the field for it, the code)."""
        page = self.get(link)
        assert page.status == 200, page.text
        before = len(self.sink.messages)
        page = self.post(page, page.form('/code'))
        assert page.status == 200, page.text
        # Behind a crash a notice may come a second time: that is not what is waited for.
        mails = wait_until(lambda: [m for m in self.sink.messages[before:]
                                    if (address is None or m.recipients == [address])
                                    and link_in(m, must=False) != link], 20, what='the code')
        return page, code_in(mails[0])

    def open_by_code(self, link, address=None):
        page, code = self.ask_code(link, address)
        return self.prove(page, code)

    def prove(self, page, typed):
        return self.post(page, page.form('/open'), {'typed': typed})

    def open_by_answer(self, link, answer):
        return self.prove(self.get(link), answer)

    def open_by_link(self, link):
        page = self.get(link)
        return self.post(page, page.form('/open'))

    def reply(self, page, text, files=()):
        """From the message page: write a reply; returns the page that says it was sent."""
        link = [url for url in page.links if url.endswith('/reply')][0]
        page = self.get(urllib.parse.urljoin(page.url, link))
        return self.post(page, page.form('/reply'), {'text': text},
                         [('file', name, data, kind) for name, data, kind in files])
