#!/usr/bin/env python3
"""bench-node: one peersync against nginx and docker-registry, in one table.

Every figure is a ratio inside one round, and the rounds are interleaved: the servers take turns
within a round, and the turn rotates. What stands in the table is the median over the rounds. All
traffic is on the loopback; everything is below one temporary folder and gone at the end.

--subject nginx puts nginx (as a caching proxy) in the place of peersync: its ratios must come out
near 1, which proves the bench itself.
"""

import argparse
import datetime
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from content import MANIFEST_TYPE, Content
from servers import UPSTREAM_RATE, DockerRegistry, Nginx, Peersync, wait_until

CLIENTS = 8
TRANSFERS = 4
WRK_SECONDS = 3
WRK_CONNECTIONS = 32
GIB = 1 << 30
VERDICT = {True: "met", False: "**missed**", None: ""}


def say(text):
    print(f"bench-node: {text}", file=sys.stderr, flush=True)


class Pull:
    """The client (pull.c) and what it printed."""

    binary = ""

    def __init__(self, server, paths, connections=1, repeats=1, mode="drop"):
        argv = [self.binary, "-n", str(connections), "-r", str(repeats), "-m", mode]
        run = subprocess.run(argv + ["127.0.0.1", str(server.port)] + paths, check=False,
                             stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"pull from {server.name} failed:\n{run.stdout}")
        lines = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in run.stdout.splitlines()]
        self.bytes = int(lines[-1]["bytes"])
        self.seconds = int(lines[-1]["us"]) / 1e6
        self.first_ms = int(lines[-1]["first_us_max"]) / 1e3
        self.sums = [line["sha256"] for line in lines[:-1]]


