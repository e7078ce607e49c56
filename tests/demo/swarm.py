#!/usr/bin/env python3
"""The demo's second half: a registry in a cloud and two sites of three nodes behind thin WANs, in
network namespaces of this machine (tests/netlab). All six nodes pull one image at once, first each by
itself, then through peersync, while the tracker of a site is killed.

    swarm.py STEP STEPS     numbers of its first and of the last step; in a cell (tests/lib/cell.sh)
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
from swarm import HOST, MIB, Pull, Swarm  # noqa: E402
from netlab import missing  # noqa: E402
from lab import PROGRAM, Lab, wait_for  # noqa: E402
from client import Get  # noqa: E402

RATE, DELAY = '50mbit', '10ms'
SITES = ('north', 'south')
SIZES = [16 * MIB, 8 * MIB, 8 * MIB]
KILL_AT = 0.4       # of the bytes of the site
RESTART_S = 1.0     # as systemd does it (RestartSec)
DRAW_S, LINES_S = 0.25, 1.5
PULLS_S = 60.0 # more is a failure, whatever it was
BAR = 20
TTY = bool(os.environ.get('DEMO_TTY'))
KEEP = bool(os.environ.get('DEMO_KEEP'))


class Stage(Lab):
    """What Swarm wants of a scenario, without its cell, clock and verdict: those are the demo's."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.name, self.failures, self.passed, self.things = 'demo', [], 0, []
        self.folder, self.lock, self.at_end = os.environ['CELL'], threading.Lock(), []

    def __exit__(self, *_):
        for thing in reversed(self.things):
            self.end(thing)
        for undo in reversed(self.at_end):
            undo()


class Straight:
    """A node without peersync: its client asks the registry itself."""

    def __init__(self, swarm, name):
        self.swarm, self.name = swarm, name

    def request(self, _, path, **how):
        with self.swarm.net.inside(self.name):
            return Get((self.swarm.origin.address, 80), '/v2/' + path, **how)


class Screen:
    """Lines that are drawn over on a terminal, and added now and then elsewhere."""

    def __init__(self):
        self.lines, self.drawn_at = 0, 0.0

    def draw(self, lines, last=False):
        now = time.monotonic()
        if not TTY and now - self.drawn_at < LINES_S and not last:
            return
        self.drawn_at, width = now, shutil.get_terminal_size().columns
        if TTY and self.lines:
            print(f'\033[{self.lines}A', end='')
        for line in lines:
            print('\033[K' + line[:width - 1] if TTY else line.rstrip())
        if not TTY:
            print()
        self.lines = len(lines)
        sys.stdout.flush()

    def say(self, text):
        """A line that stays; what is drawn goes on below it."""
        if TTY and self.lines:
            print(f'\033[{self.lines}A\033[J', end='')
        self.lines = 0
        print('  ' + text, flush=True)


class Steps:
    def __init__(self, first, last):
        self.step, self.last = first, last

    def title(self, text):
        print(f'\n[{self.step}/{self.last}] {text}', flush=True)
        self.step += 1


def mb(count):
    return f'{count / 1e6:.1f} MB'


def bar(share):
    full = int(share * BAR)
    return '#' * full + '.' * (BAR - full)


def sources_now(node):
    """Whom the node asks at this moment, in words."""
    try:
        answer = node.ask(node.admin, '/api/v1/transfers', timeout=2).run()
        swarms = [t.get('swarm') for t in json.loads(answer.text)['transfers']]
    except (OSError, ValueError):
        return ''
    swarms = [s for s in swarms if isinstance(s, dict)]
    lan, wan = (sum(s[key] for s in swarms) for key in ('lan_requests', 'wan_requests'))
    asked = ([f'{lan} peer' + 's' * (lan > 1)] if lan else []) + (['registry'] if wan else [])
    return 'asks ' + ' and '.join(asked) if asked else ''


