#!/usr/bin/env python3
"""make bench: real daemons at the edge, in the project's network lab, against what else there is.

Every system of tests/bench/systems brings every image to three sites of five nodes in every scenario
(scenarios.py); two policies of other systems run as models in our own simulator. Each row is measured
in a lab of its own (row.py). The results go to OUT/results.json after each row, the table to OUT/table.md
and the standard output, the pictures to OUT/*.svg (report.py).

    QUICK=1                three scenarios, one image: under five minutes
    ONLY=SCENARIO/IMAGE    globs: ONLY=stable/*
    SYSTEMS='direct x'     only these systems; SYSTEMS=models: the models alone
    MERGE=1                rows that OUT/results.json has already stay, but for those measured now: the
                           run in pieces, ONLY= after ONLY=. A row measured with another program or on another
                           day says so in the table.
    REPORT=1               measures nothing: table and pictures of what OUT has, also into README.md
    MINUTES=N              no row begins that would not end by then
    SHARE=1                all systems pull the whole image. Usually those whose nodes do not share pull
                           an eighth of a large one, and their seconds are multiplied: their
                           time is the WAN's, of which they use five times as much, and an hour is short.
"""
import argparse
import concurrent.futures
import datetime
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import models
import report
import scenarios
from node import commit, machine

HERE = os.path.dirname(os.path.abspath(__file__))
CELL = os.path.join(HERE, '..', 'lib', 'cell.sh')
SHARE, QUICK_SHARE = 1 / 8, 1 / 16
SHARED_MIN = 32 * scenarios.MIB   # no layer is made smaller than that
BESIDE = 3                        # rows that wait for WANs, not for processors, run beside each other
SETUP_S = 14.0                    # lab, daemons, goodput
LIMIT, QUICK_LIMIT = 3.0, 2.0     # times T*: then a row of peersync ends
OTHER_LIMIT, UNENDING_LIMIT = 12.0, 8.0  # unending: who has no neighbours to share with is never done
MINUTES, QUICK_MINUTES = 57.0, 4.7
MEMORY_SHARE = 0.6                # of what is free: caches of one row
NODES_MIN = 2                     # of a site: one alone shares nothing


def say(text):
    print(f'bench: {text}', file=sys.stderr, flush=True)


class Spec:
    """One row to come."""

    def __init__(self, scenario, image, system, given):
        self.scenario, self.image, self.system = scenario, image, system
        self.share = 1.0 if system == 'peersync' or given.share else QUICK_SHARE if given.quick else SHARE
        sizes = scenarios.IMAGES[image]
        self.sizes = [x if x < SHARED_MIN else max(SHARED_MIN, int(x * self.share)) for x in sizes]
        self.share = sum(self.sizes) / sum(sizes)
        self.nodes = max(NODES_MIN, nodes_for(sum(sizes)))
        self.fits = nodes_for(sum(sizes)) >= NODES_MIN
        other = UNENDING_LIMIT if scenarios.SCENARIOS[scenario].crippled else OTHER_LIMIT
        self.limit = other if system != 'peersync' else QUICK_LIMIT if given.quick else LIMIT
        self.at = scenarios.SCENARIOS[scenario].with_image(image, self.share)

    @property
    def name(self):
        return f'{self.scenario}/{self.image}'

    def bound_s(self):
        """T* with the goodput that a WAN of this rate usually has."""
        goodput = dict.fromkeys(scenarios.SITES, self.at.wan * 1e6 / 8 * 1448 / 1500)
        names = {s: [f'{s}-{i}' for i in range(self.nodes)] for s in scenarios.SITES}
        return scenarios.bound_s(self.at, sum(self.sizes), goodput, names,
                                 self.at.registry * 1e6 / 8 * 1448 / 1500)

    def estimate_s(self):
        slower = 1.15 if self.system == 'peersync' else self.limit if self.at.crippled else self.nodes
        slower *= 2 if self.at.registry and self.system != 'peersync' else 1
        warm = 12 if self.at.warm else 0
        return SETUP_S + warm + sum(self.sizes) / 200e6 + slower * self.bound_s()

    def run(self, given):
        """The row of results.json; a row that could not be measured says why."""
        with tempfile.TemporaryDirectory(prefix='peersync-bench.') as folder:
            spec, out = (os.path.join(folder, x) for x in ('spec', 'out'))
            with open(spec, 'w', encoding='utf-8') as f:
                json.dump({'scenario': self.scenario, 'image': self.image, 'system': self.system,
                           'nodes': self.nodes, 'sizes': self.sizes, 'share': self.share,
                           'limit': self.limit, 'pull': given.pull}, f)
            seconds = int(2 * SETUP_S + 60 + sum(self.sizes) / 50e6 + self.limit * 1.3 * self.bound_s())
            done = subprocess.run([CELL, 'bench', str(seconds), sys.executable,
                                   os.path.join(HERE, 'row.py'), spec, out], check=False,
                                  capture_output=True, text=True,
                                  env={**os.environ, 'PEERSYNC': given.peersync, 'BUILD': given.build})
            row = {'scenario': self.name, 'system': self.system, 'kind': 'measured', 'share': self.share}
            if done.returncode == 0 and os.path.exists(out):
                with open(out, encoding='utf-8') as f:
                    return {**row, **json.load(f)}
            why = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ['no word']
            return {**row, **report.NOT_RUN, 'nodes': self.nodes * len(scenarios.SITES), 'notes': why}