class Bench:
    def __init__(self, options, folder):
        self.size = options.mib << 20
        self.rounds = options.rounds
        self.transfers = [f"bench/transfer{i}" for i in range(TRANSFERS)]
        self.results = {}  # (measure, server name) -> one value a round
        self.running = []
        say(f"making {TRANSFERS} blobs of {options.mib} MiB")
        self.content = Content(f"{folder}/content").add_image("bench/small", 100, layers=10)
        for name in self.transfers:
            self.content.add_image(name, self.size)
        self.image = self.transfers[0]
        self.files = Nginx(f"{folder}/files", self.content)
        self.upstream = Nginx(f"{folder}/upstream", self.content, rate=UPSTREAM_RATE)
        if options.subject == "nginx":
            self.subject = Nginx(f"{folder}/subject", self.content, upstream=self.upstream)
            self.subject.name = "nginx-proxy"
            self.alone = None
        else:
            self.subject = Peersync(f"{folder}/subject", self.upstream, options.peersync)
            self.alone = Peersync(f"{folder}/alone", self.upstream, options.peersync, swarm=True)
        self.registry = DockerRegistry(f"{folder}/registry", self.upstream)

    def note(self, measure, server, value):
        self.results.setdefault((measure, server.name), []).append(value)

    def start(self, server):
        self.running.append(server)
        return server.start()

    def stop(self, server):
        server.stop()
        self.running.remove(server)

    def stop_all(self):
        for server in list(self.running):
            self.stop(server)

    def verified(self, server, name):
        """A pull that must give the right bytes: a fast server of wrong ones is worth nothing."""
        got = Pull(server, [self.content.blob_path(name)], mode="sha256").sums
        if got != [self.content.blobs[name].removeprefix("sha256:")]:
            raise RuntimeError(f"{server.name} served wrong bytes")

    def manifest(self, server, name):
        """As a client begins; it also lets a mirror learn which repository names the blob."""
        return Pull(server, [self.content.manifest_path(name)])

    def turns(self, servers, number):
        return servers[number % len(servers):] + servers[:number % len(servers)]

    def cached(self):
        servers = [self.files, self.subject, self.registry]
        for server in servers[1:]:
            self.start(server)
            self.manifest(server, self.image)
            self.verified(server, self.image)
        # docker-registry stores after it has answered; a second whole answer says it did.
        for server in servers:
            self.verified(server, self.image)
        for number in range(self.rounds):
            for server in self.turns(servers, number):
                self.cached_round(server)
            say(f"cached: round {number + 1} of {self.rounds}")
        for server in servers[1:]:
            self.stop(server)

    def cached_round(self, server):
        path = [self.content.blob_path(self.image)]
        pulls = max(8, 4 * GIB // self.size)
        for clients in (1, CLIENTS):
            before_s = server.cpu_s()
            pull = Pull(server, path, connections=clients, repeats=pulls // clients)
            cpu_s = server.cpu_s() - before_s
            self.note(f"cached {clients} GB/s", server, pull.bytes / pull.seconds / 1e9)
            self.note(f"cached {clients} cpu", server, cpu_s / (pull.bytes / 1e9))
        url = f"http://127.0.0.1:{server.port}{self.content.manifest_path('bench/small')}"
        wrk = subprocess.run(["wrk", "-t2", f"-c{WRK_CONNECTIONS}", f"-d{WRK_SECONDS}s",
                              "-H", f"Accept: {MANIFEST_TYPE}", url], check=True, stdout=subprocess.PIPE, text=True)
        if "Non-2xx" in wrk.stdout or "Socket errors" in wrk.stdout:
            raise RuntimeError(f"{server.name} failed under wrk:\n{wrk.stdout}")
        rate = re.search(r"Requests/sec:\s+([\d.]+)", wrk.stdout).group(1)
        self.note("manifests/s", server, float(rate))

    def cold(self):
        path = [self.content.blob_path(self.image)]
        for number in range(self.rounds):
            servers = [self.upstream, self.subject, self.alone, self.registry]
            for server in self.turns([s for s in servers if s], number):
                if server is not self.upstream:
                    self.start(server)
                cold = "alone" if server is self.alone else "cold"
                self.manifest(server, self.image)
                before_s = server.cpu_s()
                pull = Pull(server, path)
                self.note(f"{cold} cpu", server, (server.cpu_s() - before_s) / (pull.bytes / 1e9))
                self.note(f"{cold} s", server, pull.seconds)
                self.note(f"{cold} first ms", server, pull.first_ms)
                if server is not self.upstream:
                    self.stop(server)
            for server in (self.subject, self.registry):
                self.cold_crowd(server, path)
            say(f"cold: round {number + 1} of {self.rounds}")

    def cold_crowd(self, server, path):
        self.start(server)
        self.manifest(server, self.image)
        before = self.upstream.sent_bytes("/blobs/")
        pull = Pull(server, path, connections=CLIENTS)
        self.stop(server)  # what it still asks for belongs to it
        sent = self.upstream.sent_bytes("/blobs/") - before
        self.note("crowd upstream", server, sent / self.size)
        self.note("crowd s", server, pull.seconds)
        self.note("crowd first ms", server, pull.first_ms)

    def memory(self):
        paths = [self.content.blob_path(name) for name in self.transfers]
        rounds = min(self.rounds, 3)  # resident memory hardly varies
        for number in range(rounds):
            for server in self.turns([self.subject, self.registry], number):
                self.start(server)
                self.note("rss idle", server, server.memory_mib("VmRSS"))
                for name in self.transfers:
                    self.manifest(server, name)
                Pull(server, paths, connections=TRANSFERS)
                self.note("rss busy", server, server.memory_mib("VmHWM"))
                self.stop(server)
            say(f"memory: round {number + 1} of {rounds}")

    def run(self):
        self.start(self.files)
        self.start(self.upstream)
        self.verified(self.files, self.image)
        self.cached()
        self.cold()
        self.memory()

    # The table.

    def values(self, measure, server):
        return self.results.get((measure, server.name), [])

    def ratio(self, measure, server, base, base_measure=None):
        pairs = zip(self.values(measure, server), self.values(base_measure or measure, base))
        return statistics.median(a / b for a, b in pairs)

    def cell(self, measure, server, digits):
        values = self.values(measure, server)
        return f"{statistics.median(values):,.{digits}f}" if values else "–"

    def rows(self):
        """(what, measure, digits, reference server, how judged, goal, met or None)"""
        f, u, s = self.files, self.upstream, self.subject
        mib = f"{self.size >> 20} MiB"
        at_least, at_most = (lambda a, b: a >= b), (lambda a, b: a <= b)

        def times(measure, base, limit, holds, base_measure=None):
            value = self.ratio(measure, s, base, base_measure)
            sign = "≥" if holds is at_least else "≤"
            return f"{value:.3f}x", f"{sign} {limit}x", holds(round(value, 3), limit)

        first = statistics.median(
            a - b for a, b in zip(self.values("cold first ms", s), self.values("cold first ms", u)))
        upstream = max(self.values("crowd upstream", s))
        idle = statistics.median(self.values("rss idle", s))
        busy = max(self.values("rss busy", s))
        yield (f"cached {mib}, 1 client: GB/s", "cached 1 GB/s", 2, f,
               *times("cached 1 GB/s", f, 1.0, at_least))
        yield ("— server CPU s/GB", "cached 1 cpu", 3, f, *times("cached 1 cpu", f, 1.1, at_most))
        yield (f"cached {mib}, {CLIENTS} clients: GB/s", "cached 8 GB/s", 2, f,
               *times("cached 8 GB/s", f, 1.0, at_least))
        yield ("— server CPU s/GB", "cached 8 cpu", 3, f, *times("cached 8 cpu", f, 1.1, at_most))
        yield (f"manifest by tag, {WRK_CONNECTIONS} connections: requests/s", "manifests/s", 0, f,
               *times("manifests/s", f, 0.9, at_least))
        yield (f"cold {mib} from 200 MB/s: s", "cold s", 3, u, *times("cold s", u, 1.02, at_most))
        yield ("— first byte: ms", "cold first ms", 2, u, f"{first:+.2f} ms", "≤ +5 ms",
               first <= 5)
        yield ("— server CPU s/GB", "cold cpu", 3, None, "–", "–", None)
        if self.alone:
            yield ("— with the swarm on, alone: s, against off", "alone s", 3, None,
                   *times("alone s", s, 1.02, at_most, "cold s"))
            yield ("— — server CPU s/GB", "alone cpu", 3, None, "–", "–", None)
        yield (f"cold {mib}, {CLIENTS} clients at once: upstream bytes / size", "crowd upstream",
               4, None, f"{upstream:.5f}x", "≤ 1.00x + heads", upstream <= 1 + 8192 / self.size)
        yield ("— last client: s", "crowd s", 3, u,
               *times("crowd s", u, 1.02, at_most, "cold s"))
        yield ("— slowest first byte: ms", "crowd first ms", 2, None,
               f"{statistics.median(self.values('crowd first ms', s)):.2f} ms", "≤ 10 ms",
               statistics.median(self.values("crowd first ms", s)) <= 10)
        yield ("RSS idle: MiB", "rss idle", 1, None, f"{idle:.1f} MiB", "≤ 10 MiB", idle <= 10)
        yield (f"peak RSS, {TRANSFERS} x {mib} cold at once: MiB", "rss busy", 1, None,
               f"{busy:.1f} MiB", "≤ 48 MiB", busy <= 48)

    def table(self):
        yield (f"| what | nginx / direct | {self.subject.name} | docker-registry "
               f"| {self.subject.name} against it | goal | |")
        yield "|---|---|---|---|---|---|---|"
        for what, measure, digits, base, value, goal, met in self.rows():
            base_cell = "–" if base is None else self.cell(
                "cold s" if measure == "crowd s" else measure, base, digits)
            yield (f"| {what} | {base_cell} | {self.cell(measure, self.subject, digits)} "
                   f"| {self.cell(measure, self.registry, digits)} | {value} | {goal} "
                   f"| {VERDICT[met]} |")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((l.split(":")[1].strip() for l in info if l.startswith("model name")), "?")
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    return (f"{os.cpu_count()} x {model}, {memory_gib:.0f} GiB, Linux {os.uname().release}, "
            f"load {os.getloadavg()[0]:.1f} at the start")


def commit():
    run = subprocess.run(["git", "describe", "--always", "--dirty"], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return run.stdout.strip() or "unknown commit"


def options():
    quick = os.environ.get("QUICK") == "1"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pull", required=True, help="the client, tests/bench/pull.c")
    parser.add_argument("--peersync", required=True)
    parser.add_argument("--subject", choices=["peersync", "nginx"], default="peersync")
    parser.add_argument("--mib", type=int, default=256 if quick else 1024)
    parser.add_argument("--rounds", type=int, default=3 if quick else 5)
    return parser.parse_args()


def main():
    given = options()
    for tool in ("nginx", "docker-registry", "wrk"):
        if shutil.which(tool) is None:
            sys.exit(f"bench-node: {tool} is missing: make deps")
    given.peersync, Pull.binary = os.path.abspath(given.peersync), os.path.abspath(given.pull)
    where, when = machine(), datetime.date.today().isoformat()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench-node: ended by a signal"))
    folder = tempfile.mkdtemp(prefix="peersync-bench.")
    bench = Bench(given, folder)
    try:
        bench.run()
    finally:
        bench.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{when}, {commit()}; {where}; medians of {given.rounds} interleaved rounds\n")
    print("\n".join(bench.table()))


if __name__ == "__main__":
    main()
