# SPDX-License-Identifier: Apache-2.0
"""The outside world as the whole-program tests see it: certificates, mail servers, a sniffer, a browser.

Everything listens on loopback addresses 127.0.x.y and lives in throw-away folders. Every process is
ended by its own id.
"""
import os
import random
import socket
import time

from .machine import PATIENCE

_given = set()
_dice = random.Random(os.urandom(8))


def _is_free(number):
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(('0.0.0.0', number))
        return number not in _given
    except OSError:
        return False


def free_port(count=1):
    """
    A port that nobody uses on any loopback address now, TCP or UDP, and that no outgoing connection will be given (a
    server may be stopped and started on it); or the first of so many in a row.
    """
    for _ in range(2000):
        first = _dice.randrange(10000, 32000)
        row = range(first, first + count)
        if all(map(_is_free, row)):
            _given.update(row)
            return first
    raise AssertionError('no port is free')


def wait_until(question, seconds=20, every=0.05, what='it'):
    """Ask until the answer is true; return the answer. Raises after `seconds`, stretched for slow machines."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not happen within {seconds:.0f} s')
        time.sleep(every)
