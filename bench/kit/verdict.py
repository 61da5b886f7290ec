# SPDX-License-Identifier: Apache-2.0
"""What Postern has to reach beside the others in the same run, and whether it does."""
import statistics

DURABLE_PEERS = ('postfix', 'exim', 'opensmtpd-sync')


class Table:
    """medians of finished runs"""
    def __init__(self, rows):
        self.rows = [row for row in rows if not row.get('error') or row.get('rate')]

    def values(self, row, peer, *path):
        found = []
        for r in self.rows:
            if r['row'] == row and r['peer'] == peer:
                for key in path:
                    r = r.get(key) if isinstance(r, dict) else None
                if r is not None:
                    found.append(r)
        return found

    def mid(self, row, peer, *path):
        found = self.values(row, peer, *path)
        return statistics.median(found) if found else None

    def best(self, row, least=False, path=('rate',)):
        """(name, median) of the best durable peer"""
        found = [(peer, self.mid(row, peer, *path)) for peer in DURABLE_PEERS]
        found = [(peer, value) for peer, value in found if value]
        return (min if least else max)(found, key=lambda x: x[1]) if found else (None, None)


# The quick form's runs are short; it is there to catch what broke, and is content with this share of each floor.
QUICK_SHARE = 0.6


def floors(rows, share=1.0):
    """each floor as a dictionary: what, ours, theirs (and whose), ratio, floor, ok. Quick and full form of the same list: rows that
    were not measured are left out."""
    table, found = Table(rows), []

    def add(what, ours, whose, theirs, floor, least=True, unit=''):
        if ours is None or not theirs:
            return
        ratio = ours / theirs
        floor = floor * share if least else floor / share
        found.append({'what': what, 'ours': ours, 'whose': whose, 'theirs': theirs, 'ratio': ratio, 'floor': floor, 'least': least, 'unit': unit,
                      'ok': ratio >= floor if least else ratio <= floor})
    for sessions in (20, 200):
        row = f'accept-{sessions}'
        ours, fastest = table.mid(row, 'postern', 'rate'), table.best(row)
        add(f'durable accept, 4 KiB, {sessions} sessions', ours, 'postfix', table.mid(row, 'postfix', 'rate'), 4.0, unit='/s')
        add(f'durable accept, 4 KiB, {sessions} sessions', ours, f'{fastest[0]}, the fastest durable peer', fastest[1], 2.5, unit='/s')
    ours, fastest = table.mid('e2e-tls', 'postern', 'rate'), table.best('e2e-tls')
    add('end to end, verified TLS 1.3', ours, 'postfix', table.mid('e2e-tls', 'postfix', 'rate'), 6.0, unit='/s')
    if fastest[0] not in (None, 'postfix'):
        add('end to end, verified TLS 1.3', ours, f'{fastest[0]}, the fastest durable peer', fastest[1], 6.0, unit='/s')
    add('CPU a delivered message', table.mid('e2e-tls', 'postern', 'cpu_ms_per_msg'), 'postfix', table.mid('e2e-tls', 'postfix', 'cpu_ms_per_msg'), 0.2, False, ' ms')
    for path, words in (('from_schedule', 'from the scheduled time to 250'), ('dot', 'from the final dot to 250')):
        best = table.best('paced-20', True, (path, 'p99'))
        rate = table.mid('paced-20', 'postern', 'offered')
        add(f'p99 {words} at {rate or 0:.0f}/s', table.mid('paced-20', 'postern', path, 'p99'), f'{best[0]}, the best durable peer', best[1], 1.0, False, ' ms')
    for row in rows:
        if row['row'] == 'startup-1m' and row.get('first_250_s'):
            add('start with 1,000,000 queued recipients, to the first 250', row['first_250_s'], 'the clock', 5.0, share, False, ' s')
        if row['row'] == 'idle-10000' and row.get('pss_mib'):
            add(f'memory of {row["sessions"]:,} idle TLS sessions', row['pss_mib'] * 2**20 / 1e6, 'the scales', 500.0, share, False, ' MB')
    return found


def bandwidth(rows):
    """100 KB messages beside what the disk and loopback allow: no floor in numbers, so that the reader sees which of them binds"""
    table, found = Table(rows), []
    for row, what, limits in (('accept-100k', 'accept', (('log-100k', 'group-commit log, appending'), ('overwrite-100k', 'group-commit log into blocks written before'),
                                                         ('loopback-100k', 'source straight to sink'))),
                              ('e2e-100k', 'end to end, TLS 1.3', (('log-100k', 'group-commit log, appending'), ('loopback-100k-tls', 'source straight to sink, TLS 1.3')))):
        ours = table.mid(row, 'postern', 'mb_per_s')
        for limit, words in limits:
            theirs = table.mid(limit, 'limit', 'mb_per_s')
            if ours and theirs:
                found.append({'what': what, 'ours': ours, 'limit': words, 'theirs': theirs, 'share': ours / theirs})
    return found


def lost(rows):
    """end-to-end runs of Postern that lost or delayed a message"""
    return [row['step'] for row in rows if row['peer'] == 'postern' and row.get('complete') is False]
