#!/usr/bin/env python3
"""One row of the edge benchmark, in a cell (tests/lib/cell.sh): one system brings one image to all nodes in
one scenario, and everything that can be counted is.

    row.py SPEC RESULT      files of JSON; edge.py writes the one and reads the other
"""
import concurrent.futures
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
import scenarios  # noqa: E402
from scenarios import SITES, bound_s, carried, wan_s  # noqa: E402
from swarm import HOST, Swarm  # noqa: E402
from netlab import HEAD_BYTES  # noqa: E402
from lab import Lab, wait_for  # noqa: E402

SAMPLE_S, PEAK_S = 0.25, 1.0
TICKS = os.sysconf('SC_CLK_TCK')
READY_S = 30.0
NOISE = 'noise'      # the site that background flows come from
DATAGRAM, DATAGRAM_IP = 1400, 1428
BURST_S = 0.01


class Stage(Lab):
    """What Swarm wants of a scenario of the tests, without its cell, clock and verdict."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.name, self.failures, self.passed, self.things = 'bench', [], 0, []
        self.folder, self.lock, self.at_end = os.environ['CELL'], threading.Lock(), []

    def __exit__(self, *_):
        for undo in reversed(self.at_end):
            undo()


class Place:
    """A node as a system sees it: the environment of its calls, and its processes."""

    def __init__(self, row, name):
        self.row, self.name, self.site = row, name, row.net.site[name]
        self.folder = os.path.join(row.stage.folder, 'places', name)
        self.lost_cpu_s, self.peak_rss = 0.0, 0
        cache = os.path.join(row.swarm.caches, name)
        for folder in (self.folder, cache):
            os.makedirs(folder, exist_ok=True)
        firsts = {s: row.net.address[names[0]] for s, names in row.nodes.items()}
        self.env = {**os.environ, 'BENCH_NODE': name, 'BENCH_SITE': self.site,
                    'BENCH_ADDRESS': row.net.address[name], 'BENCH_FIRST': firsts[self.site],
                    'BENCH_SITE_NODES': ' '.join(row.nodes[self.site]),
                    'BENCH_SEEDS': ' '.join(a for s, a in firsts.items() if s != self.site),
                    'BENCH_INSIDE': ' '.join(row.net.prefix(name)),
                    'BENCH_REGISTRY': f'{row.swarm.origin.address}:80', 'BENCH_HOST': HOST,
                    'BENCH_DIR': self.folder, 'BENCH_CACHE': cache, 'BENCH_PULL': self.client()}

    def client(self):
        """A program of this node that pulls the image."""
        path, image = os.path.join(self.folder, 'client'), self.row.image
        targets = [f'/v2/{image.name}/manifests/{image.tag}'] + \
            [f'/v2/{image.name}/blobs/{digest}' for digest, _ in image.blobs]
        with open(path, 'w', encoding='ascii') as f:
            f.write('#!/bin/sh\nexec ' + ' '.join(self.row.net.prefix(self.name)) +
                    f' {self.row.spec["pull"]} -i -n 3 -m sha256 "$1" "$2"' +
                    ''.join(f' "{t}$3"' for t in targets) + '\n')
        os.chmod(path, 0o755)
        return path

    def call(self, what, check=True):
        done = subprocess.run([self.row.program, what], env=self.env, stdin=subprocess.DEVNULL, check=False,
                              capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f'{self.row.spec["system"]} {what} of {self.name} ended with '
                                 f'{done.returncode}: {done.stderr.strip()[-500:]}')
        return done

    def pids(self):
        """What `start` named, and all that came of it."""
        try:
            with open(os.path.join(self.folder, 'pids'), encoding='ascii') as f:
                todo = [int(word) for word in f.read().split()]
        except FileNotFoundError:
            return []
        found = []
        while todo:
            pid = todo.pop()
            try:
                with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
                    todo += [int(word) for word in f.read().split()]
                found.append(pid)
            except OSError:
                pass
        return found

    def look(self):
        """CPU seconds so far; the peak of memory is kept."""
        cpu, rss = 0, 0
        for pid in self.pids():
            try:
                with open(f'/proc/{pid}/stat', encoding='ascii') as f:
                    words = f.read().rsplit(')', 1)[1].split()
                with open(f'/proc/{pid}/status', encoding='ascii') as f:
                    rss += int(re.search(r'VmHWM:\s*(\d+)', f.read())[1]) << 10
                cpu += int(words[11]) + int(words[12])
            except (OSError, TypeError):
                pass
        self.peak_rss = max(self.peak_rss, rss)
        return self.lost_cpu_s + cpu / TICKS

    def kill(self):
        self.lost_cpu_s = self.look()
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)


class Client:
    """One pull: it runs until it ends, is killed, or the row's time is over."""

    def __init__(self, row, place):
        self.place, self.row = place, row
        self.begun_s, self.end_s, self.code, self.said = row.now(), None, None, ''
        self.process = subprocess.Popen([row.program, 'pull'], env=place.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        start_new_session=True)
        self.thread = threading.Thread(target=self.wait, daemon=True)
        self.thread.start()

    def wait(self):
        self.said, self.errors = self.process.communicate()
        self.end_s, self.code = self.row.now(), self.process.returncode

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.thread.join(10)

    def first_byte_s(self):
        """Of a layer, since the pull began."""
        times = [(int(at) + int(first)) / 1e6 for path, size, at, first in re.findall(
            r'^get path=(\d+) \S+ bytes=(\d+) at_us=(\d+) first_us=(\d+)', self.said, re.M)
                 if path != '0' and size != '0']
        return min(times, default=None)

    def stall_s(self):
        return max((int(us) / 1e6 for us in re.findall(r' stall_us=(\d+) ', self.said)), default=None)

    def right(self):
        """All digests are those of the image."""
        sums = re.findall(r'^get path=[1-9]\d* .* sha256=(\w+)', self.said, re.M)
        return self.code == 0 and {'sha256:' + s for s in sums} >= {d for d, _ in self.row.image.blobs}