def line_of(swarm, pull, gone):
    """One node: how far, and where its bytes came from."""
    node = swarm.node[pull.node.name]
    share = pull.got / pull.image.bytes
    text = f'  {pull.node.name}  {bar(share)} {share:5.0%}'
    if pull.node.name in gone:
        return text + '  killed'
    try:
        got = node.body_bytes()
    except (OSError, ValueError):
        return text + '  starts again'
    now = f'done in {pull.seconds:.1f} s' if pull.done else sources_now(node)
    return (f'{text}  registry {got["upstream"] / 1e6:5.1f}  peers {got["peer"] / 1e6:5.1f}  '
            f'other site {got["remote_peer"] / 1e6:4.1f} MB  {now}')


def straight(swarm, image):
    """All nodes pull from the registry itself. Returns the pulls and the WAN's counters."""
    screen = Screen()
    nodes = [Straight(swarm, n) for n in swarm.nodes()]
    with swarm.counted() as counted:
        at = time.monotonic() + 0.05
        pulls = [Pull(n, image, at, 120.0) for n in nodes]
        while not all(p.done for p in pulls):
            share = sum(p.got for p in pulls) / image.bytes / len(pulls)
            if TTY:
                screen.draw([f'  all six  {bar(share)} {share:4.0%}'])
            time.sleep(DRAW_S)
    return pulls, counted


class Kill:
    """The tracker of a site dies in mid-pull and is started again, as its service manager would; the
    client there tries again, as a runtime does."""

    def __init__(self, swarm, pulls, site, say):
        self.swarm, self.site, self.say = swarm, site, say
        self.pulls = [p for p in pulls if swarm.net.site[p.node.name] == site]
        self.name, self.new, self.took_s, self.again, self.gone = None, None, None, None, set()
        self.due = False

    def due_now(self):
        whole = sum(p.image.bytes for p in self.pulls)
        return not self.due and sum(p.got for p in self.pulls) >= KILL_AT * whole

    def run(self):
        self.due = True
        self.name = self.swarm.tracker(self.site)
        node = self.swarm.node[self.name]
        self.say(f'--- {self.name}, the tracker of {self.site}, is killed (SIGKILL)')
        at = time.monotonic()
        self.gone.add(self.name)
        os.kill(node.pid(), signal.SIGKILL)
        node.process.wait(10)
        threading.Thread(target=self.after, args=(node, at), daemon=True).start()

    def after(self, node, at):
        self.new = wait_for('another tracker', lambda: self.swarm.another(self.name, self.site), 10, 0.01)
        self.took_s = time.monotonic() - at
        self.say(f'--- {self.new} is the new tracker, {self.took_s:.2f} s later')
        time.sleep(max(0, at + RESTART_S - time.monotonic()))
        node.start()
        self.gone.discard(self.name)
        self.again = Pull(node, self.pulls[0].image, time.monotonic(), 60.0)


def through_peersync(swarm, image):
    screen = Screen()
    lock = threading.Lock()

    def say(text):
        with lock:
            screen.say(text)
    with swarm.counted() as counted:
        pulls = swarm.begin(swarm.nodes(), image)
        kill = Kill(swarm, pulls, SITES[0], say)

        def shown():
            return [kill.again if kill.again and p.node.name == kill.name else p for p in pulls]

        def over():
            return kill.due and kill.again and kill.again.done and all(p.done for p in pulls)
        deadline = time.monotonic() + PULLS_S
        while not over() and time.monotonic() < deadline:
            if kill.due_now():
                kill.run()
            lines = [line_of(swarm, p, kill.gone) for p in shown()]
            with lock:
                screen.draw(lines)
            time.sleep(DRAW_S)
        with lock:
            screen.draw([line_of(swarm, p, kill.gone) for p in shown()], last=True)
    return pulls, kill, counted


def failed(pulls):
    return sum(1 for p in pulls if p.failed or p.wrong or not p.done)


def row(what, *cells):
    print(f'{what:<40}' + ''.join(f'{c:>20}' for c in cells))


