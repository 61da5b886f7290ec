# SPDX-License-Identifier: Apache-2.0
"""What the server itself says of a message: its story, out of `postern trace --json`."""
import json
import time

from world import Trouble

SETTLED = ('delivered', 'notified', 'failed', 'dropped')
SETTLE_SECONDS = 5


def recipient(server, message, address):
    """The part of the story that is about this recipient, as a dictionary; {} when there is none."""
    for told in json.loads(server.ask('trace', '--json', message)):
        for person in told.get('recipients', ()):
            if person.get('address') == address:
                return person
    return {}


def settled(server, message, address):
    """The same once the delivery is written down: the letter may arrive a moment earlier."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        person = recipient(server, message, address)
        if person.get('state') in SETTLED or time.monotonic() > end:
            return person
        time.sleep(0.1)


def evidence(server, message, address):
    """Lines that tell how this recipient's mail travelled; [] when there are none."""
    try:
        person = settled(server, message, address)
    except (Trouble, ValueError) as problem:
        return [f'no story: {problem}']
    return [line for event in person.get('events', ()) for line in _connection(event)]


def _connection(event):
    """An event of a connection, in two lines at most."""
    place = f'{event.get("mx", "?")} [{event.get("address", "?")}]'
    if event.get('tls'):
        return [f'{place} · {event["tls"]} · {event.get("cipher", "?")} · certificate and name '
                f'{event.get("level", "?")}', f'certificate {event.get("certificate", "?")}']
    if event.get('unverified_why'):
        return [f'{place} · {event["unverified_why"]}']
    return []
