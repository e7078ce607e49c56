#!/usr/bin/env python3
"""make sim-scale: the swarm's decisions in sites of up to 1,000 nodes, and in 100 sites of 100.

ONLY='1x1000*' (SITESxNODES/CONDITION, a glob) runs some of the cases. One that fails or is not done in time says so.

    scale.py SIM OUT [QUICK]      OUT/scale.md, .json, and scale-time.svg, scale-cost.svg

Rows that OUT/scale.json has stay until they are measured again, so a run may be made in pieces. RECORD=1 puts
table and pictures into tests/sim/results, too. Last comes what the lab measured of some pulls (results/lab.json,
written down from tests/netlab/timeline) and what the simulator says of the same.

1 GiB over a WAN of 500 Mbit/s (QUICK: 32 MiB, 100 Mbit/s), LAN 1 Gbit/s, 20 ms.

QUICK is part of make test: sites of up to 300 nodes, of which no copy may come twice over the WAN.

Messages are counted without headers of IP: what a node says (a multicast once) and what it hears. The
tracker's time is that of its decisions, measured while they are simulated; it is without sockets and seals.
"""
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import time

import study

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, '..', 'lib'), os.path.join(HERE, '..', 'bench')]
import loss  # noqa: E402
from node import commit, machine  # noqa: E402

RESULTS = os.path.join(HERE, 'results')

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


def verdict(got):
    missed = [text for text, bad in ((f'{got["ratio"]:.3f} T*', got['ratio'] > RATIO_MOST[got['condition']]),
                                     (f'{got["copies"]:.3f} copies', got['copies'] > COPIES_MOST),
                                     (f'tracker {got["tracker_percent"]:.1f} %',
                                      got['tracker_percent'] > TRACKER_MOST),
                                     (f'{got["failed"]:.0f} failed', got['failed'])) if bad]
    return '**missed**: ' + ', '.join(missed) if missed else 'met'


# Title, axis and its marks, what is drawn, goal.
PANELS = {'time': (('ratio', 'last node / T*', (1, 1.02, 1.04, 1.06, 1.08, 1.1, 1.12), 'ratio',
                    RATIO_MOST['stable']),
                   ('copies', 'WAN copies', (0.98, 1, 1.02, 1.04), 'copies', COPIES_MOST)),
          'cost': (('messages', 'bytes/s of messages, mean node', (2000, 5000, 10000, 20000, 50000, 100000),
                    None, None),
                   ('tracker', 'tracker, % of a core', (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10), 'tracker_percent',
                    TRACKER_MOST))}


def draw(path, rows, panels):
    import matplotlib
    matplotlib.use('svg')
    from matplotlib import pyplot
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'scale', 'axes.spines.top': False,
                                'axes.spines.right': False, 'figure.constrained_layout.use': True})
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4))

    def line(axis, many, key, mark, color, label):
        points = sorted((r['sites'] * r['nodes'], r[key]) for r in rows
                        if (r['sites'] > 1) == many and r['condition'] == 'stable' and r[key] > 0)
        axis.plot([x for x, _ in points], [y for _, y in points], mark, color=color, label=label)
    for axis, (title, text, marks, key, goal) in zip(axes.flat, panels):
        if key is None:
            line(axis, False, 'said_bytes_s', 'o-', '#0072B2', 'one site, says')
            line(axis, False, 'heard_bytes_s', 's-', '#D55E00', 'one site, hears')
            line(axis, True, 'said_bytes_s', 'o', '#009E73', '100 sites, says')
            line(axis, True, 'heard_bytes_s', 's', '#CC79A7', '100 sites, hears')
        else:
            line(axis, False, key, 'o-', '#0072B2', 'one site')
            line(axis, True, key, 'o', '#009E73', '100 sites')
        axis.set(xscale='log', yscale='log', xlabel='nodes', ylabel=text, title=title)
        axis.minorticks_off()
        least, most = axis.dataLim.intervaly
        axis.set(ylim=(min(marks[0], least), max(marks[-1], most)), xlim=(6, 14000))
        axis.set_yticks(marks, [f'{x:,}' for x in marks])
        axis.set_xticks((10, 100, 1000, 10000), ('10', '100', '1,000', '10,000'))
        if goal is not None:
            axis.axhline(goal, color='#999999', linewidth=1, label='goal')
        axis.legend(frameon=False)
    figure.savefig(path, metadata={'Date': None})
    with open(path, encoding='utf-8') as f:  # matplotlib leaves spaces at the ends of lines
        lines = [text.rstrip() for text in f]
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')


