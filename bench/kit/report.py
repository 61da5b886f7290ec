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
            if not rate and tried[0].get('rate') is None and not tried[0].get('error'):
                continue
            remarks = []
            cut = sum(row.get('complete') is False for row in tried)
            if cut:
                remarks.append(f'{cut} of {len(tried)} cut before all was delivered')
            if len(rate) < len(tried):
                remarks.append(f'{len(tried) - len(rate)} failed')
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
    for special in (start, idle):
        if special(rows):
            parts.append(special(rows))
    return '\n\n'.join(parts)


def start(rows):
    found = [row for row in rows if row['row'].startswith('startup') and row.get('greeted_s')]
    if not found:
        return ''
    out = ['### Start with a long queue\n', head('recipients queued', 'greeting after, s', 'first 250 after, s', 'memory (PSS) two seconds later, MiB')]
    out += [line(figure(row['queued'], 0), figure(row['greeted_s'], 2), figure(row['first_250_s'], 2), roles(row)) for row in found]
    return '\n'.join(out)


def idle(rows):
    found = [row for row in rows if row['row'].startswith('idle') and row.get('pss_mib')]
    if not found:
        return ''
    out = ['### Idle TLS sessions\n', head('sessions', 'KiB a session', 'memory (PSS) of all roles, MiB')]
    out += [line(figure(row['sessions'], 0), figure(row['kib_per_session']), roles(row)) for row in found]
    return '\n'.join(out)


def roles(row):
    return f'{row["pss_mib"]:.0f}: ' + ', '.join(f'{k} {v:.0f}' for k, v in sorted(row['pss_mib_by_name'].items(), key=lambda x: -x[1]) if v >= 0.5)


def star(rows, prefix):
    """one line a row, a column a server: median rates, and Postern's costs"""
    table = verdict.Table(rows)
    names = [name for name in order(rows)[0] if name.startswith(prefix)]
    peers = [peer for peer in order(rows)[1] if any(table.values(name, peer, 'rate') for name in names) and peer != 'limit']
    titles = {row['row']: row.get('title', row['row']) for row in rows}
    out = [head('messages/s', *(NAMES[peer] for peer in peers), 'Postern: p50 / p99 / p99.9, ms', 'CPU ms a message: Postern, Postfix', 'Postern by role', 'peak PSS, MiB')]
    for name in names:
        cells = []
        for peer in peers:
            tried = [row for row in rows if row['row'] == name and row['peer'] == peer]
            mark = ' (cut)' if any(row.get('complete') is False for row in tried) else ''
            use = table.mid(name, peer, 'in_use')
            if '-sessions-' in name and use is not None and use < int(name.rsplit('-', 1)[1]):
                mark += f' ({use:.0f} in use)'
            cells.append(spread(table.values(name, peer, 'rate')) + mark if table.values(name, peer, 'rate') else 'failed' if tried else '–')
        dot = ' / '.join(figure(table.mid(name, 'postern', 'dot', p)) for p in ('p50', 'p99', 'p999'))
        cpu = f'{figure(table.mid(name, "postern", "cpu_ms_per_msg"), 3)}, {figure(table.mid(name, "postfix", "cpu_ms_per_msg"), 2)}'
        samples = table.values(name, 'postern', 'cpu_ms_by_name')
        parts = {part: statistics.median([sample.get(part, 0.0) for sample in samples]) for part in {p for sample in samples for p in sample}}
        shown = ', '.join(f'{k} {v:.3f}' for k, v in sorted(parts.items(), key=lambda x: -x[1]) if v >= 0.001)
        out.append(line(titles[name], *cells, dot, cpu, shown, figure(table.mid(name, 'postern', 'peak_pss_mib'), 0)))
    return '\n'.join(out)


def limits(rows):
    table = verdict.Table(rows)
    titles = {row['row']: row.get('title', row['row']) for row in rows if row['peer'] == 'limit'}
    out = [head('limit', 'messages/s', 'MB/s')]
    for name in titles:
        out.append(line(titles[name], spread(table.values(name, 'limit', 'rate')), figure(table.mid(name, 'limit', 'mb_per_s'))))
    return '\n'.join(out)


def syncs(rows):
    found = [row for row in rows if row['row'].startswith('syncs') and row.get('syncs_per_msg') is not None]
    if not found:
        return ''
    out = [head('server', 'sessions', 'sync calls a message', 'which')]
    for row in found:
        out.append(line(NAMES.get(row['peer'], row['peer']), row.get('title', ''), figure(row['syncs_per_msg'], 3), ', '.join(f'{k} {v}' for k, v in row['calls_per_msg'].items()) or '–'))
    return '\n'.join(out)


def full(rows):
    """what `bench-full` prints"""
    parts = ['### Accept\n\n' + star(rows, 'accept'), '### End to end\n\n' + star(rows, 'e2e')]
    if verdict.Table(rows).values('portal', 'postern', 'rate'):
        parts.append('### Portal\n\n' + star(rows, 'portal'))
    parts.append('### Limits of this machine\n\n' + limits(rows))
    if syncs(rows):
        parts.append('### Calls that sync, at accept\n\n' + syncs(rows))
    parts += [special(rows) for special in (start, idle) if special(rows)]
    return '\n\n'.join(parts)
