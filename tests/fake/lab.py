"""What fault scenarios share: a fake upstream and a node as processes, checks, measurements.

    # test: seconds=30
    with Lab() as lab:
        fake = lab.fake()
        node = lab.node([fake.registry('a.test')])
        lab.check(node.get('a.test', '').status == 200, 'says hello')

The script runs itself again in a cell (tests/lib/cell.sh): loopback only, processes that die with
it, a folder that goes with it (KEEP_CELL=1 keeps it). Leaving the block ends what was started and
exits with 1 when a check failed (the logs are printed then), 77 when skipped.
"""
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from client import Get  # noqa: E402
from content import Content  # noqa: E402

SKIPPED = 77
WRAP = os.environ.get('WRAP', '').split()  # e.g. setarch -R, for a build with the thread sanitizer
PROGRAM = os.environ.get('PEERSYNC', os.path.join(HERE, '..', '..', 'build', 'peersync'))


given_ports = set()


def free_port(address='127.0.0.1'):
    """Each once, below those that the kernel gives to connections: one of them would else have the
    port when its node starts."""
    while True:
        port = random.randrange(10000, 32000)
        if port in given_ports:
            continue
        given_ports.add(port)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind((address, port))
            return port


def wait_for(what, condition, seconds=10.0, step=0.02):
    """Polls an observable; returns its first true value or raises."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f'waited {seconds} s in vain: {what}')
        time.sleep(step)


class Fake:
    """The fake upstream as a process."""

    def __init__(self, folder):
        self.log_path = os.path.join(folder, 'upstream.jsonl')
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, 'upstream.py'), '--log', self.log_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.control = json.loads(self.process.stdout.readline())['control']
        self.next_address = 0

    def ask(self, what, **order):
        connection = http.client.HTTPConnection('127.0.0.1', self.control, timeout=60)
        connection.request('POST', '/' + what, json.dumps(order))
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        if answer.status != 200:
            raise AssertionError(f'fake {what}: {body}')
        return body

    def listen(self, address='127.0.0.1', port=0):
        return f"{address}:{self.ask('listen', address=address, port=port)['port']}"

    def registry(self, host, **keys):
        """A listener of its own on an address of its own, as an entry of the configuration."""
        self.next_address += 1
        at = self.listen(f'127.1.{self.next_address // 250}.{self.next_address % 250 + 1}')
        return {'host': host, 'url': 'http://' + at, **keys}

    def image(self, repo, layers, **order):
        """layers: sizes, or (seed, size). Returns the answer with .contents added."""
        layers = [x if isinstance(x, tuple) else (f'{repo}/{i}', x)
                  for i, x in enumerate(layers)]
        image = self.ask('image', repo=repo,
                         layers=[{'seed': s, 'size': n} for s, n in layers], **order)
        image['contents'] = [Content(s, n) for s, n in layers]
        image['repo'] = repo
        return image

    def rules(self, group, *rules):
        self.ask('rules', group=group, rules=list(rules))

    def log(self, match='', at=''):
        return self.ask('log', match=match, at=at)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Node:
    """peersync serve as a process; start() again continues with the same folder and ports."""

    def __init__(self, folder, registries, prefix=(), cache_dir=None, env=None, **settings):
        self.folder, self.prefix, self.process = folder, list(prefix), None
        self.env = {**os.environ, **(env or {})}
        self.program = PROGRAM
        os.makedirs(folder, exist_ok=True)
        self.cache = cache_dir or os.path.join(folder, 'cache')
        self.address = ('127.0.0.1', free_port())
        self.admin = ('127.0.0.1', free_port())
        self.registries, self.settings = registries, settings
        self.config, self.log_path = (os.path.join(folder, x) for x in ('config.yaml', 'node.log'))
        self.write_config()

    def write_config(self, registries=None, **settings):
        """Settings are flow values by section; a later call changes what it names."""
        self.registries = registries or self.registries
        self.settings.update(settings)
        top = {'listen': '%s:%d' % self.address, 'admin': '%s:%d' % self.admin,
               'cache': {'dir': self.cache, 'size': '8GiB', 'min_free': '1MiB'},
               'p2p': {'enabled': False}, 'prefetch': {'enabled': False},
               'limits': {'connections': 1024, 'connections_per_address': 1024},
               'default_registry': self.registries[0]['host']}
        for section, value in self.settings.items():
            if isinstance(value, dict):
                top.setdefault(section, {}).update(value)
            else:
                top[section] = value
        lines = [f'{key}: {json.dumps(value)}' for key, value in top.items()]
        lines += ['registries:'] + ['  - ' + json.dumps(r) for r in self.registries]
        with open(self.config, 'w', encoding='utf-8') as f:
            f.write('\n'.join(lines) + '\n')

    def start(self, seconds=20.0):
        begun = time.monotonic()
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.prefix + WRAP + [self.program, 'serve', '--config',
                                                           self.config],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env)
        wait_for('node ready: ' + self.log_path, self.ready, seconds, 0.005)
        return time.monotonic() - begun

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f'node ended with {self.process.returncode}: {self.log()[-2000:]}')
        try:
            return Get(self.admin, '/readyz', timeout=5).run().status == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as f:
            return f.read()

    def pid(self):
        """The daemon itself, also behind a wrapper."""
        pid = self.process.pid
        for _ in range(4):
            with open(f'/proc/{pid}/comm', encoding='utf-8') as f:
                if f.read().strip() == 'peersync':
                    return pid
            with open(f'/proc/{pid}/task/{pid}/children', encoding='utf-8') as f:
                pid = int(f.read().split()[0])
        raise AssertionError('no peersync below ' + str(self.process.args))

    def says(self, *words):
        """What a command tells of this node."""
        done = subprocess.run(self.prefix + [PROGRAM, *words, '--config', self.config], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def cpu_seconds(self):
        with open(f'/proc/{self.pid()}/stat', encoding='utf-8') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def stop(self, how=signal.SIGTERM, seconds=30):
        """Ends it; returns the exit code."""
        if self.process and self.process.poll() is None:
            os.kill(self.pid(), how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(self.pid(), signal.SIGKILL)
            self.process.wait(10)
            return 'hung'

    def alive(self):
        return self.process.poll() is None

    def metric(self, name, labels=''):
        """The sum over the lines of that name whose labels hold `labels`."""
        answer = Get(self.admin, '/metrics', timeout=10).run()
        total = 0.0
        for line in answer.text.decode().splitlines():
            if line.startswith((name + ' ', name + '{')) and labels in line:
                total += float(line.rsplit(' ', 1)[1])
        return total

    def request(self, registry, path, **how):
        sign = '&' if '?' in path else '?'
        return Get(self.address, f'/v2/{path}{sign}ns={registry}', **how)

    def get(self, registry, path, **how):
        return self.request(registry, path, **how).run()

    def manifest(self, registry, image, reference=None, **how):
        return self.get(registry, f"{image['repo']}/manifests/{reference or image['top']}", **how)

    def blob(self, registry, image, index=0, first=None, last='', **how):
        """Layer `index`, with Range when first is given; compared byte by byte."""
        headers = dict(how.pop('headers', {}))
        if first is not None:
            headers['Range'] = f'bytes={first}-{last}'
        return self.get(registry, f"{image['repo']}/blobs/{image['layers'][index]}",
                        content=image['contents'][index], start=first or 0, headers=headers, **how)


def enter_cell():
    """The script again, in a cell, with the time that its `# test:` line grants."""
    script = os.path.abspath(sys.argv[0])
    with open(script, encoding='utf-8') as f:
        seconds = int(re.search(r'^# test:.*seconds=(\d+)', f.read(), re.M)[1])
    seconds *= int(os.environ.get('STRETCH', '1'))  # make lab: the same at full size
    if 'CELL' not in os.environ:
        os.environ['PEERSYNC'] = os.path.abspath(PROGRAM)
        cell = os.path.join(HERE, '..', 'lib', 'cell.sh')
        os.execv(cell, [cell, os.path.basename(script), str(seconds), script, *sys.argv[1:]])
    return seconds


class Lab:
    def __init__(self):
        seconds = enter_cell()
        self.name, self.failures, self.passed, self.things = \
            os.path.basename(sys.argv[0]), [], 0, []
        self.folder = os.environ['CELL']
        self.lock, self.at_end = threading.Lock(), []
        signal.signal(signal.SIGALRM, self.too_long)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.alarm(max(1, seconds - 5))

    def too_long(self, *_):
        raise AssertionError('the scenario took too long')

    def __enter__(self):
        return self

    def fake(self):
        self.things.append(Fake(self.folder))
        return self.things[-1]

    def node(self, registries, name='node', start=True, **settings):
        if not os.access(PROGRAM, os.X_OK):
            raise AssertionError(f'no program at {PROGRAM}; make it or set PEERSYNC')
        node = Node(os.path.join(self.folder, name), registries, **settings)
        self.things.append(node)
        if start:
            node.start()
        return node

    def check(self, right, what):
        with self.lock:
            if right:
                self.passed += 1
            else:
                self.failures.append(str(what))
                print(f'  WRONG: {what}', flush=True)
        return bool(right)

    def say(self, text):
        print(f'  {text}', flush=True)

    def skip(self, why):
        print(f'SKIP: {why}', flush=True)
        raise SystemExit(SKIPPED)

    def all(self, work, items, width=64):
        """Runs work(item) for all items in threads; an exception counts as a failed check."""
        def one(item):
            try:
                return work(item)
            except Exception as why:  # noqa: BLE001 - reported, and the others go on
                self.check(False, f'{item}: {type(why).__name__} {why}')
                return None
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            return list(pool.map(one, items))

    def __exit__(self, kind, why, trace):
        signal.alarm(0)
        if kind and not issubclass(kind, SystemExit):
            self.failures.append(f'{kind.__name__}: {why}')
        for thing in reversed(self.things):
            self.end(thing)
        for undo in reversed(self.at_end):
            undo()
        if self.failures:
            self.show_logs()
        if kind and issubclass(kind, SystemExit):
            return False
        print(f'{self.name}: {self.passed} checks right, {len(self.failures)} wrong', flush=True)
        if kind:
            import traceback
            traceback.print_exception(kind, why, trace)
        sys.exit(1 if self.failures else 0)

    @staticmethod
    def end_node(node):
        """SIGTERM, and a second one that does not wait for transfers."""
        os.kill(node.pid(), signal.SIGTERM)
        try:
            node.process.wait(3)
        except subprocess.TimeoutExpired:
            node.stop(signal.SIGTERM, 10)

    def end(self, thing):
        try:
            if isinstance(thing, Fake):
                thing.stop()
            elif thing.process is not None:
                if thing.process.poll() is None:
                    self.end_node(thing)
                code = thing.process.poll()
                if code not in (0, -signal.SIGKILL):
                    self.failures.append(f'the node ended with {code}')
        except (OSError, AssertionError, subprocess.SubprocessError) as why:
            self.failures.append(f'at the end: {why!r}')

    def show_logs(self):
        for node in (t for t in self.things if isinstance(t, Node)):
            if os.path.exists(node.log_path):
                print(f'--- last lines of {node.log_path}')
                print('\n'.join(node.log().splitlines()[-40:]))
        for failure in self.failures[:40]:
            print(f'  WRONG: {failure}')
