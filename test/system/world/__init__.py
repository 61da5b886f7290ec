# SPDX-License-Identifier: Apache-2.0
"""The outside world as the whole-program tests see it: certificates, mail servers, a sniffer, a browser.

Everything listens on loopback addresses 127.0.x.y and lives in throw-away folders. Every process is
ended by its own id.
"""
import socket
import time


def free_port():
    """A TCP port that nobody uses on any loopback address now."""
    with socket.socket() as probe:
        probe.bind(('0.0.0.0', 0))
        return probe.getsockname()[1]


def wait_until(question, seconds=20, every=0.05, what='it'):
    """Ask until the answer is true; return the answer. Raises after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f'{what} did not happen within {seconds} s')
        time.sleep(every)