def nodes_for(size):
    """Of each site: five, or as many as have room for the image in memory."""
    with open('/proc/meminfo', encoding='ascii') as f:
        free = next(int(line.split()[1]) << 10 for line in f if line.startswith('MemAvailable'))
    room = int((free * MEMORY_SHARE - 0.1 * size) // (size * len(scenarios.SITES)))
    return min(scenarios.NODES, room)


class Bench:
    def __init__(self, given):
        self.given, self.begun, self.lock = given, time.monotonic(), threading.Lock()
        os.makedirs(given.out, exist_ok=True)
        self.rows = report.read(given.out) if given.merge or given.report else []
        self.head = {'when': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
                     'commit': commit(), 'machine': machine()}

    def cases(self):
        for name, scenario in scenarios.SCENARIOS.items():
            for image in scenarios.IMAGES:
                quick = name in scenarios.QUICK and image == '512M'
                if fnmatch.fnmatch(f'{name}/{image}', self.given.only) and (quick or not self.given.quick):
                    yield scenario, image

    def run(self):
        cases, systems = list(self.cases()), self.given.systems
        if not cases:
            sys.exit(f'bench: no scenario is named {self.given.only}: expected SCENARIO/IMAGE of '
                     f'{", ".join(scenarios.SCENARIOS)} and {", ".join(scenarios.IMAGES)}')
        specs = [Spec(s.name, i, system, self.given) for s, i in cases for system in systems]
        alone = [s for s in specs if s.system not in self.given.beside]
        beside = [s for s in specs if s.system in self.given.beside]
        whole = sum(s.estimate_s() for s in alone) + sum(s.estimate_s() for s in beside) / BESIDE
        for spec in beside + alone:
            say(f'{spec.name:22} {spec.system:10} about {spec.estimate_s():4.0f} s, T* {spec.bound_s():5.1f} s')
        say(f'{len(specs)} rows, {whole / 60:.0f} minutes by estimate, at most {self.given.minutes:.0f}')
        for scenario, image in cases if self.given.models else []:
            for row in models.rows(self.given.sim, scenario, image,
                                   max(NODES_MIN, nodes_for(sum(scenarios.IMAGES[image])))):
                self.add(row)
        with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
            list(pool.map(self.one, beside))
        for spec in alone:
            self.one(spec)

    def one(self, spec):
        spent = time.monotonic() - self.begun
        old = next((r for r in self.rows if (r['scenario'], r['system']) == (spec.name, spec.system)), None)
        if spent + spec.estimate_s() > self.given.minutes * 60 and old and old['t_max_s'] is not None:
            say(f'{spec.name} {spec.system}: out of time; the row of {old["when"]} stays')
            return
        late = spent + spec.estimate_s() > self.given.minutes * 60
        if late or not spec.fits:
            row = {'scenario': spec.name, 'system': spec.system, 'kind': 'measured', 'share': spec.share,
                   **report.NOT_RUN, 'nodes': spec.nodes * len(scenarios.SITES),
                   'notes': ['out of time' if late else 'the caches do not fit into memory']}
        else:
            row = spec.run(self.given)
        with self.lock:
            self.add(row)

    def add(self, row):
        row.update(goal=report.verdict(row), when=self.head['when'], commit=self.head['commit'])
        self.rows = [r for r in self.rows if (r['scenario'], r['system']) != (row['scenario'], row['system'])]
        self.rows.append(row)
        say(f'{time.monotonic() - self.begun:5.0f} s: ' + report.line(row))
        report.write(self.given.out, self.head, self.rows)


def options():
    quick = os.environ.get('QUICK') == '1'
    found = sorted(f for f in os.listdir(os.path.join(HERE, 'systems'))
                   if os.access(os.path.join(HERE, 'systems', f), os.X_OK))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ('peersync', 'pull', 'sim', 'build', 'out'):
        parser.add_argument('--' + name, required=True, type=os.path.abspath)
    given = parser.parse_args()
    given.quick, given.only = quick, os.environ.get('ONLY') or '*'
    named = os.environ.get('SYSTEMS', '').split()
    given.models = not named or 'models' in named
    given.systems = [s for s in (named or found) if s != 'models']
    for name in set(given.systems) - set(found):
        sys.exit(f'bench: no system {name}: expected one of {", ".join(found)}, models')
    given.systems.sort(key=lambda s: (s != 'peersync', s))
    given.beside = {'direct', 'registry'}  # they wait for WANs; others may need the processors
    given.merge, given.report = (os.environ.get(x) == '1' for x in ('MERGE', 'REPORT'))
    given.share = os.environ.get('SHARE') == '1'
    given.minutes = float(os.environ.get('MINUTES') or (QUICK_MINUTES if quick else MINUTES))
    return given


def main():
    given = options()
    for tool in ('nginx', 'docker-registry', 'curl', 'iptables-restore', 'nsenter'):
        if shutil.which(tool) is None:
            sys.exit(f'bench: {tool} is missing: make deps-bench')
    if os.geteuid() != 0:
        sys.exit('bench: needs root: it makes network namespaces')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('bench: ended by a signal'))
    bench = Bench(given)
    if given.report:
        if not bench.rows:
            sys.exit(f'bench: {given.out} has no rows yet: make bench')
        report.write(given.out, bench.head, bench.rows)
    else:
        bench.run()
    report.draw(given.out, bench.rows)
    if given.report:
        report.into_readme(os.path.join(HERE, '..', '..', 'README.md'), os.path.join(HERE, 'results'), given.out,
                           bench.head, bench.rows)
    print(report.text(bench.head, bench.rows))
    sys.exit(any(row['system'] == 'peersync' and row['t_max_s'] is None for row in bench.rows))


if __name__ == '__main__':
    main()