class Background:
    """Datagrams from elsewhere that take their share of each WAN, whatever happens."""

    def __init__(self, row):
        self.row, self.over = row, threading.Event()
        self.threads = [threading.Thread(target=self.flow, args=(s,), daemon=True) for s in SITES]
        for thread in self.threads:
            thread.start()

    def flow(self, site):
        import socket
        net = self.row.net
        node = self.row.nodes[site][0]
        with net.inside(node):
            sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sink.bind((net.address[node], 9))
        with net.inside(NOISE + '-1'):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out.setsockopt(socket.IPPROTO_UDP, 103, DATAGRAM)  # UDP_SEGMENT: the kernel cuts it
        out.connect((net.address[node], 9))
        steps, rate = self.row.scenario.steps(site), self.row.scenario.wan * 1e6 / 8
        sent, begun, payload = 0, time.monotonic(), bytes(DATAGRAM * 40)
        with sink, out:
            while not self.over.wait(BURST_S):
                at = time.monotonic() - begun
                due = int(rate * (at - carried(steps, at)) / DATAGRAM_IP) - sent
                while due > 0:
                    count = min(due, 40)
                    try:
                        out.send(memoryview(payload)[:count * DATAGRAM])
                    except (BlockingIOError, ConnectionRefusedError):
                        pass
                    sent, due = sent + count, due - count

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(5)


