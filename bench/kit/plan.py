# SPDX-License-Identifier: Apache-2.0
"""Which runs are made, in which order, and how long they take. A row is one thing to compare; its runs are taken in
turns: round 1 of every server, then round 2, so that a server's runs are spread over the same minutes as the others'."""
import statistics
import sys
import subprocess
import time

from kit import ground, measure

OVERHEAD = {'accept': 5.0, 'e2e': 8.0, 'portal': 5.0, 'pair': 0.5, 'disk': 1.5, 'startup': 150.0, 'idle': 25.0, 'syncs': 15.0}  # seconds around a run: start, warm-up, stop
DURABLE = ('postern', 'postfix', 'exim', 'opensmtpd-sync')
ALL = ('postern', 'postfix', 'exim', 'opensmtpd', 'opensmtpd-sync')
TLS_IN = ('postern', 'postfix', 'exim')  # OpenSMTPD 6.8 with OpenSSL 3 fails every handshake with an ECDSA certificate
FAST = ('postern', 'postfix', 'exim')  # OpenSMTPD is left out where its erratic delivery would tell nothing
SIGNING = ('postern', 'exim')  # the others need a filter beside them
# Servers that deliver much more slowly than they accept get no more messages than they are likely to deliver in time:
# the rate they are known for here, corrected by the runs already made.
SLOW = {'exim': 250, 'opensmtpd': 300, 'opensmtpd-sync': 200}


class Row:
    """name, the function of measure.py, its arguments, and who takes part; what the table calls it"""
    def __init__(self, name, function, peers, seconds, title=None, **arguments):
        self.name, self.function, self.peers, self.seconds, self.arguments = name, function, peers, seconds, arguments
        self.title = title or name

    def steps(self, number):
        for peer in self.peers:
            yield Step(self, peer, number)


class Step:
    def __init__(self, row, peer, number):
        self.row, self.peer, self.number = row, peer, number
        self.id = f'{row.name}/{peer}/{number}'

    def estimate(self):
        """seconds, generously"""
        factor = {'accept': 1.0, 'e2e': 1.8}.get(self.row.function, 1.0)
        return self.row.seconds * factor + OVERHEAD.get(self.row.function, 5.0)


def musts(seconds=10.0, rounds=5):
    """the figures that the floors in verdict.py are about"""
    limit = seconds * 0.5
    rows = [Row('accept-20', 'accept', ALL, seconds, sessions=20), Row('accept-200', 'accept', ALL, seconds, sessions=200),
            Row('e2e-tls', 'e2e', ALL, seconds, tls='kept'),
            Row('accept-100k', 'accept', ('postern', 'postfix', 'exim'), seconds, sessions=20, size=102400),
            Row('e2e-100k', 'e2e', ('postern', 'postfix'), seconds, tls='kept', size=102400),
            Row('log-4k-20', 'disk', ('limit',), limit, mode='group', sessions=20), Row('log-4k-200', 'disk', ('limit',), limit, mode='group', sessions=200),
            Row('log-100k', 'disk', ('limit',), limit, mode='group', sessions=20, size=102400),
            Row('overwrite-100k', 'disk', ('limit',), limit, mode='groupover', sessions=20, size=102400),
            Row('loopback-4k', 'pair', ('limit',), limit, tls='none', sessions=20), Row('loopback-4k-tls', 'pair', ('limit',), limit, tls='kept', sessions=20),
            Row('loopback-100k', 'pair', ('limit',), limit, tls='none', size=102400),
            Row('loopback-100k-tls', 'pair', ('limit',), limit, tls='kept', size=102400)]
    # the answers' times at one rate: that rate comes from the medians above, so all rounds of those come first
    rows += special()
    paced = [Row('paced-20', 'accept', DURABLE, seconds, sessions=20, rate=('accept-20', 0.8))]
    return [step for part in (rows, paced) for number in range(1, rounds + 1) for row in part for step in row.steps(number)
            if number == 1 or row.function not in ('startup', 'idle')]


def quick(seconds=3.0, rounds=2):
    """the same, short"""
    rows = [Row('accept-20', 'accept', ALL, seconds, sessions=20), Row('accept-200', 'accept', ALL, seconds, sessions=200), Row('e2e-tls', 'e2e', ALL, seconds, tls='kept')]
    limits = [Row('log-4k-20', 'disk', ('limit',), 1.0, mode='group', sessions=20), Row('loopback-4k-tls', 'pair', ('limit',), 1.0, tls='kept', sessions=20)]
    return [step for number in range(1, rounds + 1) for row in rows + (limits if number == 1 else []) for step in row.steps(number)]


