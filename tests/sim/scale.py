#!/usr/bin/env python3
"""make sim-scale: the swarm's decisions in sites of up to 1,000 nodes, and in 100 sites of 100.

ONLY='1x1000*' (SITESxNODES/CONDITION, a glob) runs some of the cases. One that fails or is not done in time says so.

    scale.py SIM OUT [QUICK]      OUT/scale.md, .json, .svg

1 GiB over a WAN of 500 Mbit/s (QUICK: 32 MiB, 100 Mbit/s), LAN 1 Gbit/s, 20 ms.

QUICK is part of make test: sites of up to 300 nodes, of which no copy may come twice over the WAN.

Messages are counted without headers of IP: what a node says (a multicast once) and what it hears. The
tracker's time is that of its decisions, measured while they are simulated; it is without sockets and seals.
"""
import fnmatch
import json
import os
import subprocess
import sys

import study

CONDITIONS = {'stable': [], 'congested': ['wan@0=500', 'wan@5000=100', 'wan@20000=400', 'wan@60000=300'],
              'varying': ['wan@3000=300', 'wan@7000=1000', 'wan@12000=100', 'wan@25000=700']}
GROWING = (8, 16, 32, 64, 128, 256, 512)
QUICK = (8, 32, 64, 300)
LARGE = ((1, 1000), (100, 100))
TRACKER_MOST = 5.0  # % of a core
RATIO_MOST = {'stable': 1.10, 'congested': 1.15, 'varying': 1.15}
COPIES_MOST = 1.02


def words(sites, nodes, condition, size, wan):
    return [f'sites={sites}', f'nodes={nodes}', f'size={size}', f'wan={wan}', 'lan=1G', 'rtt=20', 'between=10',
            *CONDITIONS[condition]]


def verdict(case, got):
    missed = [text for text, bad in ((f'{got["ratio"]:.3f} T*', got['ratio'] > RATIO_MOST[case[2]]),
                                     (f'{got["copies"]:.3f} copies', got['copies'] > COPIES_MOST),
                                     (f'tracker {got["tracker_percent"]:.1f} %',
                                      got['tracker_percent'] > TRACKER_MOST),
                                     (f'{got["failed"]:.0f} failed', got['failed'])) if bad]
    return '**missed**: ' + ', '.join(missed) if missed else 'met'


def draw(path, rows):
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'scale', 'axes.spines.top': False,
                                'axes.spines.right': False, 'figure.constrained_layout.use': True})
    panels = (('ratio', 'last node / T*', 'ratio', RATIO_MOST['stable']),
              ('copies', 'WAN copies', 'copies', COPIES_MOST),
              ('messages', 'bytes/s of messages, mean node', None, None),
              ('tracker', 'tracker, % of a core', 'tracker_percent', TRACKER_MOST))
    figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.4))

    def line(axis, many, key, mark, color, label):
        points = sorted((case[0] * case[1], got[key]) for case, got in rows
                        if (case[0] > 1) == many and case[2] == 'stable' and got[key] > 0)
        axis.plot([x for x, _ in points], [y for _, y in points], mark, color=color, label=label)
    for axis, (title, text, key, goal) in zip(axes.flat, panels):
        if key is None:
            line(axis, False, 'said_bytes_s', 'o-', '#0072B2', 'one site, says')
            line(axis, False, 'heard_bytes_s', 's-', '#D55E00', 'one site, hears')
            line(axis, True, 'said_bytes_s', 'o', '#009E73', '100 sites, says')
            line(axis, True, 'heard_bytes_s', 's', '#CC79A7', '100 sites, hears')
        else:
            line(axis, False, key, 'o-', '#0072B2', 'one site')
            line(axis, True, key, 'o', '#009E73', '100 sites')
        axis.set(xscale='log', yscale='log', xlabel='nodes', ylabel=text, title=title)
        if goal is not None:
            axis.axhline(goal, color='#999999', linewidth=1, label='goal')
        axis.legend(frameon=False)
    figure.savefig(path, metadata={'Date': None})


def main():
    sim, out, quick = sys.argv[1], sys.argv[2], len(sys.argv) > 3 and sys.argv[3]
    size, wan = ('32M', '100M') if quick else ('1024M', '500M')
    cases = [(1, n, 'stable') for n in (QUICK if quick else GROWING)]
    cases += [] if quick else [(s, n, c) for s, n in LARGE for c in CONDITIONS]
    only = os.environ.get('ONLY') or '*'
    cases = [c for c in cases if fnmatch.fnmatch(f'{c[0]}x{c[1]}/{c[2]}', only)]
    if not cases:
        sys.exit(f'sim-scale: no case is named {only}: expected SITESxNODES/CONDITION, as 1x1000/stable')
    cases.sort(key=lambda c: -c[0] * c[1])

    def one(case):
        try:
            got = study.pull(sim, words(*case, size, wan))
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            study.say(f'sim-scale: {case[0]} x {case[1]} {case[2]}: {why}')
            return case, None
        study.say(f'sim-scale: {case[0]} x {case[1]} {case[2]}: {got["ratio"]:.3f} T*, {got["copies"]:.3f} copies, '
                  f'says {got["said_bytes_s"]:.0f} B/s, hears {got["heard_bytes_s"]:.0f} B/s')
        return case, got
    rows = sorted(study.all_of(one, cases), key=lambda r: (r[0][0], r[0][1], list(CONDITIONS).index(r[0][2])))
    lines = ['| sites x nodes | condition | T* s | last / T* | WAN copies | says B/s | hears B/s | tracker % of a core '
             '| failed | goal |', '|' + '---|' * 10]
    for case, got in rows:
        if got is None:
            lines.append(f'| {case[0]} x {case[1]} | {case[2]} |' + ' |' * 7 + ' **not done** |')
            continue
        lines.append(f'| {case[0]} x {case[1]} | {case[2]} | {got["bound_ms"] / 1000:.1f} | {got["ratio"]:.3f} '
                     f'| {got["copies"]:.3f} | {got["said_bytes_s"]:.0f} | {got["heard_bytes_s"]:.0f} '
                     f'| {got["tracker_percent"]:.2f} | {got["failed"]:.0f} | {verdict(case, got)} |')
    os.makedirs(out, exist_ok=True)
    done = [(case, got) for case, got in rows if got is not None]
    with open(os.path.join(out, 'scale.json'), 'w', encoding='utf-8') as f:
        json.dump([{'sites': c[0], 'nodes': c[1], 'condition': c[2], **g} for c, g in done], f, indent=1)
    with open(os.path.join(out, 'scale.md'), 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    if not quick:
        draw(os.path.join(out, 'scale.svg'), done)
    print('\n'.join(lines))
    twice = quick and any(got['copies'] > COPIES_MOST for _, got in done)
    sys.exit(len(done) < len(rows) or twice or any(got['failed'] for _, got in done))


if __name__ == '__main__':
    main()
