#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTPS server that behaves as its path says: good, or bad in one of many ways.

usage: https_server.py FOLDER NAME...

For each NAME there are FOLDER/NAME.cert and FOLDER/NAME.key; each gets a port of its own on 127.0.0.1. Without these
files NAME is served in the clear. Writes FOLDER/ports ("NAME PORT" lines) when all of them listen. Dies with its stdin.
"""
import os
import socket
import ssl
import sys
import threading
import time


def read_request(stream):
    """Head and body of one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = stream.recv(4096)
        if not part:
            return b"", b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += stream.recv(65536)
    return head, body


def reply(stream, status, body, *fields):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def trickle(stream):
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    for _ in range(100):
        stream.sendall(b"x")
        time.sleep(0.1)


def chunked(stream):
    """More than anybody wants, without saying so before."""
    stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10000):
        stream.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def serve_path(stream, path, head, body):
    if path == "/ok":
        reply(stream, "200 OK", b"version: STSv1\n", "Content-Type: text/plain; charset=us-ascii")
    elif path == "/head":
        reply(stream, "200 OK", head)
    elif path == "/post":
        reply(stream, "201 Created", head + b"\n--\n" + body)
    elif path == "/empty":
        reply(stream, "200 OK", b"")
    elif path == "/redirect":
        reply(stream, "302 Found", b"", "Location: https://good.test/ok")
    elif path == "/missing":
        reply(stream, "404 Not Found", b"x" * 100000)
    elif path == "/broken":
        reply(stream, "500 Oh", b"no")
    elif path == "/nocontent":
        reply(stream, "204 No Content", b"")
    elif path == "/large":
        reply(stream, "200 OK", b"x" * 70000)
    elif path == "/chunked":
        chunked(stream)
    elif path == "/headers":
        reply(stream, "200 OK", b"", *[f"X-{i}: {'y' * 1000}" for i in range(200)])
    elif path == "/trickle":
        trickle(stream)
    elif path == "/silent":
        time.sleep(10)
    elif path == "/cut":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    elif path == "/garbage":
        stream.sendall(b"220 mail.example ESMTP\r\n" * 10)
    elif path == "/cookie":
        reply(stream, "200 OK", head, "Set-Cookie: a=b; Path=/")
    elif path == "/gzip":
        reply(stream, "200 OK", b"\x1f\x8b\x08junk", "Content-Encoding: gzip")


def serve(listener, context):
    while True:
        stream, _ = listener.accept()
        threading.Thread(target=serve_one, args=(stream, context), daemon=True).start()


def serve_one(stream, context):
    try:
        stream.settimeout(20)
        if context is None:
            stream.recv(4096)
            reply(stream, "200 OK", b"in the clear")
            return
        stream = context.wrap_socket(stream, server_side=True)
        head, body = read_request(stream)
        if head:
            serve_path(stream, head.split()[1].decode(), head, body)
        stream.unwrap()
    except OSError:
        pass
    finally:
        stream.close()


def main():
    folder = sys.argv[1]
    ports = []
    for name in sys.argv[2:]:
        context = None
        if os.path.exists(f"{folder}/{name}.cert"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/{name}.cert", f"{folder}/{name}.key")
        listener = socket.create_server(("127.0.0.1", 0))
        ports.append(f"{name} {listener.getsockname()[1]}\n")
        threading.Thread(target=serve, args=(listener, context), daemon=True).start()
    with open(f"{folder}/ports.new", "w", encoding="ascii") as out:
        out.writelines(ports)
    os.rename(f"{folder}/ports.new", f"{folder}/ports")
    sys.stdin.read()


main()
