# SPDX-License-Identifier: Apache-2.0
"""
A dead provider with a long queue (one domain, or many domains on the same hosts) does not delay mail to others; a
campaign of one account to a slow provider does not delay another account's single mail to the same domain.

`make bench-fair` runs it with 100,000 recipients and prints what it saw.
"""
import os
import smtplib
import subprocess
import threading
import time

import pytest

from world import free_port, wait_until
from world.mails import make_mail
from world.nsd import Nsd
from world.postern import BUILD
from test_long_queue import Probe, percentile, try_probe

COUNT = int(os.environ.get('FAIR_QUEUE') or 20000)
MAILS = int(os.environ.get('FAIR_MAILS') or 200)
SLACK = float(os.environ.get('FAIR_SLACK') or 0.1)  # what two cores shared by all of this do to single figures


def fill(server, domains):
    """Mail of another account that was never tried and is due now."""
    subprocess.run([os.path.join(BUILD, 'queue-fill'), '--state', server.state, '--master', server.master_key,
                    '--user', 'nobody', '--recipients', str(COUNT), '--domains', str(domains), '--fresh', '100',
                    '--past', '0'], capture_output=True, text=True, check=True, timeout=600)


def zone(name, *lines):
    return '\n'.join([f'$ORIGIN {name}.', '$TTL 3600', '@ SOA ns host 1 60 60 60 60', '@ NS ns', 'ns A 127.0.0.53',
                      *lines]) + '\n'


def settings(port):
    return {'resolver': {'local_data': None, 'forward': [f'127.0.0.53@{port}']}, 'log_level': 'info',
            ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False},
            'delivery': {'retry_first': '5m', 'retry_max': '4h', 'connect_timeout': '30s'}}


def report(capsys, title, rows):
    with capsys.disabled():
        print(f'\n  {title}')
        for name, values in rows.items():
            print(f'    {name:28} ' + ', '.join(f'p{p} {percentile(values, p) * 1000:.1f} ms' for p in (50, 99)))


@pytest.mark.needs('inspect')
@pytest.mark.parametrize('domains', [1, 5000], ids=['one-domain', 'many-domains'])
@pytest.mark.limit(300 + COUNT // 2000)
def test_a_dead_provider_delays_nobody(world, house, folder, capsys, domains):
    if os.geteuid() != 0 or subprocess.run(['ip', 'route', 'replace', '198.18.0.0/15', 'dev', 'lo'], check=False).returncode:
        pytest.skip('needs a network of its own, to have addresses that swallow packets')
    arrived, lock = {}, threading.Lock()

    def note(message):
        with lock:
            arrived.setdefault(str(message.mail['Subject']), message.at)
    good = world.host('mx.good.test', 'good.test', on_message=note)
    port = free_port()
    names = Nsd(os.path.join(folder, 'nsd'), '127.0.0.53', port, {
        'fill.test': zone('fill.test', '* MX 10 mx.dead', 'mx.dead A 198.18.7.7'),
        'good.test': zone('good.test', '@ MX 10 mx', '* MX 10 mx', f'mx A {good.address}'),
        'clinic.test': zone('clinic.test', f'in A {good.address}')})
    try:
        server = house(world, settings(port))
        probe = Probe(server, arrived)
        probe.send(30, 0.02, 'warm')
        _, empty = probe.send(MAILS, 0.02, 'empty')
        server.stop()
        fill(server, domains)
        server.start(wait=False)
        probe = wait_until(lambda: try_probe(server, arrived), 60, every=0.01, what='a greeting')
        probe.send(5, 0.02, 'rewarm')
        _, at_once = probe.send(MAILS, 0.02, 'storm')
        _, later = probe.send(MAILS, 0.02, 'later')
        report(capsys, f'{COUNT} recipients at a dead provider, {domains} domain(s)',
               {'empty server': empty, 'just started': at_once, 'later': later})
        assert server.queue_length() > COUNT * 0.95
        assert percentile(at_once, 99) <= 2 * percentile(empty, 99) + SLACK
        assert percentile(later, 99) <= 2 * percentile(empty, 99) + SLACK
    finally:
        names.stop()


@pytest.mark.needs('inspect')
@pytest.mark.limit(300 + COUNT // 2000)
def test_a_campaign_to_a_slow_provider_delays_no_other_account(world, house, folder, capsys):
    arrived, lock, campaign = {}, threading.Lock(), [0]

    def note(message):
        subject = str(message.mail['Subject'])
        with lock:
            if subject.startswith('single'):
                arrived[subject] = message.at
            else:
                campaign[0] += 1
    slow = world.host('mx.slow.test', 'slow.test', on_message=note,
                      rule=lambda verb, argument, session: time.sleep(0.5) if verb == '.' else None)
    port = free_port()
    names = Nsd(os.path.join(folder, 'nsd'), '127.0.0.53', port, {
        'fill.test': zone('fill.test', '* MX 10 mx.slow.test.'),
        'slow.test': zone('slow.test', f'mx A {slow.address}'),
        'clinic.test': zone('clinic.test', f'in A {slow.address}')})

    def singles(server, count, tag):
        took = []
        with smtplib.SMTP(server.address, server.ports['mx'], local_hostname='pc.clinic.test', timeout=30) as smtp:
            for number in range(count):
                subject = f'single-{tag}-{number}'
                to = 'friend@fill0.fill.test'
                smtp.sendmail('alice@clinic.test', [to],
                              make_mail([to], subject=subject).as_bytes().replace(b'\n', b'\r\n'))
                sent = time.time()
                wait_until(lambda: subject in arrived, 60, every=0.005, what=f'the arrival of {subject}')
                took.append(arrived[subject] - sent)
        return sorted(took)
    try:
        server = house(world, settings(port))
        singles(server, 2, 'warm')
        empty = singles(server, 15, 'empty')
        server.stop()
        fill(server, 1)
        server.start()
        wait_until(lambda: campaign[0] > 100, 60, what='the campaign under way')
        beside = singles(server, 15, 'beside')
        report(capsys, f'a campaign of {COUNT} to a slow provider (half a second a message)',
               {'single mail, empty server': empty, 'beside the campaign': beside})
        assert server.queue_length() > COUNT / 2
        assert percentile(beside, 99) <= 2 * percentile(empty, 99) + SLACK + 0.5
    finally:
        names.stop()
