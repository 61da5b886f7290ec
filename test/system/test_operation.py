# SPDX-License-Identifier: Apache-2.0
"""
What operators see: metrics, health, readiness, logs, status and top; and that a role which stands still is
replaced. Figures are checked against what was really sent and received.
"""
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from world import free_port, wait_until
from world.mails import client, header_id, make_mail, send
from world.machine import PATIENCE


@pytest.fixture
def watched(world, house):
    """watched(changes) starts a server that answers on a monitoring address: (server, get)."""
    def start(changes=None, **options):
        port = free_port()
        changes = {**(changes or {}), 'metrics': {'address': f'127.0.0.2:{port}'}}
        server = house(world, changes, **options)

        def get(path, seconds=10):
            request = urllib.request.Request(f'http://127.0.0.2:{port}{path}')
            try:
                with urllib.request.urlopen(request, timeout=seconds * PATIENCE) as answer:
                    return answer.status, answer.headers['Content-Type'], answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers['Content-Type'], error.read().decode()
        return server, get
    return start


def figures(text):
    """'name{labels}' -> value of an exposition text."""
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines() if line and not line.startswith('#')}


# ---- metrics ----

def test_metrics_are_what_was_sent(world, watched):
    good = world.host('mx.good.test', 'good.test')
    bad = world.host('mx.bad.test', 'bad.test', rule=lambda verb, argument, session:
                     '451 4.3.0 not now' if verb == 'RCPT' else None)
    server, get = watched({'delivery': {'retry_first': '1h', 'retry_max': '1h'}})
    with client(server) as smtp:
        for number in range(40):
            smtp.send_message(make_mail(['a@good.test', 'b@good.test'], body='x\n' * 1500))
        smtp.send_message(make_mail(['c@bad.test']))
    with pytest.raises(Exception):
        client(server, password='wrong')
    good.wait(40)

    def seen():
        now = figures(get('/metrics')[2])
        return now if now['postern_deliveries_total{outcome="delivered"}'] == 80 and \
            now['postern_deliveries_total{outcome="deferred"}'] == 1 and \
            now['postern_smtp_messages_accepted_total'] == 41 else None
    now = wait_until(seen, 20, every=0.3, what='the figures')
    assert now['postern_smtp_recipients_accepted_total'] == 81
    assert now['postern_smtp_accepted_bytes_total'] > 40 * 3000
    assert now['postern_smtp_auth_total{result="ok"}'] == 1
    assert now['postern_smtp_auth_total{result="refused"}'] >= 1
    assert now['postern_smtp_tls_sessions_total{version="1.3"}'] == 2
    assert now['postern_smtp_answer_seconds_count'] == 41
    assert 0 < now['postern_smtp_answer_seconds_sum'] < 41 * 5
    assert now['postern_delivered_total{proof="verified"}'] == 80
    assert now['postern_verdicts_total{method="tls"}'] == 81
    assert now['postern_queue_messages'] == 1
    assert now['postern_queue_recipients{state="deferred"}'] == 1
    assert now['postern_queue_recipients{state="planned"}'] == 0
    assert now['postern_courier_jobs_total'] == 41
    assert now['postern_courier_delivery_seconds_count'] == 41
    assert now['postern_scribe_signatures_total'] >= 41
    assert now['postern_courier_tls_handshakes_total{version="1.3",resumed="no"}'] >= 1
    assert now['postern_keeper_batch_tasks_count'] > 0
    assert now['postern_ready'] == 1
    for role in ('supervisor', 'keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office'):
        where = f'{{role="{role}",index="0"}}'
        assert now['postern_process_resident_memory_bytes' + where] > 1e6, role
        assert now['postern_process_open_fds' + where] > 3, role
        assert now['postern_role_restarts_total' + where] == 0, role
    ends = now['postern_certificate_expiry_timestamp_seconds{use="smtp"}']
    assert ends > time.time()


