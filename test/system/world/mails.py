# SPDX-License-Identifier: Apache-2.0
"""Messages to send, and small clients to send them with."""
import email.message
import email.utils
import secrets
import smtplib
import ssl

from .machine import PATIENCE
from .postern import PASSWORD

BODY_CANARY = 'kestrel-biopsy-finding'
SUBJECT_CANARY = 'quartz-appointment-subject'
FILE_CANARY = 'lagoon-xray-scan'
NAME_CANARY = 'Perpetua Winterbottom'
FILE_BODY_CANARY = 'obsidian-attachment-content'
CANARIES = (BODY_CANARY, SUBJECT_CANARY, FILE_CANARY, NAME_CANARY, FILE_BODY_CANARY)


def make_mail(recipients, sender='alice@clinic.test', subject='Hello', body='Good day.\n', html=None,
              attachment=None, names=None, **headers):
    """A MIME message. attachment: (file name, bytes, type). names: display name for each address."""
    mail = email.message.EmailMessage()
    mail['From'] = sender
    names = names or {}
    mail['To'] = ', '.join(email.utils.formataddr((names.get(address, ''), address))
                           for address in recipients)
    mail['Subject'] = subject
    mail['Date'] = email.utils.formatdate()
    mail['Message-ID'] = f'<{secrets.token_hex(8)}@client.clinic.test>'
    for name, value in headers.items():
        mail[name.replace('_', '-')] = value
    mail.set_content(body)
    if html:
        mail.add_alternative(html, subtype='html')
    if attachment:
        name, data, kind = attachment
        main, _, sub = kind.partition('/')
        mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return mail


def canary_mail(recipients, **options):
    """A message whose every secret word is a canary."""
    return make_mail(
        recipients, subject=f'About {SUBJECT_CANARY}', body=f'Dear patient, the {BODY_CANARY} is here.\n',
        html=f'<p>Dear patient, the <b>{BODY_CANARY}</b> is here.</p>',
        attachment=(f'{FILE_CANARY}.bin', FILE_BODY_CANARY.encode() * 40 + bytes(range(256)) * 50,
                    'application/octet-stream'),
        names={address: NAME_CANARY for address in recipients}, **options)


def header_id(mail):
    return mail['Message-ID'].strip('<>')


def client(server, user='alice@clinic.test', password=PASSWORD):
    """A connection to the submission port, after STARTTLS and AUTH."""
    context = ssl.create_default_context(cafile=server.world.ca.roots)
    context.check_hostname = False
    smtp = smtplib.SMTP(server.address, server.ports['submission'], local_hostname='pc.clinic.test',
                        timeout=30 * PATIENCE)
    smtp.starttls(context=context)
    if user:
        smtp.login(user, password)
    return smtp


def submit(server, mail, recipients, sender='alice@clinic.test', options=(), rcpt_options=(),
           user='alice@clinic.test'):
    """Send over the submission port; returns the reply to the end of data as (code, text)."""
    with client(server, user) as smtp:
        smtp.ehlo_or_helo_if_needed()
        code, text = smtp.mail(sender, list(options))
        assert code == 250, (code, text)
        for address in recipients:
            code, text = smtp.rcpt(address, list(rcpt_options))
            assert code == 250, (address, code, text)
        data = mail if isinstance(mail, bytes) else mail.as_bytes(policy=mail.policy.clone(linesep='\r\n'))
        code, text = smtp.data(data)
        return code, text.decode('utf-8', 'replace')


def send(server, recipients, **options):
    """Make a message, submit it, expect 250; returns the message."""
    mail = make_mail(recipients, **options)
    code, text = submit(server, mail, recipients)
    assert code == 250, text
    return mail
