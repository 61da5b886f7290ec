# SPDX-License-Identifier: Apache-2.0
"""
Hosts whose TLS is too weak, too odd or tampered with. Some of it no library makes any more, so it is made by hand: as
far as the first answer of the server, behind which nothing must follow.
"""
import socket
import ssl
import struct
import threading
import warnings

# Suites by their registered numbers.
WEAK = {
    '3des': [0x000a, 0x0016, 0xc008, 0xc012],
    'rc4': [0x0004, 0x0005, 0xc007, 0xc011],
    'export': [0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0011, 0x0014, 0x0062, 0x0064],
    'null': [0x0000, 0x0001, 0x0002, 0x003b, 0xc006, 0xc010],
    'anonymous': [0x0018, 0x001b, 0x0034, 0x003a, 0x006c, 0x00a6, 0xc018, 0xc019],
}


def weak_names(offered):
    """What of the offered suites is weak."""
    return sorted(name for name, suites in WEAK.items() if set(suites) & set(offered))


def old_context(pair, version):
    """A context that speaks only this version of TLS, with every cipher that OpenSSL still has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        context.minimum_version = context.maximum_version = version
    if version <= ssl.TLSVersion.TLSv1_2:
        context.set_ciphers('ALL:@SECLEVEL=0')
    context.load_cert_chain(*pair)
    return context


def read_hello(sock):
    """The first record of a connection: (its length with head, suites offered)."""
    record = _exactly(sock, 5)
    body = _exactly(sock, struct.unpack('>H', record[3:5])[0])
    at = 4 + 2 + 32                      # handshake head, version, random
    at += 1 + body[at]                   # session id
    count = struct.unpack('>H', body[at:at + 2])[0]
    return 5 + len(body), list(struct.unpack(f'>{count // 2}H', body[at + 2:at + 2 + count]))


def only(kind, forced=False):
    """
    A handshake for Sink: a server that has only these weak suites. Offered one, it takes it; otherwise it says
    handshake_failure, or with `forced` takes one that nobody offered, as in a downgrade attack.
    """
    def handshake(sock, session):
        _, session.offered = read_hello(sock)
        common = [suite for suite in WEAK[kind] if suite in session.offered]
        if common or forced:
            session.took = (common or WEAK[kind])[0]
            hello = struct.pack('>H', 0x0303) + b'\x5a' * 32 + b'\0' + struct.pack('>HB', session.took, 0)
            hello = b'\x02' + struct.pack('>I', len(hello))[1:] + hello
            sock.sendall(b'\x16\x03\x03' + struct.pack('>H', len(hello)) + hello)
        else:
            sock.sendall(b'\x15\x03\x03\x00\x02\x02\x28')
        session.after_hello = _drain(sock)
        return None
    return handshake


def hang_above(size, context):
    """A handshake for Sink: like some hosts and boxes on the way, deaf for a ClientHello larger than this."""
    def handshake(sock, session):
        head = b''
        while len(head) < 5:
            head = sock.recv(5, socket.MSG_PEEK)
            if not head:
                return None
        session.hello = 5 + struct.unpack('>H', head[3:5])[0]
        if session.hello > size:
            _drain(sock)
            return None
        return context.wrap_socket(sock, server_side=True)
    return handshake


class Wire:
    """
    Somebody on the wire before a host: takes connections at `address` and passes them on to `target`, a Sink.

    strip     the line STARTTLS is taken out of the answer to EHLO
    refuse    the command STARTTLS is answered with this line and not passed on
    """

    def __init__(self, address, port, target, strip=False, refuse=None):
        self.address, self.target, self.strip, self.refuse = address, target, strip, refuse
        self.said = []  # what clients said in clear
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection((self.target.address, self.target.port), 10)
            except OSError:
                sock.close()
                continue
            for stream in (sock, far):
                stream.settimeout(120)
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            state = {'tls': False}
            threading.Thread(target=self._outward, args=(sock, far, state), daemon=True).start()
            threading.Thread(target=self._inward, args=(sock, far, state), daemon=True).start()

    def _outward(self, sock, far, state):
        """From the client to the host: line by line until TLS begins."""
        try:
            while data := sock.recv(65536):
                if not state['tls']:
                    self.said += data.decode('latin-1').split('\r\n')
                    if data.upper().startswith(b'STARTTLS'):
                        if self.refuse:
                            sock.sendall(self.refuse.encode() + b'\r\n')
                            continue
                        state['tls'] = True
                far.sendall(data)
        except OSError:
            pass
        _close(sock, far)

    def _inward(self, sock, far, state):
        try:
            while data := far.recv(65536):
                if self.strip and not state['tls'] and b'STARTTLS' in data:
                    # Also where it was the last line, the one with the blank.
                    lines = [line for line in data.split(b'\r\n') if line and line[4:].upper() != b'STARTTLS']
                    lines[-1] = lines[-1][:3] + b' ' + lines[-1][4:]
                    data = b'\r\n'.join(lines) + b'\r\n'
                sock.sendall(data)
        except OSError:
            pass
        _close(sock, far)


def _close(*socks):
    for sock in socks:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def _exactly(sock, count):
    data = b''
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise OSError('the client hung up')
        data += more
    return data


def _drain(sock):
    """Whatever still comes, until the other side ends it."""
    data = b''
    try:
        while more := sock.recv(65536):
            data += more
    except OSError:
        pass
    return data