ACCEPT_STAR = (
    ('accept-base', 'base: 20 sessions, 4 KiB, no TLS', ALL, {}),
    ('accept-sessions-1', '1 session', ALL, {'sessions': 1}),
    ('accept-sessions-200', '200 sessions', ALL, {'sessions': 200}),
    ('accept-sessions-1000', '1,000 sessions', ALL, {'sessions': 1000}),
    ('accept-size-2k', '2 KB', ALL, {'size': 2048}),
    ('accept-size-10k', '10 KB', ALL, {'size': 10240}),
    ('accept-size-100k', '100 KB', ALL, {'size': 102400}),
    ('accept-tls-kept', 'TLS 1.3, one handshake a session', TLS_IN, {'tls_in': 'kept'}),
    ('accept-tls-full', 'TLS 1.3, a connection and a full handshake for each message', TLS_IN, {'tls_in': 'full'}),
    ('accept-tls-resumed', 'TLS 1.3, a connection for each message, resumed', TLS_IN, {'tls_in': 'resumed'}),
)
E2E_STAR = (
    ('e2e-base', 'base: 20 sessions, 4 KiB, TLS 1.3 kept, one next hop', ALL, {}),
    ('e2e-tls-none', 'no TLS', FAST, {'tls': 'none'}),
    ('e2e-tls-full', 'TLS 1.3, a connection and a full handshake for each message', FAST, {'tls': 'full'}),
    ('e2e-tls-resumed', 'TLS 1.3, a connection for each message, resumed', FAST, {'tls': 'resumed'}),
    ('e2e-sessions-1', '1 session', FAST, {'sessions': 1}),
    ('e2e-sessions-200', '200 sessions', FAST, {'sessions': 200}),
    ('e2e-sessions-1000', '1,000 sessions', FAST, {'sessions': 1000}),
    ('e2e-size-2k', '2 KB', FAST, {'size': 2048}),
    ('e2e-size-10k', '10 KB', FAST, {'size': 10240}),
    ('e2e-size-100k', '100 KB', FAST, {'size': 102400}),
    ('e2e-dkim-rsa', 'DKIM, RSA 2048', SIGNING, {'dkim': 'rsa'}),
    ('e2e-dkim-ed25519', 'DKIM, Ed25519', SIGNING, {'dkim': 'ed25519'}),
    ('e2e-domains-10000', '10,000 domains, by MX', FAST, {'domains': 10000}),
    ('e2e-delay-50', 'sink answers after 50 ms', FAST, {'delay_ms': 50}),
    ('e2e-defer-20', '20 % put off once, retried after a second', FAST, {'defer': 20}),
)
LIMIT_STAR = (
    ('log-4k-20', 'disk', 'group-commit log, 20 writers, 4 KiB', {'mode': 'group', 'sessions': 20}),
    ('log-4k-200', 'disk', 'group-commit log, 200 writers, 4 KiB', {'mode': 'group', 'sessions': 200}),
    ('log-100k-20', 'disk', 'group-commit log, 20 writers, 100 KB', {'mode': 'group', 'sessions': 20, 'size': 102400}),
    ('overwrite-100k-20', 'disk', 'the same into blocks written before', {'mode': 'groupover', 'sessions': 20, 'size': 102400}),
    ('loopback-4k', 'pair', 'source straight to sink, 4 KiB', {'tls': 'none'}),
    ('loopback-4k-tls', 'pair', 'the same over TLS 1.3', {'tls': 'kept'}),
    ('loopback-4k-tls-full', 'pair', 'the same, a connection and a full handshake for each message', {'tls': 'full'}),
    ('loopback-4k-tls-resumed', 'pair', 'the same, a connection for each message, resumed', {'tls': 'resumed'}),
    ('loopback-100k', 'pair', 'source straight to sink, 100 KB', {'tls': 'none', 'size': 102400}),
    ('loopback-100k-tls', 'pair', 'the same over TLS 1.3', {'tls': 'kept', 'size': 102400}),
)


def full(seconds=5.0, rounds=3):
    """a star: one thing at a time is another than in the base row"""
    rows = [Row(name, 'accept', peers, seconds, title, **{'sessions': 20, **arguments}) for name, title, peers, arguments in ACCEPT_STAR]
    rows += [Row(name, 'e2e', peers, seconds, title, **{'tls': 'kept', **arguments}) for name, title, peers, arguments in E2E_STAR]
    rows += [Row('portal', 'portal', ('postern',), seconds, 'secure mail to the portal: a sealed copy and a notice')]
    rows += [Row(name, function, ('limit',), seconds * 0.5, title, **arguments) for name, function, title, arguments in LIMIT_STAR]
    once = [Row('syncs-20', 'syncs', ALL, 0.0, '20 sessions', sessions=20), Row('syncs-200', 'syncs', ('postern',), 0.0, '200 sessions', sessions=200, messages=10000)]
    once += special()
    return [step for number in range(1, rounds + 1) for row in rows + (once if number == 1 else []) for step in row.steps(number)]


