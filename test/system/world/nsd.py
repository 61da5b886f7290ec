# SPDX-License-Identifier: Apache-2.0
"""A real name server: nsd with zones of ours, on a loopback address."""
import os
import subprocess

from . import wait_until


def write_nsd(folder, address, port, zones, broken=()):
    """
    Write zones {name: text} and a configuration; returns the configuration's path. Zones named in `broken` are
    promised and not there: SERVFAIL.
    """
    lines = ['server:', f'  ip-address: {address}@{port}', '  username: ""', '  chroot: ""',
             f'  zonesdir: "{folder}"', '  database: ""', f'  pidfile: "{folder}/nsd.pid"',
             f'  zonelistfile: "{folder}/zone.list"', f'  xfrdfile: "{folder}/xfrd.state"',
             f'  xfrdir: "{folder}"', '  server-count: 1', '  rrl-ratelimit: 0', 'remote-control:',
             '  control-enable: no']
    for name, text in zones.items():
        with open(os.path.join(folder, name + '.zone'), 'w', encoding='ascii') as file:
            file.write(text)
    for name in [*zones, *broken]:
        lines += ['zone:', f'  name: "{name}"', f'  zonefile: "{name}.zone"']
    path = os.path.join(folder, 'nsd.conf')
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(lines) + '\n')
    return path


class Nsd:
    def __init__(self, folder, address, port, zones, broken=()):
        os.makedirs(folder, exist_ok=True)
        self.log = open(os.path.join(folder, 'nsd.log'), 'wb')
        self.process = subprocess.Popen(['/usr/sbin/nsd', '-d', '-c', write_nsd(folder, address, port, zones, broken)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        import dns.message
        import dns.query
        question = dns.message.make_query(list(zones)[0], 'SOA')

        def answers():
            try:
                return dns.query.udp(question, address, timeout=2, port=port).answer
            except Exception:  # not there yet
                return None
        wait_until(answers, 10, what='an answer of nsd')

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()
