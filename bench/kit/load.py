# SPDX-License-Identifier: Apache-2.0
"""The load source, the sink and a name server with a wildcard zone."""
import json
import os
import socket
import subprocess
import time

from kit import ground


class Sink:
    def __init__(self, tls=0, tickets=True, delay_ms=0, defer=0, address=None):
        host, port = address or ('127.0.0.1', ground.SINK)
        command = [os.path.join(ground.BIN, 'smtp_sink'), '-l', f'{host}:{port}', *ground.QUICKACK]
        if tls:
            command += ['-R', '-c', os.path.join(ground.CERTS, 'sink.crt'), '-k', os.path.join(ground.CERTS, 'sink.key')]
        if not tickets:
            command += ['--no-tickets']
        if delay_ms:
            command += ['--delay', str(delay_ms)]
        if defer:
            command += ['--defer', str(defer)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(100):
            try:
                self.socket = socket.create_connection((host, port), 5)
                break
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        if self.process.poll() is not None or not getattr(self, 'socket', None):
            raise RuntimeError(f'the sink cannot listen on {host}:{port}')
        self.file = self.socket.makefile('rb')
        self.file.readline()

    def say(self, command):
        self.socket.sendall(command.encode() + b'\r\n')
        return self.file.readline().decode()[4:]

    def stat(self):
        return json.loads(self.say('XSTAT'))

    def reset(self):
        self.say('XRESET')

    def close(self):
        self.file.close()
        self.socket.close()
        self.process.terminate()
        self.process.communicate()


def source(on_start=None, port=None, **options):
    """one run of smtp_source; on_start is called when it begins to send. Returns what it printed."""
    command = [os.path.join(ground.BIN, 'smtp_source'), '--to', f'127.0.0.1:{port or ground.PORT}', *ground.QUICKACK]
    for key, value in options.items():
        if value is not None and value is not False:
            command += ['--' + key.replace('_', '-')] + ([] if value is True else [str(value)])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith(('started', 'ready')):
                if on_start:
                    on_start()
            else:
                print(line.rstrip(), flush=True)
        text = process.stdout.read()
    return json.loads(text) if text else {'acked': 0, 'msgs_per_s': 0.0, 'first_error': 'the source failed', 'meter_start': -1}


MX = '127.0.0.2'


class Zone:
    """nsd on 127.0.0.1:53 with a wildcard zone: every *.many.test has its mail at the sink, which is on another
    address than the servers (a server that finds itself in an MX record suspects a loop)"""
    def __init__(self):
        folder = os.path.join(ground.TMP, 'nsd')
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'many.test'), 'w') as file:
            file.write('$ORIGIN many.test.\n$TTL 86400\n@ SOA ns hostmaster 1 3600 600 86400 86400\n@ NS ns\nns A 127.0.0.1\n* MX 10 sink.bench.test.\n')
        with open(os.path.join(folder, 'bench.test'), 'w') as file:
            file.write(f'$ORIGIN bench.test.\n$TTL 86400\n@ SOA ns hostmaster 1 3600 600 86400 86400\n@ NS ns\nns A 127.0.0.1\nsink A {MX}\n')
        with open(os.path.join(folder, 'nsd.conf'), 'w') as file:
            file.write(f'server:\n  ip-address: 127.0.0.1@53\n  server-count: 1\n  username: ""\n  chroot: ""\n  zonesdir: "{folder}"\n  database: ""\n'
                       f'  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd"\n  zonelistfile: "{folder}/zones"\n  verbosity: 0\n  rrl-ratelimit: 0\n'
                       'remote-control:\n  control-enable: no\n'
                       'zone:\n  name: many.test\n  zonefile: many.test\nzone:\n  name: bench.test\n  zonefile: bench.test\n')
        program = '/usr/sbin/nsd' if os.path.exists('/usr/sbin/nsd') else 'nsd'
        self.process = subprocess.Popen([program, '-d', '-c', os.path.join(folder, 'nsd.conf')], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.7)
        if self.process.poll() is not None:
            raise RuntimeError('nsd does not start (port 53 taken?)')

    def close(self):
        self.process.terminate()
        self.process.wait(10)
