# SPDX-License-Identifier: Apache-2.0
"""What the person at the terminal sees."""
import os
import shlex
import sys
import threading
import time

import world
from configuration import portal_url

_lock = threading.Lock()
_has_colours = sys.stdout.isatty() and 'NO_COLOR' not in os.environ


def _paint(number, text):
    return f'\033[{number}m{text}\033[0m' if _has_colours else text


def bold(text):
    return _paint(1, text)


def dim(text):
    return _paint(2, text)


def green(text):
    return _paint(32, text)


def amber(text):
    return _paint(33, text)


def say(text=''):
    with _lock:
        print(text, flush=True)


def complain(text):
    with _lock:
        print(_paint(31, 'make run: ') + text, file=sys.stderr, flush=True)


def printable(text):
    """Words of strangers: no control characters reach the terminal."""
    return ''.join(sign if sign.isprintable() else '?' for sign in text)


def arrival(letter):
    """One line for each message that the outside world got, then what can be done with it."""
    how = green(f'{letter.how.replace("TLSv", "TLS "):9}') if letter.how else amber('cleartext')
    lines = [f'{dim(time.strftime("%H:%M:%S", time.localtime(letter.at)))}  '
             f'{printable(letter.mailbox):20}  {how}  {bold(printable(letter.subject))}  {dim(letter.path)}']
    lines += [f'{"":10}open {link}' for link in letter.links]
    if letter.code:
        lines.append(f'{"":10}one-time code {bold(letter.code)}')
    say('\n'.join(lines))


def heading(text):
    say()
    say(bold(text))


def opening(results):
    """What the first messages showed: [(from, to, words, further lines)]."""
    heading('What has just happened')
    for sender, recipient, words, lines in results:
        say(f'  {sender} → {recipient}')
        say(f'      {words}')
        for line in lines:
            say(f'      {dim(line)}')


def instructions(places, ports, password, program, message, link):
    """Everything that one can do now. message: id of the first message; link: its portal page or ''."""
    heading('Look')
    if link:
        say(f'  The reader\'s page   {link}')
        say(f'                      “E-mail me a code” sends it to {world.STRANGER}; it shows up below.')
    say(f'  All mailboxes       http://localhost:{ports.browser}')
    say(f'  Your browser warns once: the certificate comes from a throw-away CA, {places.authority}')

    heading('Send your own')
    say(f'  Write to anybody @plain.test (no TLS), or anywhere else (proved TLS), or to {world.CLERK}:')
    say('  whatever the address, the mail ends in the mailboxes here and never leaves this machine.')
    say(f'  {dim("# swaks (apt-get install swaks)")}')
    say(f'  swaks --server localhost:{ports.submission} --tls --auth PLAIN --auth-user {world.CLERK} '
        f'--auth-password {password} \\\n'
        f'      --from {world.CLERK} --to you@plain.test --header "Subject: Hello" --body "A secret."')
    say(f'  {dim("# msmtp (apt-get install msmtp)")}')
    say(f'  printf "To: you@plain.test\\nSubject: Hello\\n\\nA secret.\\n" | '
        f'msmtp -C {places.msmtp} you@plain.test')
    say(f'  {dim("# from outside, to the clerk")}')
    say(f'  swaks --server localhost:{ports.mx} --tls --from you@good.test --to {world.CLERK} '
        '--header "Subject: A question"')
    say(f'  {dim("# Thunderbird and others: outgoing server")}')
    for name, value in (('Host', 'localhost'),
                        ('Port', f'{ports.submission} with STARTTLS, or {ports.submissions} with SSL/TLS'),
                        ('User', f'{world.CLERK}   (“normal password”)'), ('Password', password),
                        ('From', world.CLERK), ('Trust', f'import {places.authority} as an authority')):
        say(f'      {name:10}{value}')

    heading('Ask')
    command = lambda word, rest='': f'{shlex.quote(program)} {word} -c {places.settings} {rest}'.rstrip()
    explain = command('explain', f'--from {world.CLERK} --to you@plain.test')
    for line, words in ((command('trace', message), 'the story of the first message'),
                        (command('queue'), 'what waits'),
                        (explain, 'what would happen, and why'),
                        (command('retract', f'{message} {world.STRANGER}'), 'take it back'),
                        (command('status'), 'how the server is')):
        say(f'  {line}   {dim("# " + words)}')
    say(f'  {dim("Settings")} {places.settings}   {dim("log")} {places.log}')


def following():
    heading('Mail that arrives from now on (Ctrl-C stops everything and removes it)')
