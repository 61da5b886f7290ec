# SPDX-License-Identifier: Apache-2.0
"""
Reads test/system/tls_outcomes.md, the table for auditors, and puts what really happened into its words.

A cell is `LEVEL ROW` for a delivery (dane 3, verified 7, encrypted 10, clear 11), `held ROW`, `portal`, `dropped`, or
`failed STATUS`; ROW is that of doc/tls.md.
"""
import os
import re

PATH = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'tls_outcomes.md')
LEVELS = {'none': 'clear', 'encrypted': 'encrypted', 'verified': 'verified', 'dane': 'dane'}
CELL = re.compile(r'(dane|verified|encrypted|clear) \d+|held( \d+)?|portal|dropped|failed \d\.\d+\.\d+')


def read_table(path=PATH):
    """
    case -> {column: cell}. The tables of the file are those whose first column is called `case`; the column `what` is
    for people.
    """
    rows, head = {}, None
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            cells = [cell.strip().strip('`') for cell in line.strip().strip('|').split('|')]
            if not line.startswith('|'):
                head = None
            elif head is None:
                head = cells
            elif head[0] == 'case' and not set(cells[0]) <= set('-: '):
                assert len(cells) == len(head), f'{path}:{number}: {len(cells)} cells, the head has {len(head)}'
                row = dict(zip(head[1:], cells[1:]))
                row.pop('what', None)
                assert cells[0] not in rows, f'{path}:{number}: {cells[0]} stands there twice'
                for cell in row.values():
                    assert CELL.fullmatch(cell), f'{path}:{number}: what is "{cell}"?'
                rows[cells[0]] = row
    return rows


def outcome_of(recipient, status):
    """
    The story of one recipient, as `postern trace --json` tells it, in the words of the table. status: what the sender
    was told of a failure, None if nothing.
    """
    events = recipient['events']
    state, method = recipient['state'], recipient['method']
    row = next((event['row'] for event in reversed(events) if event.get('row')), None)
    if state == 'delivered':
        last = [event for event in events if event['event'] == 'delivered'][-1]
        return f'{LEVELS[last["level"]]} {last.get("row")}'
    if state == 'failed':
        return f'failed {status}'
    if state == 'dropped':
        return 'dropped'
    if method == 'portal':
        return 'portal'
    if state == 'deferred':
        return f'held {row}' if row else 'held'
    return state


def status_of(report):
    """What a failure report says: {recipient: status}."""
    found = {}
    for part in report.walk():
        if part.get_content_type() == 'message/delivery-status':
            for fields in part.get_payload()[1:]:
                found[fields['Final-Recipient'].partition(';')[2].strip()] = fields['Status']
    return found
