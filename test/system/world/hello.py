# SPDX-License-Identifier: Apache-2.0
"""Clients that no library of today can play: a ClientHello made by hand, and what comes back."""
import os
import socket
import struct


def starttls(sock):
    """Up to the point where TLS begins."""
    stream = sock.makefile('rb')

    def reply():
        while True:
            line = stream.readline()
            if line[3:4] != b'-':
                return line

    assert reply().startswith(b'220')
    sock.sendall(b'EHLO scan.test\r\n')
    assert reply().startswith(b'250')
    sock.sendall(b'STARTTLS\r\n')
    assert reply().startswith(b'220')


def client_hello(version, ciphers, compression):
    """[RFC 5246 §7.4.1.2] with the extensions that every client of the last ten years sends."""
    def extension(kind, data):
        return struct.pack('>HH', kind, len(data)) + data

    extensions = extension(10, struct.pack('>H4H', 8, 29, 23, 24, 25))  # groups
    extensions += extension(11, b'\x01\x00')                            # uncompressed points
    extensions += extension(13, struct.pack('>H7H', 14, 0x0804, 0x0401, 0x0403, 0x0501, 0x0601, 0x0201, 0x0203))
    extensions += extension(0xff01, b'\x00')                            # secure renegotiation
    body = struct.pack('>H', version) + os.urandom(32) + b'\x00'
    body += struct.pack('>H', len(ciphers)) + ciphers + bytes([len(compression)]) + compression
    if version > 0x0300:
        body += struct.pack('>H', len(extensions)) + extensions
    message = b'\x01' + struct.pack('>I', len(body))[1:] + body
    return b'\x16' + struct.pack('>HH', min(version, 0x0301), len(message)) + message


def ssl2_hello(ciphers):
    """The hello of SSL 2.0, which a few scanners still send first."""
    message = struct.pack('>BHHHH', 1, 2, len(ciphers), 0, 16) + ciphers + os.urandom(16)
    return struct.pack('>H', 0x8000 | len(message)) + message


def say_hello(address, is_smtp, version, ciphers, compression):
    """'refused', or 'TLSv1.2 c030': version and cipher that the server chose."""
    hello = ssl2_hello(ciphers) if version == 2 else client_hello(version, ciphers, compression)
    with socket.create_connection(address, 20) as sock:
        sock.settimeout(20)
        if is_smtp:
            starttls(sock)
        sock.sendall(hello)
        sock.shutdown(socket.SHUT_WR)  # nothing more will come: a server that waits for it can go
        got = b''
        try:
            while part := sock.recv(4096):
                got += part
        except ConnectionResetError:
            pass
    if got[:1] != b'\x16' or got[5:6] != b'\x02':
        assert got[:1] in (b'', b'\x15'), f'neither TLS nor silence: {got[:20]!r}'
        return 'refused'
    name = {0x0300: 'SSLv3', 0x0301: 'TLSv1.0', 0x0302: 'TLSv1.1', 0x0303: 'TLSv1.2'}[struct.unpack('>H', got[9:11])[0]]
    at = 44 + got[43]
    assert got[at + 2] == 0 or 'compression' in name, 'compression was chosen'
    return f'{name} {got[at:at + 2].hex()}'
