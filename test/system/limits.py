# SPDX-License-Identifier: Apache-2.0
"""
A limit of time for each test, so that one that hangs fails alone and tells where it hung.

After the limit the test fails with the stacks of all threads; the servers that it had started end as always and
show their logs. Marked with limit(seconds) it gets another one (seconds: a number, or a function of the config). Set-up and tear-down have the same limit each.
"""
import faulthandler
import signal
import sys
import threading
import traceback

import pytest

from world.machine import PATIENCE

USUAL = 60 * PATIENCE
AGAIN = 10       # should somebody catch the first one
LAST_WORD = 120  # later than that even the interpreter hangs: end it all, with stacks


def stacks():
    """What every thread is doing."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return '\n'.join(f'thread {names.get(number, number)}:\n' + ''.join(traceback.format_stack(frame)[-12:])
                     for number, frame in sys._current_frames().items())


class Limits:
    """The plugin."""

    def __init__(self):
        self.terminal = open(2, 'w', closefd=False)  # not what pytest catches

    def _watch(self, item, phase):
        marker = item.get_closest_marker('limit')
        seconds = USUAL
        if marker:
            wanted = marker.args[0]
            seconds = PATIENCE * (wanted(item.config) if callable(wanted) else wanted)

        def over(*_):
            pytest.fail(f'{item.nodeid}: {phase} took more than {seconds:.0f} s\n{stacks()}', pytrace=False)
        signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        faulthandler.dump_traceback_later(seconds + LAST_WORD, exit=True, file=self.terminal)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item):
        yield from self._watch(item, 'its set-up')

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        yield from self._watch(item, 'it')

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_teardown(self, item):
        yield from self._watch(item, 'its tear-down')