def test_metrics_are_well_formed(world, watched, tmp_path):
    world.host('mx.good.test', 'good.test')
    server, get = watched()
    send(server, ['somebody@good.test'])
    status, kind, text = get('/metrics')
    assert status == 200 and kind.startswith('text/plain; version=0.0.4')
    assert '@' not in text and 'good.test' not in text
    # By hand: every value has a type before it, every histogram is whole and grows.
    types = dict(re.findall(r'^# TYPE (\S+) (\S+)$', text, re.M))
    for name in figures(text):
        bare = re.sub(r'\{.*', '', name)
        base = re.sub(r'_(bucket|sum|count)$', '', bare)
        assert types.get(bare) or types.get(base) == 'histogram', name
    for name in (name for name, kind in types.items() if kind == 'histogram'):
        counts = [float(value) for value in
                  re.findall(rf'^{name}_bucket{{le="[^"]+"}} (\S+)$', text, re.M)]
        assert len(counts) > 10 and counts == sorted(counts), name
        assert counts[-1] == figures(text)[f'{name}_count'], name
    parser = pytest.importorskip('prometheus_client.parser')
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families['postern_smtp_messages_accepted'].type == 'counter'
    assert families['postern_smtp_answer_seconds'].type == 'histogram'


@pytest.mark.needs('promtool')
def test_promtool_finds_nothing(watched):
    _, get = watched()
    program = os.environ.get('PROMTOOL') or 'promtool'
    got = subprocess.run([program, 'check', 'metrics'], input=get('/metrics')[2], text=True,
                         capture_output=True, check=False, timeout=60)
    assert got.returncode == 0, got.stdout + got.stderr


def test_counters_outlive_a_process(world, watched):
    world.host('mx.good.test', 'good.test')
    server, get = watched()
    send(server, ['a@good.test'])
    count = lambda: figures(get('/metrics')[2])['postern_smtp_messages_accepted_total']
    wait_until(lambda: count() == 1, 10, every=0.3, what='the first')
    before = server.pids('smtpd')
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: server.pids('smtpd') not in ([], before), 10, what='a successor')
    server.wait_ready()
    send(server, ['a@good.test'])
    wait_until(lambda: count() == 2, 10, every=0.3, what='the second')
    restarts = figures(get('/metrics')[2])['postern_role_restarts_total{role="smtpd",index="0"}']
    assert restarts == 1


# ---- health ----

def test_health_tells_when_the_keeper_stands_still(world, watched):
    server, get = watched()
    assert get('/health')[0] == 200 and json.loads(get('/health')[2])['status'] == 'ok'
    assert get('/ready')[0] == 200 and json.loads(get('/ready')[2]) == {'ready': True}
    assert get('/nothing')[0] == 404
    keeper = server.pids('keeper')[0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for path in ('/health', '/ready', '/metrics'):
            status, kind, text = get(path)
            assert status == 503 and kind == 'application/json' and json.loads(text), path
    finally:
        os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: get('/health')[0] == 200, 10, every=0.3, what='health again')
    assert server.pids('keeper') == [keeper]


def test_not_ready_without_room(world, watched):
    server, get = watched({'limits': {'disk_reserve': '1000G'}})
    status, _, text = get('/ready')
    assert status == 503 and json.loads(text) == {'ready': False, 'why': "the disk's reserve is reached"}
    assert get('/health')[0] == 200
    assert figures(get('/metrics')[2])['postern_ready'] == 0


# ---- the watchdog ----

def names(server, event):
    return [one['name'] for one in server.find_events(event)]


def test_a_stopped_courier_is_replaced(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'watchdog': '3s'})
    send(server, ['a@good.test'])
    good.wait(1)
    before = server.pids('courier')
    os.kill(before[0], signal.SIGSTOP)
    mail = send(server, ['a@good.test'])
    wait_until(lambda: server.pids('courier') not in ([], before), 20, what='another courier')
    good.wait(2)
    server.wait_state(header_id(mail), 'a@good.test', 'delivered')
    assert names(server, 'keeper.role_silent') == ['courier']
    # Nobody else was taken for dead.
    assert names(server, 'supervisor.role_silent') == ['courier']


def test_a_stopped_keeper_is_replaced(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'watchdog': '3s'})
    before = server.pids('keeper')
    os.kill(before[0], signal.SIGSTOP)
    wait_until(lambda: server.pids('keeper') not in ([], before), 20, what='another keeper')
    server.wait_ready()
    send(server, ['a@good.test'])
    good.wait(1)
    assert names(server, 'supervisor.role_silent') == ['keeper']