def table(rows, not_done):
    yield f'{machine()}; of each row day and commit.'
    yield ''
    yield ('| sites x nodes | condition | T* s | last / T* | WAN copies | says B/s | hears B/s | tracker % of a core '
           '| failed | measured | goal |')
    yield '|' + '---|' * 11
    for r in rows:
        yield (f'| {r["sites"]} x {r["nodes"]} | {r["condition"]} | {r["bound_ms"] / 1000:.1f} | {r["ratio"]:.3f} '
               f'| {r["copies"]:.3f} | {r["said_bytes_s"]:.0f} | {r["heard_bytes_s"]:.0f} '
               f'| {r["tracker_percent"]:.2f} | {r["failed"]:.0f} | {r["when"]}, {r["commit"]} | {verdict(r)} |')
    for sites, nodes, condition in not_done:
        yield f'| {sites} x {nodes} | {condition} |' + ' |' * 8 + ' **not done** |'


def against_lab(sim):
    """What the lab measured, and the simulator of the same pull at the rate that was measured."""
    with open(os.path.join(RESULTS, 'lab.json'), encoding='utf-8') as f:
        runs = json.load(f)
    for run in runs:
        sim_s, sim_copies = loss.simulated(sim, run['nodes'], run['sizes'], run['rate'], run['rtt_ms'])
        said, _ = loss.compared(run['last_s'], run['copies'], sim_s, sim_copies)
        yield f'{run["nodes"]} nodes, {sum(run["sizes"]) >> 20} MiB, {run["rate"] * 8e-6:.1f} Mbit/s ({run["when"]} ' \
              f'at {run["commit"]}): ' + '; '.join(said)


def read(path):
    try:
        with open(path, encoding='utf-8') as f:
            return [r for r in json.load(f) if 'commit' in r]
    except FileNotFoundError:
        return []


def case_of(row):
    return row['sites'], row['nodes'], row['condition']


def in_order(rows):
    return sorted(rows, key=lambda r: (r['sites'], r['nodes'], list(CONDITIONS).index(r['condition'])))


def write(out, rows, text, pictures):
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, 'scale.json'), 'w', encoding='utf-8') as f:
        json.dump(rows, f, indent=1)
    with open(os.path.join(out, 'scale.md'), 'w', encoding='utf-8') as f:
        f.write(text + '\n')
    for name in PANELS if pictures else ():
        draw(os.path.join(out, f'scale-{name}.svg'), rows, PANELS[name])
        if os.environ.get('RECORD'):
            shutil.copy(os.path.join(out, f'scale-{name}.svg'), RESULTS)
    if pictures and os.environ.get('RECORD'):
        shutil.copy(os.path.join(out, 'scale.md'), RESULTS)


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
    head = {'when': time.strftime('%Y-%m-%d'), 'commit': commit()}

    def one(case):
        try:
            got = study.pull(sim, words(*case, size, wan))
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            study.say(f'sim-scale: {case[0]} x {case[1]} {case[2]}: {why}')
            return None
        study.say(f'sim-scale: {case[0]} x {case[1]} {case[2]}: {got["ratio"]:.3f} T*, {got["copies"]:.3f} copies, '
                  f'says {got["said_bytes_s"]:.0f} B/s, hears {got["heard_bytes_s"]:.0f} B/s')
        return {**got, 'sites': case[0], 'nodes': case[1], 'condition': case[2], **head}
    fresh = [r for r in study.all_of(one, cases) if r is not None]
    not_done = sorted(set(cases) - {case_of(r) for r in fresh})
    kept = [] if quick else [r for r in read(os.path.join(out, 'scale.json')) if case_of(r) not in cases]
    rows = in_order(kept + fresh)
    text = '\n'.join(table(rows, not_done))
    if not quick:
        text += '\n\nThe lab against the simulator:\n\n' + '\n'.join('- ' + x for x in against_lab(sim))
    write(out, rows, text, not quick)
    print(text)
    twice = quick and any(r['copies'] > COPIES_MOST for r in fresh)
    sys.exit(bool(not_done) or twice or any(r['failed'] for r in fresh))


if __name__ == '__main__':
    main()
