#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Verify every signature of FOLDER/*.eml with dkimpy.

Public keys are FOLDER/SELECTOR.key, base64, for clinic.test. Exit code 77: dkimpy is not
there. The folder is removed when all is well.
"""
import glob
import os
import shutil
import sys

try:
    import dkim
except ImportError:
    dkim = None

TYPES = {'rsa': 'rsa', 'ed': 'ed25519'}


def key_record(folder, selector):
    with open(f'{folder}/{selector}.key', encoding='ascii') as file:
        return f'v=DKIM1; k={TYPES[selector]}; p={file.read().strip()}'


def check_dkimpy(folder, message):
    def look_up(name, timeout=5):
        selector = name.decode().split('.')[0]
        return key_record(folder, selector).encode()

    count = message.count(b'DKIM-Signature:')
    assert count == 2, f'{count} signatures'
    for index in range(count):
        verifier = dkim.DKIM(message)
        assert verifier.verify(idx=index, dnsfunc=look_up), f'dkimpy refuses signature {index}'
    def passes(message):
        try:
            return dkim.DKIM(message).verify(idx=0, dnsfunc=look_up)
        except dkim.ValidationError:
            return False

    # Another From, another body: must not pass.
    for old, new in ((b'ann@', b'eve@'), (b'\r\n\r\n', b'\r\n\r\nmore\r\n')):
        at = message.index(b'From: Ann') if old == b'ann@' else 0
        forged = message[:at] + message[at:].replace(old, new, 1)
        assert not passes(forged), 'dkimpy takes a forgery'
    added = message.replace(b'Subject:', b'Subject: other\r\nSubject:', 1)
    assert not passes(added), 'a second Subject passes'


def main():
    folder = sys.argv[1]
    if dkim is None:
        return 77
    for path in sorted(glob.glob(f'{folder}/*.eml')):
        with open(path, 'rb') as file:
            check_dkimpy(folder, file.read())
    shutil.rmtree(folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
