# SPDX-License-Identifier: Apache-2.0
"""doc/performance.json, the generated part of doc/performance.md, and the plots."""
import json
import os
import re
import statistics

from kit import ground, plot, report, verdict

DOC = os.path.join(ground.TOP, 'doc')
BEGIN, END = '<!-- bench: begin; `make bench-report` writes what follows -->', '<!-- bench: end -->'
KEPT = ('rate', 'mb_per_s', 'accept_rate', 'seconds', 'offered', 'in_use', 'cpu_ms_per_msg', 'flushes_per_msg', 'peak_pss_mib', 'syncs_per_msg', 'kib_per_session', 'pss_mib', 'sessions',
        'greeted_s', 'first_250_s', 'queued', 'sink_connections', 'tls_sessions', 'tls_resumed', 'extra_copies')
SHORT = {'postern': 'Postern', 'postfix': 'Postfix', 'exim': 'Exim', 'opensmtpd': 'OpenSMTPD (no sync)', 'opensmtpd-sync': 'OpenSMTPD + sync', 'limit': 'limit'}


DURABLE = ('postern', 'postfix', 'exim', 'opensmtpd-sync')


def cell(rows):
    """all runs of one server in one row, as lists"""
    found = {'runs': len(rows), 'title': rows[0].get('title')}
    for key in KEPT:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            found[key] = [round(v, 4) if isinstance(v, float) else v for v in values]
    for key in ('dot', 'from_schedule'):
        for p in ('p50', 'p99', 'p999'):
            values = [row[key][p] for row in rows if row.get(key)]
            if values:
                found[f'{key}_{p}_ms'] = values
    for key in ('cpu_ms_by_name', 'pss_mib_by_name', 'calls_per_msg'):
        samples = [row[key] for row in rows if row.get(key)]
        if samples:
            found[key] = {part: round(statistics.median([s.get(part, 0.0) for s in samples]), 4) for part in sorted({p for s in samples for p in s})}
    if any('complete' in row for row in rows):
        found['incomplete'] = sum(row.get('complete') is False for row in rows)
    errors = sorted({row['error'] for row in rows if row.get('error')})
    if errors:
        found['errors'] = errors
    return found


def table_of(rows):
    found = {}
    for row in rows:
        found.setdefault(row['row'], {}).setdefault(row['peer'], []).append(row)
    return {name: {peer: cell(runs) for peer, runs in peers.items()} for name, peers in found.items()}


def chart(rows, names, path, form, peers, digits=None):
    table, groups = verdict.Table(rows), []
    for name, heading in names:
        items = [(SHORT[peer], table.mid(name, peer, *path), 'ours' if peer == 'postern' else 'soft' if peer in ('limit', 'opensmtpd') else 'peer', None) for peer in peers]
        items = [(label, value, kind, report.figure(value, digits)) for label, value, kind, _ in items if value]
        if items:
            groups.append((heading, items))
    return plot.bars(form[0], form[1], groups, form[2]) if groups else None


def plots(rows):
    """file name -> SVG"""
    everyone = ('postern', 'postfix', 'exim', 'opensmtpd-sync', 'opensmtpd')
    note = 'medians; source, server and sink share the cores'
    offered = verdict.Table(rows).mid('paced-20', 'postern', 'offered') or 0
    found = {
        'performance-accept.svg': chart(rows, (('accept-20', '20 sessions'), ('accept-200', '200 sessions')), ('rate',), ('Durable accept, 4 KiB', note, '/s'), everyone),
        'performance-end-to-end.svg': chart(rows, (('e2e-tls', '20 sessions in, TLS 1.3 out'),), ('rate',), ('End to end, 4 KiB', note, '/s'), everyone),
        'performance-cpu.svg': chart(rows, (('e2e-tls', 'end to end over TLS 1.3'), ('accept-200', 'accept, 200 sessions')), ('cpu_ms_per_msg',), ('CPU a message', note, ' ms'), everyone, 3),
        'performance-answers.svg': chart(rows, (('paced-20', 'from the scheduled time to 250'),), ('from_schedule', 'p99'), (f'p99 of answers, {offered:.0f} messages/s offered to each', note, ' ms'), DURABLE),
    }
    return {name: svg for name, svg in found.items() if svg}