def special():
    """start with a million recipients queued; ten thousand idle TLS sessions"""
    return [Row('startup-1m', 'startup', ('postern',), 0.0, 'start with 1,000,000 queued recipients', recipients=1000000),
            Row('idle-10000', 'idle', ('postern',), 5.0, '10,000 idle TLS sessions', sessions=10000)]


def rates(results, row, peer):
    return [r['rate'] for r in results.rows if r['row'] == row and r['peer'] == peer and r.get('rate')]


def best_durable(results, row):
    """highest median rate of the durable servers other than Postern in a row"""
    found = [statistics.median(v) for v in (rates(results, row, peer) for peer in DURABLE[1:]) if v]
    return max(found) if found else None


def perform(step, results):
    """makes one run; returns its dictionary"""
    arguments = dict(step.row.arguments, seconds=step.row.seconds)
    if step.row.function in ('startup', 'idle', 'syncs'):
        return getattr(measure, step.row.function)(step.peer, **arguments)
    if step.row.function in ('pair', 'disk'):
        return getattr(measure, step.row.function)(**arguments)
    if isinstance(arguments.get('rate'), tuple):
        row, share = arguments['rate']
        best = best_durable(results, row)
        if not best:
            raise RuntimeError(f'no rate of a durable peer in {row} yet')
        arguments['rate'] = round(best * share)
    if step.row.function == 'e2e' and step.peer in SLOW:
        seen = rates(results, step.row.name, step.peer)
        arguments['messages'] = int((max(seen) if seen else SLOW[step.peer] * 4096 / max(4096, arguments.get('size', 4096))) * step.row.seconds * 1.3)
        arguments['limit'] = step.row.seconds * 3.0
        for _ in range(2):  # too few messages for the time asked for: again with more
            seen = getattr(measure, step.row.function)(step.peer, **arguments)
            if seen['seconds'] >= step.row.seconds or not seen['complete']:
                break
            arguments['messages'] = int(arguments['messages'] * 1.4 * step.row.seconds / max(1.0, seen['seconds']))
        return seen
    return getattr(measure, step.row.function)(step.peer, **arguments)


def line(row):
    """a run on one line"""
    words = [f'{row["step"]:32}']
    for key, form in (('rate', '{:9.0f}/s'), ('mb_per_s', '{:7.1f} MB/s'), ('seconds', '{:5.1f} s'), ('cpu_ms_per_msg', '{:7.3f} ms CPU'), ('flushes_per_msg', '{:6.3f} flushes')):
        if row.get(key) is not None:
            words.append(form.format(row[key]))
    if row.get('dot'):
        words.append(f'p99 {row["from_schedule" if row.get("offered") else "dot"]["p99"]:.1f} ms')
    if row.get('greeted_s'):
        words.append(f'greeted after {row["greeted_s"]:.2f} s, first 250 after {row["first_250_s"]:.2f} s, {row["queued"]} queued')
    if row.get('kib_per_session'):
        words.append(f'{row["sessions"]} sessions, {row["pss_mib"]:.0f} MiB')
    if row.get('syncs_per_msg') is not None:
        words.append(f'{row["syncs_per_msg"]:.3f} syncs')
    if row.get('complete') is False:
        words.append('INCOMPLETE')
    if row.get('error'):
        words.append('! ' + str(row['error'])[:120])
    return ' '.join(words)


def carry_out(steps, results, clock):
    """makes the runs that are not yet there; False when the budget ended first"""
    left = [step for step in steps if not results.done(step.id)]
    print(f'{len(steps) - len(left)} of {len(steps)} runs are there; the rest takes about {sum(s.estimate() for s in left) / 60:.0f} minutes', flush=True)
    for step in left:
        if not clock.allows(step.estimate()):
            return False
        row = {'step': step.id, 'row': step.row.name, 'title': step.row.title, 'peer': step.peer, 'run': step.number}
        begin = time.time()
        try:
            row.update(perform(step, results))
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError, KeyError) as problem:
            print(f'{step.id}: {problem}', file=sys.stderr, flush=True)
            row.update(error=str(problem)[:500])
        row['took'] = round(time.time() - begin, 1)
        results.add(row)
        print(line(row), flush=True)
    return True
