# SPDX-License-Identifier: Apache-2.0
"""What strangers say to the SMTP ports, and what they hear: each conversation with its expected replies."""
import base64
import socket
import ssl
import struct
import time

import pytest

from world.machine import PATIENCE
from world.postern import PASSWORD

pytestmark = pytest.mark.asan

RELAY, STRANGER = '127.0.9.5', '127.0.5.7'
HEADER = (b'From: nurse@clinic.test\r\nTo: x@far.test\r\nDate: Sun, 22 Nov 2026 06:52:39 +0000\r\n'
          b'Message-ID: <%d@relay.clinic.test>\r\nSubject: hello\r\n')


class HungUp(Exception):
    """The server closed the connection."""


class Talk:
    """One connection, spoken byte by byte."""

    def __init__(self, server, port='mx', source=STRANGER, tls=False, greeting='220'):
        self.server = server
        self.sock = socket.create_connection((server.address, server.ports[port]), 20 * PATIENCE,
                                             source_address=(source, 0))
        self.sock.settimeout(20 * PATIENCE)
        self.rest = b''
        if tls:
            self.start_tls()
        if greeting:
            self.expect(greeting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def start_tls(self):
        context = ssl.create_default_context(cafile=self.server.world.ca.roots)
        self.sock = context.wrap_socket(self.sock, server_hostname='mail.clinic.test')

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def line(self):
        while b'\n' not in self.rest:
            try:
                got = self.sock.recv(65536)
            except ConnectionError:
                got = b''
            if not got:
                raise HungUp(self.rest)
            self.rest += got
        line, self.rest = self.rest.split(b'\n', 1)
        assert line.endswith(b'\r'), line
        assert b'\r' not in line[:-1] and b'\0' not in line
        return line[:-1].decode()

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == '-':
            lines.append(self.line())
            assert lines[-1][:3] == lines[0][:3]
        return '\n'.join(lines)

    def expect(self, start):
        reply = self.reply()
        assert reply.startswith(start), f'{reply!r} instead of {start}'
        return reply

    def say(self, line, start):
        self.send(line if isinstance(line, bytes) else line.encode() + b'\r\n')
        return self.expect(start)

    def expect_end(self):
        with pytest.raises(HungUp):
            self.reply()

    def hello(self):
        return self.say('EHLO host.far.test', '250-')

    def envelope(self, sender='nurse@clinic.test', recipient='x@clinic.test'):
        self.hello()
        self.say(f'MAIL FROM:<{sender}>', '250')
        self.say(f'RCPT TO:<{recipient}>', '250')

    def reset(self):
        """Break off with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()


@pytest.fixture(scope='module')
def server(module_world, module_house):
    return module_house(module_world, {
        'limits': {'header': '64K', 'message': '4M', 'disk_reserve': '1M', 'command_timeout': '30s'}})


@pytest.fixture(autouse=True)
def still_the_same_process(server):
    """No conversation may end the process that it was held with."""
    before = server.pids('smtpd')
    yield
    assert server.pids('smtpd') == before and len(before) == 1, 'smtpd died\n' + server.log_tail()


def plain(name, password, who=''):
    return base64.b64encode(f'{who}\0{name}\0{password}'.encode()).decode()


# ---- bad sequences ----

BEFORE_HELLO = [('MAIL FROM:<a@far.test>', '503'), ('RCPT TO:<a@clinic.test>', '503'), ('DATA', '503'),
                ('STARTTLS', '503'), ('AUTH PLAIN', '503'), ('BDAT 0', '503'), ('XYZZY', '500'),
                ('', '500'), ('EHLO', '501'), ('EHLO a"b', '501'), ('HELO <x>', '501'), ('NOOP', '250'),
                ('RSET', '250'), ('VRFY root', '252'), ('EXPN root', '502'), ('HELP', '214'),
                ('QUIT', '221')]
AFTER_HELLO = [('RCPT TO:<a@clinic.test>', '503'), ('DATA', '503'), ('BDAT 3', '503'), ('DATA now', '503'),
               ('MAIL', '501'), ('MAIL FROM', '501'), ('MAIL FROM:', '501'), ('MAIL FROM:a@far.test', '501'),
               ('MAIL FROM:<a@far.test', '501'), ('MAIL FROM:<a@far.test>x', '501'),
               ('MAIL FROM:<a@far..test>', '501'), ('MAIL FROM:<a@[300.1.1.1]>', '501'),
               ('MAIL FROM:<a@far.test> SIZE=99999999999999999999', '552'),
               ('MAIL FROM:<a@far.test> SIZE=x', '501'), ('MAIL FROM:<a@far.test> XODD=1', '555'),
               ('MAIL FROM:<a@far.test> BODY=BINARYMIME', '501'),
               ('MAIL FROM:<a@far.test> REQUIRETLS', '555'),
               ('MAIL FROM:<a@far.test> RET=FULL RET=FULL', '501'),
               ('MAIL FROM:<a@far.test> ENVID=x+0D+0ARCPT', '501'),
               ('MAIL FROM:<a@far.test> AUTH=x+0A', '501'), ('MAIL FROM:<j\u00f6@far.test>', '553'),
               ('MAIL FROM:<a@far.test> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q', '250'),
               ('RSET now', '501'), ('QUIT now', '501'), ('STARTTLS now', '501')]
AFTER_MAIL = [('MAIL FROM:<a@far.test>', '503'), ('STARTTLS', '503'), ('AUTH PLAIN', '503'), ('DATA', '503'),
              ('RCPT TO:<>', '501'), ('RCPT TO:<a@far.test>', '550 5.7.1'), ('RCPT TO:<x@clinic.test> FOO', '555'),
              ('RCPT TO:<x@clinic.test> NOTIFY=NEVER,DELAY', '501'),
              ('RCPT TO:<x@clinic.test> ORCPT=rfc822;a+0Ab', '501'),
              ('RCPT TO:<@clinic.test:a@far.test>', '550 5.7.1'),
              ('RCPT TO:<"a@far.test"@clinic.test>', '250'), ('RCPT TO:<${run{x}}`y`|z@clinic.test>', '250'),
              ('RCPT TO:<;sleep 5;@clinic.test>', '501'), ('RCPT TO:<postmaster>', '250'),
              ('RCPT TO:<bounce+x@clinic.test>', '550'), ('EHLO again', '250-')]


@pytest.mark.parametrize('line,reply', BEFORE_HELLO)
def test_before_hello(server, line, reply):
    with Talk(server) as talk:
        talk.say(line, reply)


@pytest.mark.parametrize('line,reply', AFTER_HELLO)
def test_after_hello(server, line, reply):
    with Talk(server) as talk:
        talk.hello()
        if line.startswith('BDAT'):
            line = (line + '\r\nabc').encode()
        talk.say(line, reply)


@pytest.mark.parametrize('line,reply', AFTER_MAIL)
def test_after_mail(server, line, reply):
    with Talk(server) as talk:
        talk.hello()
        talk.say('MAIL FROM:<a@far.test>', '250')
        talk.say(line, reply)


def test_commands_in_a_wrong_place_change_nothing(server):
    with Talk(server, source=RELAY) as talk:
        talk.envelope()
        for line, reply in (('MAIL FROM:<b@clinic.test>', '503'), ('STARTTLS', '503'), ('XYZZY', '500'),
                            ('NOOP', '250'), ('VRFY x', '252')):
            talk.say(line, reply)
        talk.say('DATA', '354')
        talk.say(HEADER % 1 + b'\r\n.\r\n', '250 2.0.0')


def test_errors_have_an_end(server):
    with Talk(server) as talk:
        for _ in range(20):
            talk.say('XYZZY', '500')
        talk.expect('421')
        talk.expect_end()


# ---- lines ----

@pytest.mark.parametrize('line,reply', [
    (b'NOOP\n', '500'), (b'NO\rOP\r\n', '500'), (b'NO\0OP\r\n', '500'), (b'NOOP\r\r\n', '500'),
    (b'NO\x1bOP\r\n', '500'), (b'EHLO ' + b'x' * 1000 + b'\r\n', '501'),
    (b'EHLO ' + b'x' * 12000 + b'\r\n', '500'), (b'EHLO ' + b'x' * 200000 + b'\r\n', '500'),
    (b'MAIL FROM:<"a\r\nRCPT TO:<x>"@far.test>\r\n', '503'),
    (b'MAIL FROM:<"a\nRCPT TO:<x>"@far.test>\r\n', '500')])
def test_odd_lines(server, line, reply):
    with Talk(server) as talk:
        talk.say(line, reply)


def test_a_hello_of_a_megabyte(server):
    with Talk(server) as talk:
        try:
            talk.send(b'EHLO ' + b'x' * (1 << 20) + b'\r\n')
        except ConnectionError:
            return
        talk.expect('421')
        talk.expect_end()


@pytest.mark.parametrize('hello', [
    b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nEHLO x\r\nQUIT\r\n',
    b'SSH-2.0-OpenSSH_9.2\r\n', bytes.fromhex('16030102000100') + bytes(249),
    bytes.fromhex('0300001300e00000') + bytes(11), b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO x\r\n'])
@pytest.mark.parametrize('port', ['mx', 'submission'])
def test_other_protocols(server, hello, port):
    with Talk(server, port) as talk:
        talk.say(hello, '421')
        talk.expect_end()


@pytest.mark.parametrize('hello', [b'EHLO x\r\nMAIL FROM:<a@far.test>\r\n', b'GET / HTTP/1.1\r\n\r\n'])
def test_plain_text_to_the_port_that_speaks_tls(server, hello):
    with Talk(server, 'submissions', greeting=None) as talk:
        talk.send(hello)
        got = b''
        try:
            while chunk := talk.sock.recv(1000):
                got += chunk
        except ConnectionError:
            pass
        assert b'220' not in got and b'250' not in got


# ---- STARTTLS ----

@pytest.mark.parametrize('tail', [b'EHLO evil\r\n', b'MAIL FROM:<alice@clinic.test>\r\n', b'\r\n', b'\n', b'X',
                                  b'AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD).encode() + b'\r\n'])
@pytest.mark.parametrize('port', ['mx', 'submission'])
def test_what_is_sent_behind_starttls_ends_the_session(server, tail, port):
    with Talk(server, port) as talk:
        talk.hello()
        talk.say(b'STARTTLS\r\n' + tail, '554')
        talk.expect_end()


def test_starttls_forgets_what_was_said_before(server):
    with Talk(server, 'submission') as talk:
        assert 'AUTH' not in talk.hello()
        talk.say('STARTTLS', '220')
        talk.start_tls()
        talk.say('MAIL FROM:<alice@clinic.test>', '503')
        features = talk.hello()
        assert 'AUTH PLAIN LOGIN' in features and 'REQUIRETLS' in features
        assert 'STARTTLS' not in features
        talk.say('STARTTLS', '503')
        talk.say('MAIL FROM:<alice@clinic.test>', '530')


def test_garbage_instead_of_a_handshake(server):
    with Talk(server, 'submission') as talk:
        talk.hello()
        talk.say('STARTTLS', '220')
        talk.send(b'EHLO x\r\nMAIL FROM:<alice@clinic.test>\r\n')
        got = b''
        try:
            while chunk := talk.sock.recv(1000):
                got += chunk
        except ConnectionError:
            pass
        assert b'250' not in got


def test_features(server):
    with Talk(server, 'submission') as talk:
        features = talk.hello().split('\n')
    for word in ('PIPELINING', 'SIZE 4194304', '8BITMIME', 'SMTPUTF8', 'CHUNKING', 'DSN', 'ENHANCEDSTATUSCODES',
                 'STARTTLS'):
        assert any(line[4:] == word for line in features), word
    assert not any('BINARYMIME' in line for line in features)


# ---- AUTH ----

@pytest.mark.parametrize('line', ['AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD), 'AUTH LOGIN',
                                  'MAIL FROM:<alice@clinic.test>'])
def test_nothing_before_tls(server, line):
    with Talk(server, 'submission') as talk:
        talk.hello()
        talk.say(line, '530 5.7.0')


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize('steps', [
    [('AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD), '235')],
    [('AUTH PLAIN', '334'), (plain('alice@clinic.test', PASSWORD), '235')],
    [('AUTH LOGIN', '334 VXNlcm5hbWU6'), (b64('alice@clinic.test'), '334 UGFzc3dvcmQ6'), (b64(PASSWORD), '235')],
    [('AUTH LOGIN ' + b64('alice@clinic.test'), '334'), (b64(PASSWORD), '235')],
    [('AUTH PLAIN', '334'), ('*', '501')],
    [('AUTH LOGIN', '334'), (b64('alice@clinic.test'), '334'), ('*', '501')],
    [('AUTH PLAIN ' + plain('alice@clinic.test', 'wrong'), '535')],
    [('AUTH PLAIN ' + plain('alice@clinic.test', ''), '535')],
    [('AUTH PLAIN ' + plain('', PASSWORD), '535')],
    [('AUTH PLAIN ' + plain('nobody@clinic.test', PASSWORD), '535')],
    [('AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD, 'bob@clinic.test'), '535')],
    [('AUTH LOGIN', '334'), (b64('alice@clinic.test'), '334'), (b64('wrong'), '535')],
    [('AUTH LOGIN', '334'), ('', '334'), (b64(PASSWORD), '535')],
    [('AUTH PLAIN =', '535')],
    [('AUTH PLAIN !!!!', '501')], [('AUTH PLAIN AAA', '501')], [('AUTH PLAIN', '334'), ('A' * 12000, '535')],
    [('AUTH PLAIN', '334'), ('A' * 65536, '500')],
    [('AUTH CRAM-MD5', '504')], [('AUTH', '504')], [('AUTH PLAIN x y', '501')]])
@pytest.mark.parametrize('port', ['submissions'])
def test_logins(server, steps, port):
    # Another network each time: one that fails too often is locked out.
    test_logins.network = getattr(test_logins, 'network', 0) + 1
    with Talk(server, port, source=f'127.0.6.{test_logins.network}', tls=True) as talk:
        talk.hello()
        for line, reply in steps:
            talk.say(line, reply)
        talk.say('MAIL FROM:<alice@clinic.test>', '250' if reply == '235' else '530')


def test_guessing_is_slow_and_ends(server):
    with Talk(server, 'submissions', source='127.0.7.1', tls=True) as talk:
        talk.hello()
        began = time.monotonic()
        for _ in range(2):
            talk.say('AUTH PLAIN ' + plain('bob@clinic.test', 'wrong'), '535')
        assert time.monotonic() - began >= 2.5


# ---- who may send as whom ----

@pytest.mark.parametrize('sender,author,reply', [
    ('alice@clinic.test', 'alice@clinic.test', '250'), ('nurse@clinic.test', 'alice@clinic.test', '250'),
    ('', 'alice@clinic.test', '250'), ('alice@clinic.test', 'bob@clinic.test', '550 5.7.1'),
    ('alice@clinic.test', '"alice@clinic.test" <boss@other.test>', '550 5.7.1'),
    ('alice@clinic.test', 'alice@clinic.test, boss@other.test', '550 5.6.0'),
    ('alice@clinic.test', None, '550 5.6.0')])
def test_authors(server, sender, author, reply):
    with Talk(server, 'submissions', tls=True) as talk:
        talk.hello()
        talk.say('AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD), '235')
        talk.say(f'MAIL FROM:<{sender}>', '250')
        talk.say('RCPT TO:<x@clinic.test>', '250')
        talk.say('DATA', '354')
        talk.say((f'From: {author}\r\n' if author else '').encode() + b'Subject: x\r\n\r\nbody\r\n.\r\n', reply)


@pytest.mark.parametrize('sender', ['bob@clinic.test', 'alice@other.test', 'alice@[127.0.0.1]'])
def test_senders(server, sender):
    with Talk(server, 'submissions', tls=True) as talk:
        talk.hello()
        talk.say('AUTH PLAIN ' + plain('alice@clinic.test', PASSWORD), '235')
        talk.say(f'MAIL FROM:<{sender}>', '550 5.7.1')


# ---- content ----

def data(talk, content, reply):
    talk.say('DATA', '354')
    return talk.say(content, reply)


ENDINGS = {'lf dot lf': b'\n.\n', 'lf dot crlf': b'\n.\r\n', 'cr dot cr': b'\r.\r', 'cr dot crlf': b'\r.\r\n',
           'crlf dot lf': b'\r\n.\n', 'crlf dot cr': b'\r\n.\r', 'crcrlf dot crcrlf': b'\r\r\n.\r\r\n',
           'crlf nul dot crlf': b'\r\n\0.\r\n', 'lf lf dot crlf': b'\n\n.\r\n'}


@pytest.mark.parametrize('ending', ENDINGS)
def test_smuggling(server, ending):
    inner = (b'MAIL FROM:<evil@far.test>\r\nRCPT TO:<x@clinic.test>\r\nDATA\r\n'
             b'From: evil@far.test\r\nSubject: SMUGGLED\r\n\r\nsmuggled\r\n.\r\n')
    with Talk(server) as talk:
        talk.envelope('a@far.test')
        content = b'From: a@far.test\r\nSubject: outer\r\n\r\nouter' + ENDINGS[ending] + inner
        data(talk, content, '550 5.6.0')
        talk.say('NOOP', '250 2.0.0 Fine')
        talk.say('QUIT', '221')
        talk.expect_end()
    assert not any(b'smuggled' in got.data for got in server.world.clinic.messages)


@pytest.mark.parametrize('chunk', [b'From: a@far.test\r\n\r\nx\n.\ny\r\n', b'From: a@far.test\r\n\r\nx\r.\r\ny\r\n',
                                   b'From: a@far.test\r\n\r\nx\r'])
def test_smuggling_in_chunks(server, chunk):
    with Talk(server) as talk:
        talk.envelope('a@far.test')
        talk.say(b'BDAT %d LAST\r\n' % len(chunk) + chunk, '550 5.6.0')
        talk.say('NOOP', '250')


@pytest.mark.parametrize('steps', [
    [(b'BDAT 0 LAST\r\n', '250')],
    [(b'BDAT 5\r\nX: y\r', '250 2.0.0'), (b'BDAT 6 LAST\r\n\n\r\nab\n', '550')],
    [(b'BDAT 4\r\nX: y', '250'), (b'BDAT 9 LAST\r\n\r\n\r\n.\r\nab', '250 2.0.0')],
    [(b'BDAT 4\r\nX: y', '250'), ('DATA', '503'), ('RCPT TO:<x@clinic.test>', '503'), ('RSET', '250'),
     (b'BDAT 1 LAST\r\nx', '503')],
    [(b'BDAT 99999999 LAST\r\n', '552')], [(b'BDAT -1\r\n', '501')], [(b'BDAT\r\n', '501')],
    [(b'BDAT 1 LAST LAST\r\nx', '501')]])
def test_chunks(server, steps):
    with Talk(server) as talk:
        talk.envelope('a@far.test')
        for line, reply in steps:
            talk.say(line, reply)


@pytest.mark.parametrize('header,reply', [
    (b'X-Filler: ' + b'x' * 60 + b'\r\n', None),
    ((b'X-Filler: ' + b'x' * 60 + b'\r\n') * 800, '250'),
    ((b'X-Filler: ' + b'x' * 60 + b'\r\n') * 1000, '552'),
    ((b'X-Filler: ' + b'x' * 60 + b'\r\n') * 20000, '552'),
    (b'X:\r\n' * 3000, '552'), (b'X: ' + b'x' * 15000 + b'\r\n', '250'),
    (b'X: ' + b'x' * 20000 + b'\r\n', '550 5.6.0'),
    (b'Received: from x by y; z\r\n' * 60, '554 5.4.6'), (b'Received: from x by y; z\r\n' * 40, '250'),
    (b'__proto__: x\r\nconstructor: y\r\n' + b'n' * 900 + b': z\r\n', '250')])
def test_huge_headers(server, header, reply):
    with Talk(server) as talk:
        talk.envelope('a@far.test')
        data(talk, b'From: a@far.test\r\n' + header + b'\r\nbody\r\n.\r\n', reply or '250')
        talk.say('NOOP', '250')


def test_too_large(server):
    with Talk(server) as talk:
        talk.envelope('a@far.test')
        data(talk, b'From: a@far.test\r\n\r\n' + (b'x' * 70 + b'\r\n') * 70000 + b'.\r\n', '552')
        talk.say('NOOP', '250')


def test_ten_thousand_recipients(server):
    with Talk(server, source=RELAY) as talk:
        talk.hello()
        talk.say('MAIL FROM:<nurse@clinic.test>', '250')
        talk.send(b''.join(b'RCPT TO:<r%d@far.test>\r\n' % number for number in range(10000)))
        for number in range(10000):
            talk.expect('250 2.1.5' if number < 1000 else '452 4.5.3')
        talk.say('RSET', '250')
        talk.say('QUIT', '221')


def test_a_whole_conversation_in_one_write(server):
    with Talk(server, source=RELAY) as talk:
        talk.send(b'EHLO relay\r\nMAIL FROM:<nurse@clinic.test>\r\nRCPT TO:<x@clinic.test>\r\nDATA\r\n' +
                  HEADER % 2 + b'\r\n.\r\nNOOP\r\nQUIT\r\n')
        for reply in ('250-', '250', '250', '354', '250 2.0.0', '250', '221'):
            talk.expect(reply)
        talk.expect_end()


def test_a_conversation_byte_by_byte(server):
    with Talk(server, source=RELAY) as talk:
        talk.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (b'EHLO relay\r\nMAIL FROM:<nurse@clinic.test>\r\nRCPT TO:<x@clinic.test>\r\nDATA\r\n' +
                     HEADER % 3 + b'\r\n..\r\n.\r\nQUIT\r\n'):
            talk.send(bytes([byte]))
        for reply in ('250-', '250', '250', '354', '250 2.0.0', '221'):
            talk.expect(reply)


@pytest.mark.parametrize('how', ['close', 'reset', 'half'])
@pytest.mark.parametrize('tls', [False, True])
def test_peers_that_vanish(server, how, tls):
    whole = (b'EHLO relay\r\nMAIL FROM:<nurse@clinic.test>\r\nRCPT TO:<x@clinic.test>\r\nBDAT 20\r\n' +
             b'From: nurse@clinic.t' + b'BDAT 200 LAST\r\nest\r\n\r\nbody')
    for cut in range(0, len(whole), 5):
        talk = Talk(server, source=RELAY)
        if tls:
            talk.hello()
            talk.say('STARTTLS', '220')
            talk.start_tls()
        talk.send(whole[:cut])
        if how == 'close':
            if tls:
                talk.sock.settimeout(1)
                try:
                    talk.sock.unwrap()
                except OSError:
                    pass
            talk.sock.close()
        elif how == 'reset':
            talk.reset()
        else:
            try:
                talk.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            talk.sock.close()
    with Talk(server, source=RELAY) as talk:
        talk.hello()


def test_nothing_of_what_strangers_said_is_in_the_log(server):
    for line in server.lines:
        for word in ('@', 'evil', 'SMUGGLED', 'correct horse', plain('alice@clinic.test', PASSWORD)):
            assert word not in line, line