def plots_of_star(rows):
    note = 'median messages/s; source, server and sink share the cores'
    found = {'performance-sessions.svg': chart(rows, (('accept-sessions-1', 'accept, 1 session'), ('accept-base', 'accept, 20 sessions'), ('accept-sessions-200', 'accept, 200 sessions'),
                                                      ('accept-sessions-1000', 'accept, 1,000 sessions'), ('e2e-sessions-1', 'end to end, 1 session'), ('e2e-base', 'end to end, 20 sessions'),
                                                      ('e2e-sessions-200', 'end to end, 200 sessions'), ('e2e-sessions-1000', 'end to end, 1,000 sessions')),
                                               ('rate',), ('By sessions, 4 KiB', note, '/s'), DURABLE)}
    return {name: svg for name, svg in found.items() if svg}


def about(head):
    m = head['machine']
    return (f'{m["cores"]} cores ({m["processor"]}) shared by source, server and sink, {m["memory_gib"]:.0f} GiB, {m["system"]}, Linux {m["kernel"]}, '
            f'{" ".join(m["openssl"].split()[:2])}, {m["file_system"].split()[0] if m["file_system"] else "unknown file system"} on {m["disk"]}')


def generated(kinds, versions):
    parts = [BEGIN]
    if 'musts' in kinds:
        head, rows = kinds['musts']
        rounds = max((row['run'] for row in rows), default=0)
        parts.append(f'## Figures with floors\n\nCommand: `make bench-musts`. Measured {head["date"][:10]} on {about(head)}. Medians of {rounds} interleaved round{"s" * (rounds > 1)}, runs of at least {head["about"]["seconds"]:g} s. '
                     'Versions: ' + ', '.join(f'{report.NAMES[k].split(" as ")[0].split(" with ")[0]} {v.split()[-1]}' for k, v in versions.items() if k != 'opensmtpd-sync' and v) + '.')
        for name in plots(rows):
            parts.append(f'![{name[12:-4].replace("-", " ")}]({name})')
        parts.append(report.musts(rows))
    if 'full' in kinds:
        head, rows = kinds['full']
        rounds = max((row['run'] for row in rows), default=0)
        parts.append(f'## One thing at a time\n\nCommand: `make bench-full`. Measured {head["date"][:10]} on {about(head)}. Medians (least – most) of {rounds} interleaved round{"s" * (rounds > 1)}, runs of {head["about"]["seconds"]:g} s; each line '
                     'differs from the base line in what it names. *(cut)*: not everything was delivered in time; *(n in use)*: the server took no more sessions.')
        for name in plots_of_star(rows):
            parts.append(f'![{name[12:-4].replace("-", " ")}]({name})')
        parts.append(report.full(rows))
    parts.append(END)
    return '\n\n'.join(parts)


def write(kinds, versions):
    """what was not measured this time stays as it was in the JSON, and in the text through it"""
    path = os.path.join(DOC, 'performance.json')
    old = json.load(open(path)) if os.path.exists(path) else {}
    data = {'peers': versions, **{kind: old[kind] for kind in ('musts', 'full') if kind in old}}
    for kind, (head, rows) in kinds.items():
        data[kind] = {'date': head['date'], 'program': head['program'], 'seconds': head['about']['seconds'], 'machine': head['machine'], 'rows': table_of(rows)}
        if kind == 'musts':
            data[kind]['floors'] = verdict.floors(rows)
    with open(path, 'w') as file:
        json.dump(data, file, indent=1)
        file.write('\n')
    for kind, draw in (('musts', plots), ('full', plots_of_star)):
        for name, svg in (draw(kinds[kind][1]) if kind in kinds else {}).items():
            with open(os.path.join(DOC, name), 'w') as file:
                file.write(svg)
    path = os.path.join(DOC, 'performance.md')
    text = open(path).read()
    if BEGIN not in text:
        text += '\n' + BEGIN + '\n' + END + '\n'
    before, rest = text.split(BEGIN, 1)
    middle, after = rest.split(END, 1)
    new = generated(kinds, versions)
    for kind, title in (('musts', '## Figures with floors'), ('full', '## One thing at a time')):
        kept = re.search(rf'^{title}\n.*?(?=^## |\Z)', middle, re.M | re.S)
        if kind not in kinds and kept:
            new = new.replace(END, kept.group(0).strip() + '\n\n' + END)
    with open(path, 'w') as file:
        file.write(before + new + after)
    print('written: doc/performance.json, doc/performance.md and plots')