def table(swarm, image, bound_s, alone, alone_wan, pulls, kill, wan):
    rest = [p for p in pulls if p.node.name != kill.name]
    last, last_alone = max(p.seconds for p in rest), max(p.seconds for p in alone)
    print(f'\nsix nodes, two sites, {mb(image.bytes)} over {RATE} a site:\n')
    row('', 'each by itself', 'through peersync', 'bound')
    print('-' * 100)
    row('seconds, last node', f'{last_alone:.1f} s', f'{last:.1f} s', f'{bound_s:.1f} s')
    row('  against the bound', f'{last_alone / bound_s:.2f} x', f'{last / bound_s:.2f} x', '1 x')
    for site in SITES:
        row(f'WAN bytes into {site}', mb(alone_wan[site]['payload']), mb(wan[site]['payload']),
            mb(image.bytes))
    row('failed pulls', f'{failed(alone)} of {len(alone)}', f'{failed(rest)} of {len(rest)}', '0')
    print('-' * 100)
    if not kill.again:
        print('No tracker was killed, or none came after it: this run shows nothing.')
        return 1
    again = kill.again
    print(f'The sixth node, {kill.name}, was the tracker that was killed. Its client tried again when the\n'
          f'daemon was back: {"FAILED" if failed([again]) else "done"} in {again.seconds:.1f} s, '
          f'with what was already in its cache. {kill.new} became\n'
          f'tracker {kill.took_s:.2f} s after the kill. The bound is the image over the measured goodput of the WAN.')
    if wan['late']:
        print(f'({wan["late"]} packets left the emulated WAN late: this machine was busy, so times are too.)')
    return failed(rest) + failed([again]) + failed(alone)


def run(swarm, node, *words):
    print('  $ peersync ' + ' '.join(words) + f'        (on {node})', flush=True)
    done = subprocess.run(swarm.net.prefix(node) + [PROGRAM, *words, '--config', swarm.node[node].config],
                          capture_output=True, text=True, check=False, timeout=20)
    for line in (done.stdout + done.stderr).splitlines():
        print(('  > ' + line).rstrip())
    sys.stdout.flush()


def main():
    steps = Steps(int(sys.argv[1]), int(sys.argv[2]))
    steps.title(f'a cloud and two sites of three nodes, {RATE} and {DELAY} from the registry')
    why = missing()
    if why:
        print(f'  left out: {why}')
        return 0
    sites = {s: {'nodes': 3, 'id': i, 'rate': RATE, 'delay': DELAY} for i, s in enumerate(SITES, 1)}
    with Stage() as stage, Swarm(stage, sites, prefetch={'enabled': True}) as swarm:
        print('  ' + ', '.join(swarm.nodes()) + ' and the registry: each has a network namespace of its own')
        goodput = swarm.goodput(SITES[0], seconds=2.0, warm_s=1.0)
        alone_image, image = swarm.image('alone', SIZES), swarm.image('shared', SIZES)
        bound_s = image.bytes / goodput
        print(f'  the image: {mb(image.bytes)} in {len(SIZES)} layers; the WAN of a site carries '
              f'{goodput / 1e6:.1f} MB/s, so no site can have it before {bound_s:.1f} s')

        steps.title('all six pull at once, each by itself, straight from the registry')
        alone, alone_wan = straight(swarm, alone_image)
        print(f'  the last one after {max(p.seconds for p in alone):.1f} s')

        steps.title('six daemons with one cluster key find each other; each site elects a tracker')
        seeds = [f'{swarm.net.address[s + "-1"]}:5002' for s in SITES]  # of other sites; a LAN needs none
        for node in swarm.node.values():
            node.write_config(p2p={**node.settings['p2p'], 'seeds': seeds})
        swarm.start()
        run(swarm, 'north-1', 'peers')

        steps.title('all six pull another such image at once through peersync; a tracker is killed on the way')
        pulls, kill, wan = through_peersync(swarm, image)

        steps.title('what became of it')
        swarm.joined()
        run(swarm, 'north-3' if kill.name != 'north-3' else 'north-1', 'peers')
        run(swarm, 'south-1', 'explain', f'{HOST}/{image.name}:{image.tag}')
        bad = table(swarm, image, bound_s, alone, alone_wan, pulls, kill, wan)
        if KEEP:
            with open(os.path.join(stage.folder, 'swarm-ready'), 'w', encoding='ascii'):
                pass
            signal.sigwait([signal.SIGTERM, signal.SIGINT])
    return 1 if bad else 0


sys.exit(main())
