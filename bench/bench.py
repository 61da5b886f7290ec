#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs mail servers side by side against one load source and one sink. See README.md.

    bench.py quick                 a few minutes: the figures that matter; exit status 1 below a floor
    bench.py musts                 the figures with floors, five rounds of at least 10 s each
    bench.py full                  one thing varied at a time: sessions, sizes, TLS, DKIM, domains, a slow sink, deferrals, the portal, …
    bench.py show quick|musts|full print the tables of what has been measured
    bench.py write                 put musts and full into doc/performance.json, its tables into doc/performance.md, and the plots beside
    bench.py install [PEER ...]    make the peers' trees
    bench.py one accept|e2e PEER [key=value ...]   a single run, as JSON

musts and full go on where they were interrupted. With --budget SECONDS it stops before a run that would not fit and
exits with status 75; call it again until it does not.
"""
import argparse
import json
import os
import shutil
import sys

sys.dont_write_bytecode = True
from kit import document, ground, measure, plan, report, verdict  # noqa: E402
from kit.peer import Peer  # noqa: E402

MORE = 75


def install(names):
    for name in names:
        peer = Peer(name)
        peer.call('install')
        print(name, peer.call('version').strip(), flush=True)


def versions(names):
    return {name: Peer(name).call('version', check=False).strip() for name in names}


def prepare(names):
    """peers, then a network of our own, then source and sink"""
    if os.geteuid():
        sys.exit('bench.py: must be root: the peers drop privileges themselves')
    if not os.environ.get('BENCH_OWN_NETWORK'):
        for name in names:
            Peer(name).call('install')
    ground.in_own_network()
    ground.setup()


def carry_out(a, name, steps, about):
    steps = [s for s in steps if (not a.rows or s.row.name in a.rows) and (not a.peers or s.peer in a.peers or s.peer == 'limit')]
    prepare([p for p in plan.ALL if any(s.peer == p for s in steps)])
    results = ground.Results(name, a.fresh, about)
    if a.retry:
        results.forget_failed()
    with ground.Lock():
        whole = plan.carry_out(steps, results, ground.Clock(a.budget))
    shutil.rmtree(os.path.join(ground.PEERS, '.trash'), ignore_errors=True)  # see discard in peers/lib.sh
    return results, whole


def judge(rows, share=1.0):
    """prints what was measured; 1 when a floor is missed"""
    print('\n' + report.musts(rows, share), flush=True)
    cut = verdict.lost(rows)
    if cut:
        print(f'\nPostern lost or delayed messages in: {", ".join(cut)}')
    found = verdict.floors(rows, share)
    missed = [f for f in found if not f['ok']]
    print(f'\n{len(found) - len(missed)} of {len(found)} floors reached')
    return 1 if missed or cut or not found else 0


def quick(a):
    a.fresh = not a.resume
    results, whole = carry_out(a, 'quick', plan.quick(a.seconds or 3.0, a.rounds or 2), None)
    return judge(results.rows, verdict.QUICK_SHARE) if whole else MORE


def musts(a):
    seconds, rounds = a.seconds or 10.0, a.rounds or 5
    results, whole = carry_out(a, 'musts', plan.musts(seconds, rounds), {'seconds': seconds})
    if not whole:
        print('more to do: the same command again goes on')
        return MORE
    return judge(results.rows)


def full(a):
    seconds, rounds = a.seconds or 5.0, a.rounds or 3
    results, whole = carry_out(a, 'full', plan.full(seconds, rounds), {'seconds': seconds})
    if not whole:
        print('more to do: the same command again goes on')
        return MORE
    print('\n' + report.full(results.rows))
    return 0


def write(a):
    kinds = {}
    for kind in ('musts', 'full'):
        path = os.path.join(ground.TMP, kind + '.jsonl')
        if os.path.exists(path):
            lines = [json.loads(line) for line in open(path)]
            kinds[kind] = (lines[0], lines[1:])
    if not kinds:
        sys.exit('bench.py: nothing has been measured yet')
    document.write(kinds, versions(plan.ALL))
    return 0


def show(a):
    path = os.path.join(ground.TMP, a.name + '.jsonl')
    rows = [json.loads(line) for line in open(path)][1:]
    if a.name == 'full':
        print(report.full(rows))
        return 0
    return judge(rows, verdict.QUICK_SHARE if a.name == 'quick' else 1.0)


def one(a):
    prepare([a.peer] if a.peer in plan.ALL else [])
    words = dict(word.split('=', 1) for word in a.settings)
    settings = {k: int(v) if v.isdigit() else float(v) if v.replace('.', '', 1).isdigit() else v for k, v in words.items()}
    if a.function == 'accept':
        settings.setdefault('sessions', 20)
    with ground.Lock():
        subject = () if a.function in ('pair', 'disk') else (a.peer,)
        print(json.dumps(getattr(measure, a.function)(*subject, **settings), indent=1))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    for name in ('quick', 'musts', 'full'):
        c = commands.add_parser(name)
        c.add_argument('--rounds', type=int)
        c.add_argument('--seconds', type=float, help='length of a run')
        c.add_argument('--rows', type=lambda s: s.split(','), help='only these rows, comma-separated')
        c.add_argument('--peers', type=lambda s: s.split(','), help='only these servers')
        c.add_argument('--budget', type=float, help='stop after about so many seconds, exit status 75')
        c.add_argument('--fresh', action='store_true', help='measure everything again')
        c.add_argument('--retry', action='store_true', help='make runs again that failed')
        c.add_argument('--resume', action='store_true', help='quick: keep what is there')
    c = commands.add_parser('show')
    c.add_argument('name', choices=('quick', 'musts', 'full'))
    commands.add_parser('write')
    c = commands.add_parser('install')
    c.add_argument('peers', nargs='*')
    c = commands.add_parser('one')
    c.add_argument('function', choices=('accept', 'e2e', 'portal', 'idle', 'startup', 'syncs', 'pair', 'disk'))
    c.add_argument('peer')
    c.add_argument('settings', nargs='*')
    a = parser.parse_args()
    if a.command == 'install':
        install(a.peers or plan.ALL)
        return 0
    return {'quick': quick, 'musts': musts, 'full': full, 'show': show, 'write': write, 'one': one}[a.command](a)


if __name__ == '__main__':
    sys.exit(main())
