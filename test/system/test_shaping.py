# SPDX-License-Identifier: Apache-2.0
"""What a provider puts up with, from a file of one's own: connections, messages a connection, rates, words of refusal."""
import os
import threading
import time

from world import wait_until
from test_routes import ORDINARY, submit

PROVIDERS = """
provider "strict" {
    mx = {"*.strict.test"}
    connections = 2
    messages_per_connection = 5
    messages_per_minute = 600
    backoff "too many from you" { pause = 3s }
}
"""


def providers(world, text=PROVIDERS):
    path = world.path('providers.conf')
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)
    os.chmod(path, 0o644)
    return {**ORDINARY, 'providers': path, 'courier_processes': 3}


def test_limits_hold_over_all_couriers_and_domains(world, house):
    lock, now, most = threading.Lock(), [0], [0]

    def rule(verb, _argument, _session):
        if verb == '.':
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.05)
            with lock:
                now[0] -= 1
    sinks = [world.host(f'mx{number}.strict.test', f'far{number}.test', rule=rule) for number in range(6)]
    for number in range(6, 50):
        world.zone.append(f'far{number}.test. 60 IN MX 10 mx{number % 6}.strict.test.')
    server = house(world, providers(world))
    started = time.time()
    submit(server, [f'mail-{number}' for number in range(60)])
    wait_until(lambda: sum(len(sink.messages) for sink in sinks) >= 60, 60, what='all mail')
    took = time.time() - started
    assert most[0] <= 2
    # Ten at once, then ten a second.
    assert took >= 4.5, took
    for sink in sinks:
        for session in sink.sessions:
            assert sum(line.startswith('MAIL') for line in session.clear + session.secret) <= 5


def test_words_of_refusal_pause_the_provider(world, house):
    is_full, asked = [True], []

    def rule(verb, _argument, _session):
        if verb == 'RCPT':
            asked.append(time.time())
            return '421 4.7.99 Too many from you, come back later' if is_full[0] else None
        return None
    strict = world.host('mx.strict.test', 'far0.test', rule=rule)
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {**providers(world), 'delivery': {'retry_first': '500ms', 'retry_max': '1s'}})
    submit(server, ['first'])
    wait_until(lambda: server.find_events('keeper.provider_paused', provider='strict'), 20, what='the pause')
    before = len(asked)
    submit(server, [f'mail-{number}' for number in range(20)], domain='far0.test')
    submit(server, ['other'], domain='good.test')
    good.wait(1)
    time.sleep(1.5)
    assert len(asked) == before  # nobody asks meanwhile
    is_full[0] = False
    strict.wait(21, 30)
    assert asked[before] - asked[before - 1] >= 2.5
