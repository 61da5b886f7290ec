# SPDX-License-Identifier: Apache-2.0
"""A small SMTP server that plays a recipient's host, well or badly.

It takes every message it is given and notes how it came. What it does wrong is chosen by options.
"""
import base64
import email
import email.policy
import hashlib
import socket
import ssl
import threading
import time

from . import wait_until


class Received:
    """One message as it arrived."""

    def __init__(self, mail_from, recipients, data, tls, cipher, session):
        self.mail_from, self.recipients, self.data = mail_from, recipients, data
        self.tls, self.cipher, self.session = tls, cipher, session
        self.at = time.time()

    @property
    def mail(self):
        return email.message_from_bytes(self.data, policy=email.policy.default)

    def text(self, kind='plain'):
        part = self.mail.get_body((kind,))
        return part.get_content() if part else ''


class Session:
    """What was said on one connection: lines in clear and lines under TLS."""

    def __init__(self, number, peer):
        self.number, self.peer = number, peer
        self.clear, self.secret = [], []
        self.tls = None


class Sink:
    """
    certificates  list of (certificate, key): the n-th TLS handshake uses the n-th, the last one stays;
                  empty: STARTTLS is not offered
    garble        answer STARTTLS with 220 and then with bytes that are not TLS
    hang_up       close the connection instead of answering STARTTLS with a handshake
    rule          function(verb, argument, session) -> a reply line, or None for the usual one; the
                  verb "." is the end of data
    handshake     function(socket, session) -> the TLS stream, or None for the end: instead of ours
    keywords      further EHLO lines; tls_keywords: only under TLS
    on_message    function(Received), called instead of keeping the message
    login         (user, password) that must be given, under TLS, before MAIL; AUTH PLAIN and LOGIN, or
                  only `mechanisms`
    tls_first     the handshake comes before the greeting
    bulk          for messages too large to keep: of each only the header stays, and `body_bytes` and
                  `body_sha256` say what followed it (one message at a time, dots not taken out)
    """

    def __init__(self, address, port, name, certificates=(), garble=False, hang_up=False, rule=None,
                 keywords=(), tls_least=ssl.TLSVersion.TLSv1_2, on_message=None, bulk=False, handshake=None,
                 tls_keywords=(), login=None, mechanisms='PLAIN LOGIN', tls_first=False):
        self.bulk, self.handshake, self.tls_keywords = bulk, handshake, list(tls_keywords)
        self.login, self.mechanisms, self.tls_first = login, mechanisms, tls_first
        self.address, self.port, self.name = address, port, name
        self.garble, self.hang_up, self.rule, self.keywords = garble, hang_up, rule, list(keywords)
        self.messages, self.sessions = [], []
        self.on_message = on_message or self.messages.append
        self.lock = threading.Lock()
        self.set_certificates(certificates, tls_least)
        self.handshakes = 0
        self.open = set()
        self.listener = None
        self.start()

    def set_certificates(self, certificates, tls_least=ssl.TLSVersion.TLSv1_2):
        self.contexts = []
        for certificate, key in certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = tls_least
            context.load_cert_chain(certificate, key)
            self.contexts.append(context)

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(200)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Refuse connections and drop those that are open."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def drop_connections(self):
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait(self, count=1, seconds=20, fits=lambda message: True):
        """The messages that fit, once there are at least `count`."""
        return wait_until(lambda: (lambda found: found if len(found) >= count else None)(
            [message for message in list(self.messages) if fits(message)]), seconds,
            what=f'{count} message(s) at {self.name} (it has {len(self.messages)})')

    def said(self):
        """Every line of every session."""
        return [line for session in self.sessions for line in session.clear + session.secret]

    # ---- inside ----

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            session = Session(len(self.sessions) + 1, peer)
            self.sessions.append(session)
            threading.Thread(target=self._serve, args=(sock, session), daemon=True).start()

    def _serve(self, sock, session):
        self.open.add(sock)
        try:
            sock.settimeout(120)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._talk(sock, session)
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.open.discard(sock)
            try:
                sock.close()
            except OSError:
                pass

    def _talk(self, sock, session):
        if self.tls_first:
            sock = self._secure(sock, session)
        send = lambda line: sock.sendall(line.encode() + b'\r\n')
        reader = sock.makefile('rb')
        mail_from, recipients = None, []
        session.user = None
        send(self._reply('CONNECT', '', session) or f'220 {self.name} ESMTP')
        while True:
            line = reader.readline(70000)
            if not line:
                return
            text = line.decode('utf-8', 'replace').rstrip('\r\n')
            (session.secret if session.tls else session.clear).append(text)
            verb, _, argument = text.partition(' ')
            verb = verb.upper()
            own = self._reply(verb, argument, session)
            if own == 'CLOSE':
                return
            if own and verb != 'DATA':
                send(own)
                continue
            if verb in ('EHLO', 'HELO'):
                words = [self.name, 'PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES',
                         f'SIZE {4_000_000_000 if self.bulk else 100_000_000}'] + self.keywords
                words += self.tls_keywords if session.tls else []
                if (self.contexts or self.garble or self.hang_up or self.handshake) and not session.tls:
                    words.append('STARTTLS')
                if self.login and session.tls:
                    words.append(f'AUTH {self.mechanisms}')
                if verb == 'HELO':
                    words = words[:1]
                sock.sendall(b''.join(f'250{"-" if word is not words[-1] else " "}{word}\r\n'.encode()
                                      for word in words))
            elif verb == 'STARTTLS':
                if self.hang_up:
                    return
                send('220 2.0.0 go ahead')
                if self.garble:
                    sock.sendall(b'this is not a TLS record\r\n' * 20)
                    return
                sock = self._secure(sock, session)
                if not sock:
                    return
                reader = sock.makefile('rb')
                send = lambda line, sock=sock: sock.sendall(line.encode() + b'\r\n')
            elif verb == 'AUTH':
                session.user = self._log_in(argument, reader, send) if session.tls else None
                send('235 2.7.0 welcome' if session.user else '535 5.7.8 wrong')
            elif verb == 'MAIL' and self.login and not session.user:
                send('530 5.7.0 log in first')
            elif verb == 'MAIL':
                mail_from, recipients = _path(argument), []
                send('250 2.1.0 sender ok')
            elif verb == 'RCPT':
                recipients.append(_path(argument))
                send('250 2.1.5 recipient ok')
            elif verb == 'DATA':
                if own:
                    send(own)
                    continue
                if not recipients:
                    send('554 5.5.1 no valid recipients')
                    continue
                send('354 go ahead')
                data = bytearray()
                if self.bulk:
                    head, size, digest = _read_bulk(reader)
                    if head is None:
                        return
                    got = Received(mail_from, recipients, head, session.tls,
                                   sock.cipher()[0] if session.tls else None, session)
                    got.body_bytes, got.body_sha256 = size, digest
                    self.on_message(got)
                    send('250 2.0.0 taken')
                    continue
                while True:
                    line = reader.readline(70000)
                    if not line:
                        return
                    if line == b'.\r\n':
                        break
                    data += line[1:] if line.startswith(b'.') else line
                own = self._reply('.', bytes(data), session)
                if own == 'CLOSE':
                    return
                if not own or own.startswith('2'):
                    self.on_message(Received(
                        mail_from, recipients, bytes(data), session.tls,
                        sock.cipher()[0] if session.tls else None, session))
                send(own or '250 2.0.0 taken')
                mail_from, recipients = None, []
            elif verb == 'RSET':
                mail_from, recipients = None, []
                send('250 2.0.0 ok')
            elif verb == 'NOOP':
                send('250 2.0.0 ok')
            elif verb == 'QUIT':
                send('221 2.0.0 bye')
                return
            else:
                send('502 5.5.1 unknown')

    def _shake(self, sock, session):
        if self.handshake:
            return self.handshake(sock, session)
        with self.lock:
            context = self.contexts[min(self.handshakes, len(self.contexts) - 1)]
            self.handshakes += 1
        return context.wrap_socket(sock, server_side=True)

    def _secure(self, sock, session):
        self.open.discard(sock)
        sock = self._shake(sock, session)
        if sock:
            self.open.add(sock)
            session.tls = sock.version()
        return sock

    def _log_in(self, argument, reader, send):
        """The user's name, or None."""
        def ask(what):
            send('334 ' + base64.b64encode(what).decode())
            return base64.b64decode(reader.readline(4000))
        kind, _, words = argument.partition(' ')
        if kind.upper() not in self.mechanisms.split():
            return None
        if kind.upper() == 'PLAIN':
            _, user, password = (base64.b64decode(words) if words else ask(b'')).split(b'\0')
        else:
            user, password = ask(b'Username:'), ask(b'Password:')
        return user.decode() if (user.decode(), password.decode()) == self.login else None

    def _reply(self, verb, argument, session):
        return self.rule(verb, argument, session) if self.rule else None


def _read_bulk(reader):
    """Header, bytes and SHA-256 of the body of a message that nothing else follows at once."""
    head, digest, size, tail = b'', hashlib.sha256(), 0, b''
    while b'\r\n\r\n' not in head:
        block = reader.read1(1 << 18)
        if not block:
            return None, 0, None
        head += block
    head, _, block = head.partition(b'\r\n\r\n')
    while not block.endswith(b'\r\n.\r\n'):
        tail = block[-5:]
        digest.update(block[:len(block) - len(tail)])
        size += len(block) - len(tail)
        block = reader.read1(1 << 18)
        if not block:
            return None, 0, None
        block = tail + block
    digest.update(block[:-3])
    return head + b'\r\n\r\n', size + len(block) - 3, digest.digest()


def _path(argument):
    start, end = argument.find('<'), argument.find('>')
    return argument[start + 1:end]
