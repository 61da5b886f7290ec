# SPDX-License-Identifier: Apache-2.0
"""Everything that crosses the loopback device, put together again into byte streams.

Reads packets itself (AF_PACKET) and writes them to a pcap file as well, for tshark and for people.
"""
import base64
import quopri
import re
import socket
import struct
import threading
import time

ALL = 3  # ETH_P_ALL
SOL_PACKET, PACKET_STATISTICS, PACKET_OUTGOING = 263, 6, 4


class Sniffer:
    def __init__(self, path):
        self.path = path
        self.flows = {}   # (source, port, destination, port) -> {sequence: bytes}
        self.datagrams = []
        self.packets = 0
        self.lost = 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
        except OSError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self.socket.bind(('lo', 0))
        self.socket.settimeout(0.2)
        self.going = True
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def stop(self):
        if self.going:
            time.sleep(0.3)
            self.going = False
            self.thread.join()
            _, self.lost = struct.unpack('II', self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self):
        with open(self.path, 'wb') as file:
            file.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
            while self.going:
                try:
                    packet, where = self.socket.recvfrom(262144)
                except TimeoutError:
                    continue
                if where[2] == PACKET_OUTGOING:  # lo shows each packet twice
                    continue
                now = time.time()
                file.write(struct.pack('<IIII', int(now), int(now % 1 * 1e6), len(packet), len(packet)))
                file.write(packet)
                self.packets += 1
                self._take(packet[14:])

    def _take(self, packet):
        if not packet:
            return
        if packet[0] >> 4 == 4:
            length = (packet[0] & 15) * 4
            protocol, ends = packet[9], (packet[12:16], packet[16:20])
            payload = packet[length:struct.unpack('>H', packet[2:4])[0] or len(packet)]
        elif packet[0] >> 4 == 6:
            protocol, ends = packet[6], (packet[8:24], packet[24:40])
            payload = packet[40:]
        else:
            return
        if protocol == 6 and len(payload) >= 20:
            source, target, sequence = struct.unpack('>HHI', payload[:8])
            data = payload[(payload[12] >> 4) * 4:]
            if data:
                flow = self.flows.setdefault((ends[0], source, ends[1], target), {})
                if len(data) > len(flow.get(sequence, b'')):
                    flow[sequence] = data
        elif protocol == 17:
            self.datagrams.append(payload[8:])

    def streams(self):
        """[(name, bytes)]: each direction of each connection, then each datagram."""
        for (source, port, target, to), parts in self.flows.items():
            first = min(parts)
            if max(parts) - first > 1 << 31:  # sequence numbers went round
                first = min(number for number in parts if number > 1 << 31)
            stream, at = bytearray(), 0
            for offset, data in sorted(((number - first) & 0xffffffff, data)
                                       for number, data in parts.items()):
                if offset + len(data) > at:
                    stream += data[max(0, at - offset):]
                    at = offset + len(data)
            yield f'{_ip(source)}:{port} > {_ip(target)}:{to}', bytes(stream)
        for number, data in enumerate(self.datagrams):
            yield f'datagram {number}', data

    def find(self, *words):
        """[(word, form, stream)] for each word found in clear, base64, quoted-printable, hex or percent form."""
        streams = list(self.streams())
        return [(word, form, name) for word in words for form, pattern in disguises(word)
                for name, stream in streams if pattern.search(stream)]


def disguises(word):
    """Forms in which a word may lie in bytes: [(name, compiled pattern)]."""
    raw = word.encode() if isinstance(word, str) else word
    spaced = re.escape(raw).replace(rb'\ ', rb'[ _]')
    found = [('clear', re.compile(spaced, re.I))]
    for shift in range(3):
        text = base64.b64encode(b'\0' * shift + raw)
        text = text[(0, 2, 3)[shift]:len(text) - 4 if len(text) > 12 else len(text)].rstrip(b'=')
        # Lines may be broken anywhere.
        found.append((f'base64+{shift}', re.compile(rb'(?:\r?\n)?'.join(
            re.escape(bytes([byte])) for byte in text))))
    quoted = quopri.encodestring(raw, quotetabs=True).strip()
    if quoted != raw:
        found.append(('quoted-printable', re.compile(re.escape(quoted), re.I)))
    found.append(('hex', re.compile(raw.hex().encode(), re.I)))
    found.append(('utf-16', re.compile(re.escape(raw.decode('utf-8', 'replace').encode('utf-16-le')))))
    return found


def _ip(address):
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
