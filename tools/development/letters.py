# SPDX-License-Identifier: Apache-2.0
"""The first messages: one from the clerk to two patients, one from outside to the clerk."""
import email.message
import email.utils
import re
import smtplib
import ssl

import world
from world import Trouble

SECRET = 'cholesterol'  # stands in the clerk's letter; must never be seen in the clear

LETTER = f"""\
Good morning,

your {SECRET} is where it should be: 4.8 mmol/l. The full report is attached.
We shall see you in June.

Riverside Clinic
"""

REPORT = f'date;test;value;unit\n2026-03-02;{SECRET};4.8;mmol/l\n'

QUESTION = """\
Hello,

can I come at ten instead of nine?

A patient
"""


def _mail(name, sender, recipients, subject, text):
    mail = email.message.EmailMessage()
    mail['From'] = email.utils.formataddr((name, sender))
    mail['To'], mail['Subject'] = ', '.join(recipients), subject
    mail['Date'] = email.utils.formatdate(localtime=True)
    mail['Message-ID'] = email.utils.make_msgid(domain=sender.partition('@')[2])
    mail.set_content(text)
    return mail


def submit(ports, authority, password):
    """The clerk writes to both patients with a small attachment; returns the id that the server gave."""
    recipients = [world.FRIEND, world.STRANGER]
    mail = _mail('Clara Clerk', world.CLERK, recipients, 'Your laboratory results', LETTER)
    mail.add_attachment(REPORT, subtype='csv', filename='report.csv')

    def introduce(smtp):
        smtp.starttls(context=ssl.create_default_context(cafile=authority))
        smtp.login(world.CLERK, password)
    return _send(ports.submission, introduce, world.CLERK, recipients, mail)


def send_inbound(ports):
    """A patient writes to the clerk, as any server on the Internet would bring it."""
    context = ssl.create_default_context()
    context.check_hostname = False  # opportunistic, as usual between strangers
    context.verify_mode = ssl.CERT_NONE
    mail = _mail('A patient', world.FRIEND, [world.CLERK], 'Ten instead of nine?', QUESTION)
    return _send(ports.mx, lambda smtp: smtp.starttls(context=context), world.FRIEND, [world.CLERK], mail)


def _send(port, introduce, sender, recipients, mail):
    """Connect, introduce ourselves, send; the server's id for the message, out of its last reply."""
    try:
        # localhost is a name in the certificate, and smtplib compares.
        with smtplib.SMTP('localhost', port, local_hostname='desk.clinic.test', timeout=30) as smtp:
            introduce(smtp)
            smtp.ehlo_or_helo_if_needed()
            _expect(smtp.mail(sender), 'MAIL FROM')
            for address in recipients:
                _expect(smtp.rcpt(address), f'RCPT TO {address}')
            words = _expect(smtp.data(mail.as_bytes(policy=mail.policy.clone(linesep='\r\n'))), 'DATA')
    except (OSError, smtplib.SMTPException) as problem:
        raise Trouble(f'The message from {sender} was not taken on port {port}: {problem}') from None
    found = re.search(r'\b[0-9A-HJKMNP-TV-Z]{13}\b', words)
    return found.group(0) if found else mail['Message-ID'].strip('<>')


def _expect(reply, what):
    code, words = reply
    words = words.decode('utf-8', 'replace')
    if code != 250:
        raise Trouble(f'The server refused {what}: {code} {words}')
    return words
