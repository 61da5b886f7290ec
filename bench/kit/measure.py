# SPDX-License-Identifier: Apache-2.0
"""One run of one thing. Each function returns a dictionary of what was seen; plan.py says which are made."""
import json
import os
import re
import socket
import subprocess
import time

from kit import ground
from kit.load import MX, Sink, Zone, source
from kit.peer import Group, Peer, Watch


def costs(peer, watch, spent, messages, flushed):
    """what a run used, for each message"""
    messages = max(1, messages)
    by_name = watch.cpu_by_name(spent)
    return {'cpu_ms_per_msg': spent / messages * 1e3, 'cpu_ms_by_name': {k: v / messages * 1e3 for k, v in sorted(by_name.items())},
            'flushes_per_msg': flushed / messages if flushed is not None else None,
            'peak_pss_mib': watch.pss / 2**20, 'pss_mib_by_name': {k: v / 2**20 for k, v in sorted(watch.pss_by_name.items())},
            'peak_rss_mib': watch.rss / 2**20, 'peak_processes': watch.processes}


class Flushes:
    def __init__(self):
        self.begin()

    def begin(self):
        self.at = ground.flushes()

    def count(self):
        return None if self.at is None else ground.flushes() - self.at


def told(sent):
    """what the source says of a run, under the names used here"""
    return {'acked': sent['acked'], 'in_use': sent.get('ready'), 'latency': sent.get('latency_ms'), 'dot': sent.get('dot_to_250_ms'),
            'from_schedule': sent.get('from_schedule_ms'), 'source_cpu_s': sent.get('cpu_s'), 'rejects': sent.get('rejects'),
            'dropped': sent.get('dropped'), 'error': sent.get('first_error') or None, 'tls_in_resumed': sent.get('tls_resumed'),
            'tls_in': sent.get('tls_handshakes')}


def accept(name, sessions, size=4096, seconds=10.0, rate=None, tls_in='none', **knobs):
    """messages answered 250 per second, kept and not delivered; with rate, how long the answers take at that rate.
    tls_in: none, kept (one handshake a session), full or resumed (a connection for each message)"""
    peer = Peer(name, HOLD=1, LISTEN_TLS=int(tls_in != 'none'), SESSIONS=sessions, **knobs)
    options = {'sessions': sessions, 'size': size, 'timeout': 60}
    if tls_in != 'none':
        options.update(starttls=True, per_conn=1 if tls_in in ('full', 'resumed') else None, resume=tls_in == 'resumed')
    try:
        peer.up()
        source(messages=sessions * 2, **options)
        time.sleep(0.3)
        watch, flushed = Watch(peer.group), Flushes()

        def on_start():
            watch.mark()
            flushed.begin()
        sent = source(on_start, duration=seconds, rate=rate, meter=peer.group.meter, **options)
        count = flushed.count()
        watch.done()
        spent = peer.group.seconds(sent['meter_end'] - sent['meter_start']) if sent['meter_start'] >= 0 else 0.0
        return {'rate': sent['msgs_per_s'], 'seconds': sent.get('seconds'), 'mb_per_s': sent['msgs_per_s'] * size / 1e6, 'offered': rate,
                'unsent': sent.get('unsent'), **told(sent), **costs(peer, watch, spent, sent['acked'], count),
                'queued': int(peer.call('queue').strip() or 0)}
    finally:
        peer.down()


