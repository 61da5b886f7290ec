# SPDX-License-Identifier: Apache-2.0
"""The mail servers of the outside world: take every message, note how it came, put it into the mailroom."""
import logging
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

MAIL_BYTES_MAX = 100 << 20


class _Door(Controller):
    """One host. tls: certificate and key; None when it knows no STARTTLS."""

    def __init__(self, host, port, tls, mailroom):
        self.host, self.mailroom, self.context = host, mailroom, None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.minimum_version = ssl.TLSVersion.TLSv1_2
            self.context.load_cert_chain(*tls)
        super().__init__(self, hostname=host.address, port=port, ready_timeout=10)

    def factory(self):
        return SMTP(self, hostname=self.host.name, tls_context=self.context, enable_SMTPUTF8=True,
                    data_size_limit=MAIL_BYTES_MAX)

    async def handle_DATA(self, _server, session, envelope):  # the name is aiosmtpd's
        how = session.ssl['ssl_object'].version() if session.ssl else ''
        for mailbox in envelope.rcpt_tos:
            self.mailroom.put(mailbox.lower(), envelope.mail_from or '', how, bytes(envelope.content))
        return '250 2.0.0 Taken'


class Catcher:
    """All hosts together. certificates: host name -> (certificate, key)."""

    def __init__(self, hosts, port, certificates, mailroom):
        logging.getLogger('mail.log').setLevel(logging.CRITICAL)
        self.doors = [_Door(host, port, certificates.get(host.name), mailroom) for host in hosts]

    def start(self):
        for door in self.doors:
            door.start()

    def stop(self):
        for door in self.doors:
            door.stop(no_assert=True)
