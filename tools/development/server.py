# SPDX-License-Identifier: Apache-2.0
"""The Postern program: run a command of it, start the server, wait until it greets, stop it."""
import os
import signal
import socket
import subprocess
import time

from world import SERVER_ADDRESS, Trouble

START_SECONDS = 30
STOP_SECONDS = 20


class Server:
    def __init__(self, program, places, ports):
        self.program, self.places, self.ports = program, places, ports
        self.process = None

    def command(self, *arguments, text=None):
        """Run `postern ARGUMENTS`; what it printed. Raises Trouble when it fails."""
        try:
            got = subprocess.run([self.program, *arguments], capture_output=True, text=True, input=text,
                                 timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise Trouble(f'{self.program} {arguments[0]} does not work: {problem}') from None
        if got.returncode != 0:
            raise Trouble(f'postern {" ".join(arguments)} ended with {got.returncode}:\n'
                          + (got.stderr or got.stdout).strip())
        return got.stdout

    def ask(self, command, *arguments):
        """Run a command that speaks to this server."""
        return self.command(command, '-c', self.places.settings, *arguments)

    def start(self):
        """
        Returns once submission, relay and portal answer. The server has its own session, so a Ctrl-C is
        for us alone; it gets SIGTERM from the kernel should we die without stopping it.
        """
        with open(self.places.log, 'wb') as log:
            self.process = subprocess.Popen(
                ['setpriv', '--pdeathsig', 'TERM', self.program, 'serve', '-c', self.places.settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None:
                raise Trouble(f'The server ended with {self.process.returncode} before it was ready.\n'
                              + self.log_tail())
            if time.monotonic() > end:
                raise Trouble(f'The server was not ready within {START_SECONDS} s.\n' + self.log_tail())
            time.sleep(0.05)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """
        SIGTERM and wait; by force, roles first, if that does not help. False when it did not end in order
        (one that had ended before is not judged again).
        """
        if not self.is_alive():
            return True
        children = self._children()
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS) == 0
        except subprocess.TimeoutExpired:
            for pid in [*children, self.process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
            return False

    def log_tail(self, lines=15):
        try:
            with open(self.places.log, encoding='utf-8', errors='replace') as file:
                tail = file.read().splitlines()[-lines:]
        except OSError:
            tail = []
        return 'Its last words:\n' + '\n'.join('    ' + line for line in tail or ['(none)'])

    def _is_ready(self):
        try:
            for port in (self.ports.submission, self.ports.mx):
                with socket.create_connection((SERVER_ADDRESS, port), 2) as client:
                    client.settimeout(2)
                    if not client.recv(200).startswith(b'220'):
                        return False
                    client.sendall(b'QUIT\r\n')
                    client.recv(200)
            socket.create_connection((SERVER_ADDRESS, self.ports.portal), 2).close()
        except OSError:
            return False
        return True

    def _children(self):
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        try:
            with open(path, encoding='ascii') as file:
                return [int(word) for word in file.read().split()]
        except OSError:
            return []
