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
    with _connect(ports.submission) as smtp:
        smtp.starttls(context=ssl.create_default_context(cafile=authority))
        smtp.login(world.CLERK, password)
        return _send(smtp, world.CLERK, recipients, mail)


def send_inbound(ports):
    """A patient writes to the clerk, as any server on the Internet would bring it."""
    with _connect(ports.mx) as smtp:
        context = ssl.create_default_context()
        context.check_hostname = False  # opportunistic, as usual between strangers
        context.verify_mode = ssl.CERT_NONE
        smtp.starttls(context=context)
        mail = _mail('A patient', world.FRIEND, [world.CLERK], 'Ten instead of nine?', QUESTION)
        return _send(smtp, world.FRIEND, [world.CLERK], mail)


def _connect(port):
    # localhost is a name in the certificate; smtplib checks against the name that it was given.
    try:
        return smtplib.SMTP('localhost', port, local_hostname='desk.clinic.test', timeout=30)
    except (OSError, smtplib.SMTPException) as problem:
        raise Trouble(f'No SMTP conversation on port {port}: {problem}') from None


def _send(smtp, sender, recipients, mail):
    """Send; the server's id for the message, out of its last reply."""
    try:
        smtp.ehlo_or_helo_if_needed()
        _expect(smtp.mail(sender), 'MAIL FROM')
        for address in recipients:
            _expect(smtp.rcpt(address), f'RCPT TO {address}')
        words = _expect(smtp.data(mail.as_bytes(policy=mail.policy.clone(linesep='\r\n'))), 'DATA')
    except (OSError, smtplib.SMTPException) as problem:
        raise Trouble(f'The first message was not taken: {problem}') from None
    found = re.search(r'\b[0-9A-HJKMNP-TV-Z]{13}\b', words)
    return found.group(0) if found else mail['Message-ID'].strip('<>')


def _expect(reply, what):
    code, words = reply
    words = words.decode('utf-8', 'replace')
    if code != 250:
        raise Trouble(f'The server refused {what}: {code} {words}')
    return words
