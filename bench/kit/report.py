# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, and their summary for doc/performance.json."""
import statistics

from kit import verdict

NAMES = {'postern': 'Postern', 'postfix': 'Postfix', 'exim': 'Exim', 'opensmtpd': 'OpenSMTPD as shipped (not durable)',
         'opensmtpd-sync': 'OpenSMTPD with sync', 'limit': 'limit'}


def figure(value, digits=None):
    if value is None:
        return '–'
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f'{value:,.{digits}f}'


def spread(values, digits=None):
    """median (least – most)"""
    if not values:
        return '–'
    middle = statistics.median(values)
    if len(values) == 1:
        return figure(middle, digits)
    return f'{figure(middle, digits)} ({figure(min(values), digits)} – {figure(max(values), digits)})'


def head(*columns):
    return '| ' + ' | '.join(columns) + ' |\n|' + '---|' * len(columns)


def line(*cells):
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


def order(rows):
    names, peers = [], []
    for row in rows:
        if row['row'] not in names:
            names.append(row['row'])
        if row['peer'] not in peers:
            peers.append(row['peer'])
    return names, peers


def runs(rows, titles=None):
    """every row and server: rates, answers, costs"""
    table = verdict.Table(rows)
    names, peers = order(rows)
    out = [head('row', 'server', 'runs', 'messages/s', 'MB/s', 'final dot to 250, ms: p50 / p99 / p99.9', 'CPU ms a message', 'disk flushes a message', 'peak memory (PSS), MiB', 'remarks')]
    for name in names:
        for peer in peers:
            rate = table.values(name, peer, 'rate')
            tried = [row for row in rows if row['row'] == name and row['peer'] == peer]
            if not tried:
                continue
            remarks = []
            cut = sum(row.get('complete') is False for row in tried)
            if cut:
                remarks.append(f'{cut} of {len(tried)} cut before all was delivered')
            if len(rate) < len(tried):
                remarks.append(f'{len(tried) - len(rate)} failed')
            in_use, nominal = table.mid(name, peer, 'in_use'), None
            if in_use and '-sessions-' in name:
                nominal = int(name.rsplit('-', 1)[1])
                if in_use < nominal:
                    remarks.append(f'{in_use:.0f} sessions in use')
            dot = ' / '.join(figure(table.mid(name, peer, 'dot', p)) for p in ('p50', 'p99', 'p999')) if table.values(name, peer, 'dot', 'p99') else '–'
            mb = table.mid(name, peer, 'mb_per_s')
            out.append(line((titles or {}).get(name, name), NAMES.get(peer, peer), len(rate), spread(rate), figure(mb), dot, spread(table.values(name, peer, 'cpu_ms_per_msg'), 3),
                            figure(table.mid(name, peer, 'flushes_per_msg'), 3), figure(table.mid(name, peer, 'peak_pss_mib'), 0), '; '.join(remarks)))
    return '\n'.join(out)


def by_role(rows, names):
    """CPU a message by process, medians"""
    table = verdict.Table(rows)
    out = [head('row', 'server', 'CPU a message by process, ms')]
    for name in names:
        for peer in order(rows)[1]:
            samples = table.values(name, peer, 'cpu_ms_by_name')
            if not samples:
                continue
            parts = {part for sample in samples for part in sample}
            middle = {part: statistics.median([sample.get(part, 0.0) for sample in samples]) for part in parts}
            total = sum(middle.values())
            shown = sorted(((v, k) for k, v in middle.items() if v >= 0.01 * total), reverse=True)
            out.append(line(name, NAMES.get(peer, peer), ', '.join(f'{k} {v:.3f}' for v, k in shown)))
    return '\n'.join(out)


def floors(rows, share=1.0):
    out = [head('what', 'Postern', 'against', 'theirs', 'ratio', 'floor', '')]
    for f in verdict.floors(rows, share):
        sign = '≥' if f['least'] else '≤'
        out.append(line(f['what'], figure(f['ours']) + f['unit'], f['whose'], figure(f['theirs']) + f['unit'], f'{f["ratio"]:.2f}', f'{sign} {f["floor"]:.3g}', 'ok' if f['ok'] else '**missed**'))
    return '\n'.join(out)


def bandwidth(rows):
    found = verdict.bandwidth(rows)
    if not found:
        return ''
    out = [head('100 KB messages', 'Postern, MB/s', 'limit', 'MB/s', 'share')]
    for f in found:
        out.append(line(f['what'], figure(f['ours']), f['limit'], figure(f['theirs']), f'{f["share"]:.0%}'))
    return '\n'.join(out)


def paced(rows):
    table = verdict.Table(rows)
    names = [name for name in order(rows)[0] if name.startswith('paced')]
    out = [head('row', 'server', 'runs', 'offered/s', 'answered/s', 'from schedule to 250, ms: p50 / p99 / p99.9', 'final dot to 250, ms: p50 / p99 / p99.9')]
    for name in names:
        for peer in order(rows)[1]:
            if table.values(name, peer, 'from_schedule', 'p99'):
                trio = lambda path: ' / '.join(figure(table.mid(name, peer, path, p)) for p in ('p50', 'p99', 'p999'))
                out.append(line(name, NAMES.get(peer, peer), len(table.values(name, peer, 'rate')), figure(table.mid(name, peer, 'offered'), 0), figure(table.mid(name, peer, 'rate'), 0), trio('from_schedule'), trio('dot')))
    return '\n'.join(out) if len(out) > 1 else ''


def musts(rows, share=1.0):
    """what `bench-musts` and `bench` print"""
    names = order(rows)[0]
    parts = ['### Floors\n\nMedians of the runs below.\n\n' + floors(rows, share)]
    if bandwidth(rows):
        parts.append('### 100 KB messages and what the disk and loopback allow\n\n' + bandwidth(rows))
    parts.append('### All runs\n\nMedian (least – most).\n\n' + runs([row for row in rows if not row['row'].startswith('paced')]))
    if paced(rows):
        parts.append('### Answers at the same rate\n\n' + paced(rows))
    parts.append('### CPU by process\n\n' + by_role(rows, [name for name in names if name.startswith(('accept-20', 'e2e'))]))
    return '\n\n'.join(parts)