def processors():
    """(time of all processors, idle time) so far, of the whole machine."""
    with open('/proc/stat', encoding='ascii') as f:
        ticks = [int(x) for x in f.readline().split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


class Row:
    def __init__(self, spec, stage):
        self.spec, self.stage = spec, stage
        self.scenario = scenarios.SCENARIOS[spec['scenario']].with_image(spec['image'], spec['share'])
        self.program = os.path.join(HERE, 'systems', spec['system'])
        self.t0, self.series, self.notes = time.monotonic(), [], []

    def now(self):
        return time.monotonic() - self.t0

    def run(self):
        s = self.scenario
        edge = {'nodes': self.spec['nodes'], 'rate': f'{s.wan}mbit', 'lan': f'{s.lan}mbit',
                'delay': f'{scenarios.RTT_MS // 2 - 1}ms'}
        sites = {name: edge for name in SITES}
        if s.taken:
            sites[NOISE] = {'nodes': 1, 'rate': '10gbit', 'delay': '1ms', 'lan': 'none'}
        with Swarm(self.stage, sites) as self.swarm:
            self.net = self.swarm.net
            self.nodes = {site: self.net.nodes(site) for site in SITES}
            self.image = self.swarm.image('bench', self.spec['sizes'])
            self.places = {n: Place(self, n) for names in self.nodes.values() for n in names}
            try:
                return self.measured()
            finally:
                self.each('stop', list(self.places), check=False)

    def each(self, what, names, check=True):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda n: self.places[n].call(what, check), names))

    def start(self, names):
        self.each('start', names)
        for name in names:
            wait_for(f'{name} is ready', lambda n=name: self.places[n].call('ready', False).returncode == 0,
                     READY_S, 0.1)

    # ---- the scenario ----

    def measured(self):
        s = self.scenario
        late = [names[-1] for names in self.nodes.values()] if s.churn else []
        self.goodput = self.measure_goodput()
        if s.churn:  # who is ready waits for those that are there
            for place in self.places.values():
                place.env['BENCH_SITE_NODES'] = ' '.join(n for n in self.nodes[place.site] if n not in late)
        self.start([n for n in self.places if n not in late])
        for place in self.places.values():
            place.env['BENCH_SITE_NODES'] = ' '.join(self.nodes[place.site])
        if s.warm:
            self.warm_up()
        self.conditions()
        wan = max(wan_s(self.image.bytes, self.goodput[x], s.steps(x)) for x in s.cold())
        self.bound = bound_s(s, self.image.bytes, self.goodput, self.nodes,
                             s.registry / s.wan * min(self.goodput.values()))
        self.count_sources()
        cpu = {n: p.look() for n, p in self.places.items()}
        before, busy = self.net.counters(), processors()
        over = threading.Event()
        self.t0 = time.monotonic()
        watcher = threading.Thread(target=self.watch, args=(before, over))
        background = Background(self) if s.taken else None
        if s.varies:
            self.net.play([(at, f'set {x} rate={int(share * s.wan * 1000)}kbit')
                           for x in SITES for at, share in s.steps(x) if at > 0 and at < 900])
        watcher.start()
        clients = self.pulls(wan, late)
        over.set()
        watcher.join()
        if background:
            background.end()
        after, idle = self.net.counters(), processors()
        cpu = {n: p.look() - cpu[n] for n, p in self.places.items()}
        return {**self.result(clients, before, after, cpu), 'cpu_busy': 1 - (idle[1] - busy[1]) / (idle[0] - busy[0])}

    def measure_goodput(self):
        """Payload bytes/s of one long flow over each WAN, all at once, with nothing else there."""
        with concurrent.futures.ThreadPoolExecutor(len(SITES)) as pool:
            return dict(zip(SITES, pool.map(self.swarm.goodput, SITES)))

    def warm_up(self):
        for site in self.scenario.warm:
            self.net.run('set', site, 'rate=1gbit')
            clients = [Client(self, self.places[n]) for n in self.nodes[site]]
            for client in clients:
                client.thread.join(120)
                if not client.right():
                    raise AssertionError(f'warming {client.place.name}: {client.said} {client.errors}')
            self.net.run('set', site, f'rate={self.scenario.wan}mbit')

    def conditions(self):
        s = self.scenario
        if s.registry:
            self.net.run('set', 'cloud.up', f'rate={s.registry}mbit')
        if s.varies:
            for site in SITES:
                self.net.run('set', site, f'rate={int(s.steps(site)[0][1] * s.wan * 1000)}kbit')
        if s.crippled:
            slow = scenarios.crippled_nodes(self.nodes)
            for name in slow:
                self.net.run('set', name, f'wan={s.wan * 1000 // scenarios.SLOW_WAN}kbit')
            port = next(n for names in self.nodes.values() for n in names[1:] if n not in slow)
            self.net.run('set', port, f'rate={s.slow_port}mbit')
            self.notes.append('slow WAN: ' + ', '.join(slow) + '; slow port: ' + port)

    def pulls(self, wan, late):
        """Runs the scenario to its end; the last client of each node counts."""
        s, clients, due = self.scenario, {}, []
        names = [n for site in s.cold() for n in self.nodes[site]]
        step = scenarios.ROLL_OVER * wan / max(1, len(names) - 1) if s.rolling else 0.0
        order = sorted(names, key=lambda n: (int(n.rsplit('-', 1)[1]), n))
        due += [(i * step, self.begin, n) for i, n in enumerate(order) if n not in late]
        if s.churn:
            due += self.churn(wan, late)
        self.clients, self.gone = clients, set()
        limit = self.spec['limit'] * self.bound
        due.sort(key=lambda x: x[0])
        pool = concurrent.futures.ThreadPoolExecutor(8)
        jobs = []
        while due or any(not j.done() for j in jobs) or any(c.end_s is None for c in clients.values()):
            while due and due[0][0] <= self.now():
                _, do, name = due.pop(0)
                jobs.append(pool.submit(do, name))
            if self.now() > limit:
                break
            time.sleep(0.01)
        self.limit = self.now() if self.now() > limit else None
        for client in list(clients.values()):
            client.kill()
        pool.shutdown()
        self.notes += [f'{type(j.exception()).__name__}: {j.exception()}' for j in jobs if j.exception()]
        return clients

    def begin(self, name):
        self.clients[name] = Client(self, self.places[name])

    # Who comes, goes and comes back.

    def churn(self, wan, late):
        victims = []
        due = [(scenarios.LATE_AT * wan, self.come, n) for n in late]
        for site in SITES:
            leader = self.leader(site)
            other = next((n for n in reversed(self.nodes[site]) if n not in late + [leader]), None)
            due.append((scenarios.TRACKER_AT * wan, self.leave, leader))
            due.append((scenarios.TRACKER_BACK_AT * wan, self.come, leader))
            if other:
                due += [(scenarios.KILL_AT * wan, self.leave, other), (scenarios.BACK_AT * wan, self.come, other)]
            victims += [leader, other]
        self.notes.append('killed: ' + ', '.join(filter(None, victims)))
        return due

    def leader(self, site):
        address = self.places[self.nodes[site][0]].call('leader').stdout.strip()
        by_address = {self.net.address[n]: n for n in self.nodes[site]}
        return by_address.get(address, self.nodes[site][0])

    def leave(self, name):
        """The node is off: its processes and its client are gone."""
        self.places[name].kill()
        if name in self.clients:
            self.clients[name].kill()

    def come(self, name):
        self.places[name].call('start')
        self.begin(name)

    # ---- what is counted ----

    def count_sources(self):
        """In each node's own packet filter: who sends how much to it."""
        self.sources = {self.swarm.origin.address: 'registry', **{self.net.address[n]: n for n in self.places}}
        rules = '*filter\n' + ''.join(f'-A INPUT -s {a}\n' for a in self.sources) + 'COMMIT\n'
        for name in self.places:
            subprocess.run(self.net.prefix(name) + ['iptables-restore'], input=rules, text=True, check=True)

    def matrix(self):
        """{receiver: {sender: bytes}}"""
        table = {}
        for name in self.places:
            said = subprocess.run(self.net.prefix(name) + ['iptables', '-L', 'INPUT', '-vnx'], check=True,
                                  capture_output=True, text=True).stdout
            found = re.findall(r'^\s*\d+\s+(\d+)\s.*?(\d+\.\d+\.\d+\.\d+)\s+0\.0\.0\.0/0', said, re.M)
            table[name] = {self.sources[a]: int(size) for size, a in found if a != self.net.address[name]}
        return table

    def into(self, counters):
        """Payload bytes into each site over its WAN, background flows left out."""
        sums = dict.fromkeys(SITES, 0)
        for (kind, name), of in counters.items():
            if kind == 'path' and name.split()[1] in sums and name.split()[0] != NOISE:
                sums[name.split()[1]] += int(of['bytes']) - HEAD_BYTES * int(of['pkts'])
        return sums

    def watch(self, before, over):
        first = self.into(before)
        while not over.wait(SAMPLE_S):
            at, sums = self.now(), self.into(self.net.counters())
            self.series.append([round(at, 3)] + [sums[s] - first[s] for s in SITES])

    def peak_rate(self, column):
        """Bytes/s in the best second."""
        best, points = 0.0, [[0.0] + [0] * len(SITES)] + self.series
        for i, a in enumerate(points):
            b = next((p for p in points[i:] if p[0] >= a[0] + PEAK_S), None)
            if b:
                best = max(best, (b[column] - a[column]) / (b[0] - a[0]))
        return best

    def result(self, clients, before, after, cpu):
        size, share = self.image.bytes, self.spec['share']
        first, last = self.into(before), self.into(after)
        wan = {s: last[s] - first[s] for s in SITES}
        matrix = self.matrix()
        lan = sum(count for n, senders in matrix.items() for other, count in senders.items()
                  if self.net.site.get(other) == self.net.site[n])
        good = [c for c in clients.values() if c.right()]
        bad = {n: c for n, c in clients.items() if not c.right()}
        times = sorted([c.end_s for c in good] + [self.limit or c.end_s for c in bad.values()])
        ratios = [max(c.end_s if c.right() else self.limit or c.end_s, 0) / self.node_bound(c)
                  for c in clients.values()]
        ran = times[-1] if times else self.now()
        node_gb = size / 1e9
        firsts = [c.first_byte_s() for c in clients.values()]
        stalls = [c.stall_s() for c in clients.values()]
        late = int(after['loop', '']['late_10ms']) - int(before['loop', '']['late_10ms'])
        column = {s: 1 + i for i, s in enumerate(SITES)}
        peaks = {s: self.peak_rate(column[s]) for s in SITES}
        for name, client in bad.items():
            self.notes.append(f'{name}: ' + ('not done in time' if self.limit and client.code in (None, -9)
                                             else f'exit {client.code}: {(client.said + client.errors)[-300:]}'))
        return {
            'nodes': len(clients), 'sites': len(SITES), 'bytes': size,
            'bound_s': self.bound / share, 't_p50_s': statistics.median(times) / share,
            't_p99_s': times[min(len(times) - 1, int(len(times) * 0.99))] / share,
            't_max_s': ran / share, 't_ratio_max': max(ratios), 't_ratio_p50': statistics.median(ratios),
            'wan_copies_max': max(wan[s] / size for s in self.scenario.cold()),
            'wan_copies': {s: wan[s] / size for s in SITES},
            'wan_rate_mean': {s: wan[s] / ran for s in SITES}, 'wan_rate_peak': peaks,
            'lan_bytes': lan,
            'cpu_s_per_gb': sum(cpu.values()) / len(clients) / node_gb if any(cpu.values()) else None,
            'rss_peak': max(p.peak_rss for p in self.places.values()) or None,
            'failed': len(bad), 'first_byte_s': max((f for f in firsts if f is not None), default=None),
            'stall_s': max((s for s in stalls if s is not None), default=None),
            'goodput': self.goodput, 'late_packets': late, 'cut_off': self.limit is not None,
            'times_s': times, 'series': self.series, 'matrix': matrix, 'notes': self.notes}

    def node_bound(self, client):
        """Nobody is done before it began and its LAN port has brought all of it."""
        lan = self.scenario.lan * 1e6 / 8 * scenarios.LAN_SHARE
        return max(self.bound, client.begun_s + self.image.bytes / lan)


def main():
    with open(sys.argv[1], encoding='utf-8') as f:
        spec = json.load(f)
    with Stage() as stage:
        result = Row(spec, stage).run()
    with open(sys.argv[2], 'w', encoding='utf-8') as f:
        json.dump(result, f)


if __name__ == '__main__':
    main()
