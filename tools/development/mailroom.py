# SPDX-License-Identifier: Apache-2.0
"""The mailboxes of the outside world: one .eml file per message, and what people want to know of it."""
import email
import email.policy
import os
import re
import threading
import time


class Letter:
    """One message in one mailbox. how: 'TLSv1.3' …, or '' when it came in cleartext."""

    def __init__(self, number, mailbox, sender, how, data, path, portal_url):
        self.number, self.mailbox, self.sender, self.how = number, mailbox, sender, how
        self.data, self.path = data, path
        self.at = time.time()
        self.mail = email.message_from_bytes(data, policy=email.policy.default)
        self.links = sorted(set(re.findall(re.escape(portal_url) + r'/m/[A-Za-z0-9_-]{20,}', self.text)))

    def header(self, name):
        try:
            return str(self.mail[name] or '')
        except Exception:  # the mail is a stranger's; the parser may stumble over it
            return ''

    @property
    def subject(self):
        return self.header('Subject') or '(no subject)'

    @property
    def text(self):
        """The body as people read it; the raw text when it cannot be taken apart."""
        try:
            part = self.mail.get_body(('plain', 'html'))
            return part.get_content() if part else ''
        except Exception:
            return self.data.decode('utf-8', 'replace')

    @property
    def code(self):
        """The one-time code in it, or ''."""
        if 'one-time code' not in self.subject.lower():
            return ''
        found = re.search(r'^[ \t]+([0-9A-Za-z]{3,}(?:[ -][0-9A-Za-z]{3,})*)[ \t]*\r?$', self.text, re.M)
        return found.group(1) if found else ''

    @property
    def files(self):
        """Attachments: [(name, bytes)]."""
        found = []
        try:
            for part in self.mail.iter_attachments():
                found.append((part.get_filename() or 'attachment', part.get_payload(decode=True) or b''))
        except Exception:
            pass
        return found


class Mailroom:
    """Keeps letters in `folder`, one folder for each mailbox; tells `on_letter` of each new one."""

    def __init__(self, folder, portal_url):
        self.folder, self.portal_url = folder, portal_url
        self.letters = []
        self.on_letter = lambda letter: None
        self.changed = threading.Condition()

    def put(self, mailbox, sender, how, data):
        with self.changed:
            number = len(self.letters) + 1
            letter = Letter(number, mailbox, sender, how, data, self._write(mailbox, number, data),
                            self.portal_url)
            self.letters.append(letter)
            self.changed.notify_all()
            self.on_letter(letter)

    def wait(self, fits, seconds):
        """The first letter that fits, or None when none comes in time."""
        find = lambda: next((letter for letter in self.letters if fits(letter)), None)
        with self.changed:
            self.changed.wait_for(find, seconds)
            return find()

    def _write(self, mailbox, number, data):
        # The name comes from a stranger's RCPT TO: nothing in it may be a path.
        folder = os.path.join(self.folder, re.sub(r'[^A-Za-z0-9@._+=-]', '_', mailbox).lstrip('.')[:120])
        os.makedirs(folder, 0o700, exist_ok=True)
        path = os.path.join(folder, f'{number:04}.eml')
        with open(path, 'wb') as file:
            file.write(data)
        return path
