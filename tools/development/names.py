# SPDX-License-Identifier: Apache-2.0
"""The rest of the Internet's DNS: every domain's mail goes to one host, and nothing else exists.

So whatever address somebody writes to, the mail ends in the catcher and never leaves this machine.
"""
import socketserver
import struct
import threading

from world import ELSEWHERE

HEADER = struct.Struct('>HHHHHH')
MX, IN, TTL_S = 15, 1, 60
IS_ANSWER, AUTHORITATIVE, RECURSION = 0x8000, 0x0400, 0x0180  # RECURSION: desired and available
FORMAT_ERROR = 1


def _question(packet):
    """(end, type, class) of the one question; ValueError when there is none [RFC 1035 §4.1.2]."""
    at = HEADER.size
    while 0 < packet[at] < 64:
        at += packet[at] + 1
    if packet[at] != 0:
        raise ValueError('a compressed name')
    kind, family = struct.unpack_from('>HH', packet, at + 1)
    return at + 5, kind, family


def _name(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.')) + b'\0'


def answer(packet):
    """The answer to one query; None when it deserves none."""
    if len(packet) < HEADER.size or packet[2] & 0x80:
        return None
    ask, questions = struct.unpack_from('>H2xH', packet)
    try:
        if questions != 1:
            raise ValueError('not one question')
        end, kind, family = _question(packet)
    except (IndexError, ValueError, struct.error):
        return HEADER.pack(ask, IS_ANSWER | FORMAT_ERROR, 0, 0, 0, 0)
    records = b''
    if (kind, family) == (MX, IN):
        data = struct.pack('>H', 10) + _name(ELSEWHERE.name)
        records = struct.pack('>HHHIH', 0xC000 | HEADER.size, MX, IN, TTL_S, len(data)) + data
    return (HEADER.pack(ask, IS_ANSWER | AUTHORITATIVE | RECURSION, 1, 1 if records else 0, 0, 0)
            + packet[HEADER.size:end] + records)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        packet, sock = self.request
        words = answer(packet)
        if words:
            sock.sendto(words, self.client_address)


class Names:
    """Answers on address:port (UDP) from a thread of its own."""

    def __init__(self, address, port):
        self.server = socketserver.UDPServer((address, port), _Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        if self.thread.is_alive():
            self.server.shutdown()
        self.server.server_close()
