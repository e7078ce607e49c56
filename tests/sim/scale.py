#!/usr/bin/env python3
"""make sim-scale: the swarm's decisions in sites of up to 1,000 nodes, and in 100 sites of 100.

ONLY='1x1000*' (SITESxNODES/CONDITION, a glob) runs some of the cases. One that fails or is not done in time says so.

    scale.py SIM OUT [QUICK]      1 GiB, WAN 500 Mbit/s, LAN 1 Gbit/s, 20 ms; OUT/scale.md, .json, .svg

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
LARGE = ((1, 1000), (100, 100))
TRACKER_MOST = 5.0  # % of a core
RATIO_MOST = {'stable': 1.10, 'congested': 1.15, 'varying': 1.15}
COPIES_MOST = 1.02


def words(sites, nodes, condition, size):
    return [f'sites={sites}', f'nodes={nodes}', f'size={size}', 'wan=500M', 'lan=1G', 'rtt=20', 'between=10',
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
    one = sorted((case[1], got) for case, got in rows if case[0] == 1 and case[2] == 'stable')
    x = [n for n, _ in one]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    left.plot(x, [g['said_bytes_s'] for _, g in one], 'o-', color='#0072B2', label='says')
    left.plot(x, [g['heard_bytes_s'] for _, g in one], 's-', color='#D55E00', label='hears')
    left.set(xscale='log', yscale='log', xlabel='nodes of the site', ylabel='bytes/s of messages, mean node')
    left.legend(frameon=False)
    cpu = [(n, g['tracker_percent']) for n, g in one if g['tracker_percent'] > 0]
    right.plot([n for n, _ in cpu], [p for _, p in cpu], 'o-', color='#0072B2')
    right.axhline(TRACKER_MOST, color='#999999', linewidth=1)
    right.set(xscale='log', yscale='log', xlabel='nodes of the site', ylabel='tracker, % of a core')
    figure.savefig(path, metadata={'Date': None})


def main():
    sim, out, quick = sys.argv[1], sys.argv[2], len(sys.argv) > 3 and sys.argv[3]
    size = '64M' if quick else '1024M'
    cases = [(1, n, 'stable') for n in (GROWING[:4] if quick else GROWING)]
    cases += [] if quick else [(s, n, c) for s, n in LARGE for c in CONDITIONS]
    only = os.environ.get('ONLY') or '*'
    cases = [c for c in cases if fnmatch.fnmatch(f'{c[0]}x{c[1]}/{c[2]}', only)]
    if not cases:
        sys.exit(f'sim-scale: no case is named {only}: expected SITESxNODES/CONDITION, as 1x1000/stable')
    cases.sort(key=lambda c: -c[0] * c[1])

    def one(case):
        try:
            got = study.pull(sim, words(*case, size))
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
    sys.exit(len(done) < len(rows) or any(got['failed'] for _, got in done))


if __name__ == '__main__':
    main()