def e2e(name, tls='kept', sessions=20, size=4096, seconds=10.0, messages=None, limit=60.0, dkim='none', domains=0, delay_ms=0, defer=0):
    """from the first MAIL of the source to the last message in the sink. The source sends for `seconds`, or `messages`
    if that is reached first; after `limit` the run is cut and marked incomplete.
    tls, towards the sink: none, kept (connections are reused), full or resumed (a connection for each message)"""
    peer = Peer(name, HOLD=0, SINK_TLS=int(tls != 'none'), PER_CONN=int(tls in ('full', 'resumed')), DKIM=dkim, MANY=int(domains > 0), QUICK_RETRY=int(defer > 0), SESSIONS=sessions)
    to = {'domain': 'many.test', 'domains': domains} if domains else {}
    sink = zone = None
    port, ground.SINK = ground.SINK, 25 if domains else ground.SINK  # by MX there is no other port
    address = (MX, 25) if domains else None
    try:
        zone = Zone() if domains else None
        sink = Sink(tls != 'none', tickets=tls != 'full', delay_ms=delay_ms, defer=defer, address=address)
        peer.up()
        warm = min(1000, max(200, sessions * 2))
        source(sessions=min(sessions, 20), messages=warm, size=size, first_id=3000001, timeout=30, **to)
        end = time.time() + 15
        while sink.stat()['distinct_ids'] < warm and time.time() < end:
            time.sleep(0.1)
        sink.reset()
        watch, flushed, start = Watch(peer.group), Flushes(), time.time()

        def on_start():
            watch.mark()
            flushed.begin()
        sent = source(on_start, sessions=sessions, messages=messages, duration=seconds, size=size, timeout=limit - seconds, meter=peer.group.meter, **to)
        stat = sink.stat()
        while stat['distinct_ids'] < sent['acked'] and time.time() < start + limit:
            time.sleep(0.05)
            stat = sink.stat()
        count, spent = flushed.count(), peer.group.cpu() - peer.group.seconds(max(0, sent['meter_start']))
        watch.done()
        took, seen = stat['t_last'] - sent.get('t_first_mail', 0), stat['distinct_ids']
        return {'rate': seen / took if took > 0 and seen else 0.0, 'mb_per_s': seen * size / took / 1e6 if took > 0 and seen else 0.0, 'seconds': took, 'capped': messages,
                'accept_rate': sent['msgs_per_s'], 'delivered': seen, 'complete': seen == sent['acked'] and seen > 0,
                'extra_copies': stat['extra_copies'], 'sink_connections': stat['connections'], 'peak_sink_connections': stat['peak_connections'],
                'tls_sessions': stat['tls_sessions'], 'tls13': stat['tls13'], 'tls_resumed': stat['tls_resumed'], 'deferred': stat['deferred'],
                'refused_plain': stat['refused_plain'], 'sink_cpu_s': stat['cpu_s'], **told(sent), **costs(peer, watch, spent, seen, count)}
    finally:
        if sink:
            sink.close()
        peer.down()
        if zone:
            zone.close()
        ground.SINK = port


def pair(tls='none', sessions=20, size=4096, seconds=10.0):
    """source straight to sink: what loopback, source and sink allow on these cores"""
    sink = Sink(tls != 'none', tickets=tls != 'full')
    options = {'starttls': tls != 'none', 'per_conn': 1 if tls in ('full', 'resumed') else None, 'resume': tls == 'resumed'}
    try:
        sent = source(port=ground.SINK, sessions=sessions, duration=seconds, size=size, **options)
        return {'rate': sent['msgs_per_s'], 'mb_per_s': sent['msgs_per_s'] * size / 1e6, 'sink_cpu_s': sink.stat()['cpu_s'], **told(sent)}
    finally:
        sink.close()


def disk(mode='group', sessions=20, size=4096, seconds=10.0):
    """a bare log with group commit (disklimit's modes), on the disk that the servers spool to"""
    folder = os.path.join(ground.PEERS, 'disklimit')
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run([os.path.join(ground.BIN, 'disklimit'), '-d', folder, '-m', mode, '-w', str(sessions), '-s', str(size), '-t', str(seconds)],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=seconds * 3 + 60)
    seen = json.loads(done.stdout)
    rate = seen.get('messages_per_s', seen.get('syncs_per_s'))
    return {'rate': rate, 'mb_per_s': rate * size / 1e6, 'syncs_per_s': seen.get('syncs_per_s')}


def portal(name='postern', sessions=20, size=4096, seconds=10.0, limit=60.0):
    """secure mail that goes to the portal: a sealed copy for the reader, and a notice. From the first MAIL to the last notice in the sink."""
    peer, sink = Peer(name, HOLD=0, PORTAL=1, SESSIONS=sessions), None
    try:
        sink = Sink()
        peer.up()
        source(sessions=sessions, messages=sessions * 5, size=size, timeout=30)
        end = time.time() + 15
        while sink.stat()['messages'] < sessions * 5 and time.time() < end:
            time.sleep(0.1)
        sink.reset()
        watch, flushed, start = Watch(peer.group), Flushes(), time.time()

        def on_start():
            watch.mark()
            flushed.begin()
        sent = source(on_start, sessions=sessions, duration=seconds, size=size, timeout=limit - seconds, meter=peer.group.meter)
        stat = sink.stat()
        while stat['messages'] < sent['acked'] and time.time() < start + limit:
            time.sleep(0.05)
            stat = sink.stat()
        count, spent = flushed.count(), peer.group.cpu() - peer.group.seconds(max(0, sent['meter_start']))
        watch.done()
        took, seen = stat['t_last'] - sent.get('t_first_mail', 0), stat['messages']
        return {'rate': seen / took if seen and took > 0 else 0.0, 'seconds': took, 'accept_rate': sent['msgs_per_s'], 'delivered': seen, 'complete': seen == sent['acked'] and seen > 0,
                **told(sent), **costs(peer, watch, spent, seen, count)}
    finally:
        if sink:
            sink.close()
        peer.down()


