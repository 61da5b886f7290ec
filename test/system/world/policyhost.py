# SPDX-License-Identifier: Apache-2.0
"""
The HTTPS servers of the recipients' MTA-STS policies [RFC 8461 §3.3]: one Python server on one loopback address, that
shows each visitor the certificate of the name it asks for, and answers well or badly for each domain.
"""
import http.server
import socket
import ssl
import threading
import time

PATH = '/.well-known/mta-sts.txt'


def policy(mode, *hosts, max_age=86400):
    return f'version: STSv1\r\nmode: {mode}\r\n' + ''.join(f'mx: {host}\r\n' for host in hosts) + f'max_age: {max_age}\r\n'


class PolicyHost:
    """
    answers   domain -> text of the policy; or function(handler) that answers in its own way; or nothing: 404
    asked     domains in the order in which their policy was asked for
    greeted   names in the ClientHellos, also of handshakes that failed afterwards
    """

    def __init__(self, ca, address, port=443):
        self.ca, self.address, self.port = ca, address, port
        self.answers, self.asked, self.greeted = {}, [], []
        self.contexts = {}  # name -> context with a certificate of its own
        self.names = []     # names in the certificate that all others share
        self.server = None

    def serve(self, domain, answer, certificate=None):
        """Answer for mta-sts.DOMAIN. certificate: another than the good one."""
        name = 'mta-sts.' + domain
        self.answers[domain] = answer
        if certificate:
            self.contexts[name] = self._context(certificate)
        elif name not in self.names:
            self.names.append(name)

    def start(self):
        context = self._context(self.ca.issue(*self.names or ['mta-sts.nobody.test']))
        context.sni_callback = self._choose
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            timeout = 60

            def do_GET(self):
                domain = (self.headers.get('Host') or '').split(':')[0].lower().removeprefix('mta-sts.')
                host.asked.append(domain)
                answer = host.answers.get(domain) if self.path == PATH else None
                if callable(answer):
                    answer(self)
                else:
                    say(self, 200 if answer else 404, answer or 'not here')

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 200

            def finish_request(self, request, client_address):
                # The handshake belongs to the connection's own thread: nobody is kept waiting by another.
                request.settimeout(60)
                with context.wrap_socket(request, server_side=True) as stream:
                    self.RequestHandlerClass(stream, client_address, self)

            def handle_error(self, *_):
                pass

        self.server = Server((self.address, self.port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.1}, daemon=True).start()
        return self

    def stop(self):
        """From now on connections are refused."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def _context(self, pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        return context

    def _choose(self, stream, name, _):
        self.greeted.append(name)
        if name in self.contexts:
            stream.context = self.contexts[name]


def say(handler, code, text, kind='text/plain', **headers):
    data = text.encode() if isinstance(text, str) else text
    handler.send_response(code)
    handler.send_header('Content-Type', kind)
    handler.send_header('Content-Length', str(len(data)))
    for key, value in headers.items():
        handler.send_header(key.replace('_', '-'), value)
    handler.end_headers()
    handler.wfile.write(data)


# ---- bad manners ----

def redirect(to):
    """301 to a place where a fine policy lies: it must not be followed [RFC 8461 §3.3]."""
    return lambda handler: say(handler, 301, 'over there', Location=to)


def too_large(text, size=1 << 20):
    """A policy that goes on for ever with lines that mean nothing."""
    return lambda handler: say(handler, 200, text + 'note: ' + 'x' * size + '\r\n')


def endless(text):
    """No length is said, and it never ends."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header('Content-Type', 'text/plain')
        handler.send_header('Connection', 'close')
        handler.end_headers()
        try:
            handler.wfile.write(text.encode())
            for _ in range(4000):
                handler.wfile.write(b'note: ' + b'x' * 16000 + b'\r\n')
        except OSError:
            pass
        handler.close_connection = True
    return answer


def slow(text, pause=1.0):
    """A byte a second: each read succeeds, the whole never ends in time."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header('Content-Type', 'text/plain')
        handler.send_header('Content-Length', str(len(text)))
        handler.end_headers()
        try:
            for byte in text.encode():
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(pause)
        except OSError:
            handler.close_connection = True
    return answer


def hang_up(handler):
    handler.close_connection = True
    try:
        handler.connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
