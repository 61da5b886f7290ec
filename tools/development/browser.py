# SPDX-License-Identifier: Apache-2.0
"""A small read-only web page with the mailboxes of the outside world."""
import html
import http.server
import os
import re
import threading
import time
import urllib.parse

CSS_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'browser.css')


class _Page(http.server.BaseHTTPRequestHandler):
    server_version = 'mailboxes'
    sys_version = ''
    timeout = 30

    def do_GET(self):
        # Only this machine's names: a web site must not reach us under a name of its own.
        if self.headers.get('Host', '').rpartition(':')[0] not in ('localhost', '127.0.0.1'):
            return self._answer(421, 'text/plain', b'Ask for localhost.\n')
        path = urllib.parse.urlsplit(self.path).path
        if path == '/style.css':
            return self._answer(200, 'text/css', self.server.css)
        if path == '/':
            return self._html('Mailboxes', self._list(), refresh=3)
        found = re.fullmatch(r'/letter/(\d{1,9})(?:/(raw|file)(?:/(\d{1,3}))?)?', path)
        letter = found and self._letter(int(found.group(1)))
        if not letter:
            return self._html('Not here', '<p>There is nothing here. <a href="/">All mailboxes</a></p>',
                              code=404)
        if found.group(2) == 'raw':
            return self._download(f'{letter.number:04}.eml', letter.data)
        if found.group(2) == 'file':
            number = int(found.group(3) or 0)
            if number < len(letter.files):
                return self._download(*letter.files[number])
        return self._html(letter.subject, _letter_text(letter))

    def log_message(self, *_):
        pass

    # ---- what it shows ----

    def _letter(self, number):
        letters = self.server.mailroom.letters
        return letters[number - 1] if 0 < number <= len(letters) else None

    def _list(self):
        boxes = {}
        for letter in list(self.server.mailroom.letters):
            boxes.setdefault(letter.mailbox, []).insert(0, letter)
        if not boxes:
            return '<h1>Mailboxes</h1><p>No mail has come yet.</p>'
        parts = ['<h1>Mailboxes of the outside world</h1>']
        for mailbox, letters in sorted(boxes.items()):
            rows = ''.join(
                f'<tr><td>{time.strftime("%H:%M:%S", time.localtime(letter.at))}</td>'
                f'<td><a href="/letter/{letter.number}">{_escape(letter.subject)}</a></td>'
                f'<td>{_escape(letter.header("From"))}</td><td>{_how(letter)}</td></tr>'
                for letter in letters)
            parts.append(f'<h2>{_escape(mailbox)}</h2><table><thead><tr><th>Time</th><th>Subject</th>'
                         f'<th>From</th><th>Came by</th></tr></thead><tbody>{rows}</tbody></table>')
        return '\n'.join(parts)

    # ---- how it answers ----

    def _html(self, title, body, code=200, refresh=None):
        again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ''
        text = (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{again}'
                '<meta name="viewport" content="width=device-width, initial-scale=1">'
                f'<title>{_escape(title)}</title><link rel="stylesheet" href="/style.css"></head>'
                f'<body><main>{body}</main></body></html>')
        self._answer(code, 'text/html; charset=utf-8', text.encode('utf-8', 'replace'))

    def _download(self, name, data):
        self._answer(200, 'application/octet-stream', data,
                     ("Content-Disposition",
                      "attachment; filename*=UTF-8''" + urllib.parse.quote(name, safe='')))

    def _answer(self, code, kind, body, *headers):
        self.send_response(code)
        for name, value in (('Content-Type', kind), ('Content-Length', str(len(body))),
                            ('Cache-Control', 'no-store'), ('X-Content-Type-Options', 'nosniff'),
                            ('Referrer-Policy', 'no-referrer'),
                            ('Content-Security-Policy', "default-src 'none'; style-src 'self'; "
                             "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _escape(text):
    return html.escape(text.encode('utf-8', 'replace').decode(), quote=True)


def _how(letter):
    return (f'<span class="sealed">{_escape(letter.how)}</span>' if letter.how
            else '<span class="clear">cleartext</span>')


def _letter_text(letter):
    """One message: its head, its text with links to the portal that can be followed, its files."""
    text = _escape(letter.text)
    for link in letter.links:
        safe = _escape(link)
        text = text.replace(safe, f'<a href="{safe}" target="_blank" rel="noopener noreferrer">{safe}</a>')
    rows = ''.join(f'<div><dt>{name}</dt><dd>{value}</dd></div>' for name, value in (
        ('From', _escape(letter.header('From'))), ('To', _escape(letter.header('To'))),
        ('Mailbox', _escape(letter.mailbox)), ('Date', _escape(letter.header('Date'))),
        ('Came by', _how(letter))))
    files = ''.join(f'<li><a href="/letter/{letter.number}/file/{index}">{_escape(name)}</a> '
                    f'({len(data)} bytes)</li>' for index, (name, data) in enumerate(letter.files))
    return (f'<p><a href="/">All mailboxes</a></p><h1>{_escape(letter.subject)}</h1><dl>{rows}</dl>'
            f'<pre>{text}</pre>' + (f'<h2>Files</h2><ul>{files}</ul>' if files else '')
            + f'<p><a href="/letter/{letter.number}/raw">The whole message, as it came</a></p>')


class Browser:
    """Serves the pages of `mailroom` on address:port from a thread of its own."""

    def __init__(self, address, port, mailroom):
        self.server = http.server.ThreadingHTTPServer((address, port), _Page, bind_and_activate=True)
        self.server.daemon_threads = True
        self.server.mailroom = mailroom
        with open(CSS_PATH, 'rb') as file:
            self.server.css = file.read()
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        if self.thread.is_alive():
            self.server.shutdown()
        self.server.server_close()