def idle(name='postern', sessions=10000, seconds=5.0):
    """memory of sessions that have spoken STARTTLS and EHLO and say nothing more"""
    peer, seen = Peer(name, HOLD=1, LISTEN_TLS=1, SESSIONS=sessions), {}
    try:
        peer.up()
        source(sessions=20, messages=40, starttls=True, timeout=30)
        watch = Watch(peer.group)
        watch.weigh()
        before, begin = watch.pss, time.time()

        def on_ready():
            seen['opened_s'] = time.time() - begin
            time.sleep(1.0)
            watch.weigh()
            seen.update(pss_mib=watch.pss / 2**20, pss_mib_by_name={k: v / 2**20 for k, v in sorted(watch.pss_by_name.items())})
        sent = source(on_ready, sessions=sessions, idle=seconds, starttls=True, timeout=300)
        watch.done()
        return {'sessions': sent.get('ready'), 'kib_per_session': (seen.get('pss_mib', 0) * 2**20 - before) / 1024 / max(1, sent.get('ready') or 0), 'before_mib': before / 2**20,
                'error': sent.get('first_error') or None, **seen}
    finally:
        peer.down()


def startup(name='postern', recipients=1000000, seconds=0.0):
    """from the start of the program to its greeting, and to its first 250, with a queue of so many recipients whose hosts do not answer"""
    fill = os.path.join(os.path.dirname(ground.POSTERN), 'queue-fill')
    peer, root = Peer(name, HOLD=0, SINK_TLS=1), os.path.join(ground.PEERS, 'postern')
    state = os.path.join(root, 'state')
    try:
        peer.group = Group()
        peer.group.end()
        peer.call('prepare')
        begin = time.time()
        subprocess.run([fill, '--state', state, '--master', os.path.join(root, 'master.key'), '--user', 'nobody', '--recipients', str(recipients)],
                       check=True, stdout=subprocess.DEVNULL, timeout=900)
        filled = time.time() - begin
        os.sync()
        begin = time.time()
        greeted = peer.start(patience=120.0, rest=0.0)
        sent = source(sessions=1, messages=1, timeout=60)
        first = time.time() - begin
        time.sleep(2.0)
        watch = Watch(peer.group)
        watch.done()
        return {'recipients': recipients, 'greeted_s': greeted, 'first_250_s': first, 'filled_s': filled, 'queued': int(peer.call('queue').strip() or 0), 'acked': sent['acked'],
                'error': sent.get('first_error') or None, 'pss_mib': watch.pss / 2**20, 'pss_mib_by_name': {k: v / 2**20 for k, v in sorted(watch.pss_by_name.items())}}
    finally:
        peer.down()


SYNC_CALLS = 'fsync,fdatasync,sync_file_range,syncfs,sync,msync'


def syncs(name, sessions=20, messages=2000, seconds=0.0, **knobs):
    """calls that sync, for each message accepted, counted by strace: never timed, as tracing slows what it counts"""
    peer = Peer(name, HOLD=1, SESSIONS=sessions, **knobs)
    log = os.path.join(ground.TMP, 'strace.out')
    peer.tracer = ['strace', '-f', '--seccomp-bpf', '-qq', '-y', '-o', log, '-e', 'trace=' + SYNC_CALLS]

    def counts():
        found = {}
        for line in open(log, errors='replace'):
            call = re.match(r'\d+\s+(\w+)\(', line)
            if call:
                found[call.group(1)] = found.get(call.group(1), 0) + 1
        return found
    silent = socket.create_server(('127.0.0.1', ground.SINK))  # for a server that cannot be held in time: a next host that never greets
    try:
        peer.up()
        source(sessions=sessions, messages=sessions * 2, timeout=60)
        time.sleep(0.5)
        before = counts()
        sent = source(sessions=sessions, messages=messages, timeout=120)
        time.sleep(0.5)
        after = counts()
        each = {call: (after[call] - before.get(call, 0)) / max(1, sent['acked']) for call in after}
        return {'syncs_per_msg': sum(each.values()), 'calls_per_msg': {k: round(v, 3) for k, v in each.items() if v}, 'acked': sent['acked'], 'error': sent.get('first_error') or None}
    finally:
        peer.down()
        silent.close()
