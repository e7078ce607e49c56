"""Sites of real nodes around a cloud registry in the network lab, and pulls that are measured.

    # test: seconds=60 alone
    with Lab() as lab, Swarm(lab, {'edge': {'nodes': 8, 'rate': '100mbit'}}) as swarm:
        image = swarm.image('web', [64 << 20])
        swarm.start()
        goodput = swarm.goodput('edge')
        pulls = swarm.pull(swarm.nodes(), image)      # all at once
        swarm.right(pulls)                            # no failed pull, no wrong byte

The registry is nginx over files. A node is the daemon in its network namespace with its own cache; a
client is a thread with sockets in the namespace of its node, reads the manifest and then all blobs
at once, and compares their digests. It asks once: an answer that is cut short is a failed pull.
"""
import contextlib
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'fake'))
from client import Get  # noqa: E402
from content import Content  # noqa: E402
from lab import Node, wait_for  # noqa: E402
from netlab import HEAD_BYTES, Net, missing  # noqa: E402

HOST = 'hub.test'
FULL = os.environ.get('LAB') == 'full'  # make lab: full sizes, all rounds
MIB = 1 << 20
MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
CLOUD = {'nodes': 1, 'id': 100, 'delay': '1ms', 'lan': 'none'}
EDGE = {'nodes': 4, 'rate': '100mbit', 'delay': '9ms'}
LAYERS_AT_ONCE = 3
MEMORY_SHARE = 0.7  # of what is free, at most for caches in memory: one disk would have to be 16 here
ORIGIN = """
worker_processes 1;
user root;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    log_format origin '$remote_addr|$request_method|$uri|$status|$body_bytes_sent|$http_range';
    access_log {folder}/access origin;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    sendfile on; tcp_nodelay on; keepalive_timeout 60s; keepalive_requests 100000;
    server {{
        listen {address}:80 backlog=1024;
        default_type application/octet-stream;
        types {{ }}
        location = /v2/ {{ return 200 '{{}}'; }}
        include {folder}/images.*;
        location ~ ^/v2/.*/blobs/(sha256:[0-9a-f]+)$ {{ alias {folder}/blobs/$1; }}
        location / {{ return 404; }}
    }}
}}
"""
IMAGE = """
location ~ ^/v2/{name}/manifests/({tag}|{digest})$ {{
    default_type {type};
    add_header Docker-Content-Digest "{digest}";
    alias {file};
}}
"""


class Image:
    def __init__(self, name, tag, manifest, blobs):
        self.name, self.tag, self.manifest, self.blobs = name, tag, manifest, blobs
        self.digest = 'sha256:' + hashlib.sha256(manifest).hexdigest()
        self.bytes = sum(size for _, size in blobs)


class Origin:
    """The registry of the cloud: nginx over files."""

    def __init__(self, net, folder, node='cloud-1'):
        self.net, self.folder, self.node = net, folder, node
        self.address = net.address[node]
        os.makedirs(os.path.join(folder, 'blobs'), exist_ok=True)
        with open(os.path.join(folder, 'nginx.conf'), 'w', encoding='utf-8') as f:
            f.write(ORIGIN.format(folder=folder, address=self.address))
        with open(os.path.join(folder, 'nginx.log'), 'wb') as log:
            self.process = subprocess.Popen(
                net.prefix(node) + ['nginx', '-e', 'stderr', '-c', folder + '/nginx.conf'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for('the registry answers', lambda: self.get('/v2/').status == 200)

    def get(self, target, **how):
        with self.net.inside(self.node):
            request = Get((self.address, 80), target, **how)
        return request.run()

    def put_blob(self, content):
        digest = content.digest()
        with open(os.path.join(self.folder, 'blobs', digest), 'wb') as f:
            for chunk in content.chunks():
                f.write(chunk)
        return digest

    def image(self, name, tag, sizes, salt=''):
        """A layer is a size, of bytes that nothing can compress, or a content of its own (content.Bytes)."""
        layers = [Content(f'{name}/{tag}/{salt}/{i}', size) if isinstance(size, int) else size
                  for i, size in enumerate(sizes)]
        config = Content(f'{name}/{tag}/{salt}/config', 2048)
        digests = [self.put_blob(c) for c in layers]
        manifest = json.dumps({
            'schemaVersion': 2, 'mediaType': MANIFEST_TYPE,
            'config': {'mediaType': CONFIG_TYPE, 'digest': self.put_blob(config), 'size': config.size},
            'layers': [{'mediaType': LAYER_TYPE, 'digest': d, 'size': c.size}
                       for d, c in zip(digests, layers)]}).encode()
        return self.publish(Image(name, tag, manifest, [(config.digest(), config.size)] +
                                  [(d, c.size) for d, c in zip(digests, layers)]))

    def layout(self, name, tag, folder):
        """The one image of an OCI layout."""
        blobs = os.path.join(folder, 'blobs', 'sha256')
        with open(os.path.join(folder, 'index.json'), encoding='utf-8') as f:
            digest = json.load(f)['manifests'][0]['digest']
        with open(os.path.join(blobs, digest[7:]), 'rb') as f:
            manifest = f.read()
        said = json.loads(manifest)
        parts = [said['config'], *said['layers']]
        for part in parts:
            shutil.copy(os.path.join(blobs, part['digest'][7:]),
                        os.path.join(self.folder, 'blobs', part['digest']))
        return self.publish(Image(name, tag, manifest, [(p['digest'], p['size']) for p in parts]))

    def publish(self, image):
        """Its blobs are there already."""
        file = os.path.join(self.folder, 'manifest-' + image.digest)
        with open(file, 'wb') as f:
            f.write(image.manifest)
        with open(os.path.join(self.folder, f'images.{len(os.listdir(self.folder))}'), 'w',
                  encoding='utf-8') as f:
            f.write(IMAGE.format(name=image.name, tag=image.tag, digest=image.digest, type=MANIFEST_TYPE,
                                 file=file))
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        # Old workers answer on kept connections, and do not know the image.
        wait_for('the registry has new workers', lambda: self.workers().isdisjoint(before) and
                 self.workers())
        target = f'/v2/{image.name}/manifests/{image.tag}'
        wait_for('the registry has ' + target, lambda: self.get(target).text == image.manifest)
        return image

    def workers(self):
        pid = self.process.pid
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            return set(f.read().split())

    def asked(self, match=r'\|GET\|.*/blobs/'):
        with open(os.path.join(self.folder, 'access'), encoding='utf-8') as f:
            return [line for line in f if re.search(match, line)]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class SwarmNode(Node):
    """A daemon in its namespace; its ports are the usual ones."""

    def __init__(self, swarm, name, registries, **settings):
        self.swarm, self.name = swarm, name
        folder = os.path.join(swarm.folder, name)
        super().__init__(folder, registries, prefix=swarm.net.prefix(name),
                         cache_dir=os.path.join(swarm.caches, name), **settings)
        self.address, self.admin = ('127.0.0.1', 5000), ('127.0.0.1', 5001)
        self.write_config()

    def write_config(self, registries=None, p2p=None, **settings):
        """As Node; keys of p2p that are not named stay."""
        if p2p:
            settings['p2p'] = {**self.settings['p2p'], **p2p}
        super().write_config(registries, **settings)

    def ask(self, address, target, **how):
        """The request's socket is the node's; it is read by whoever runs it."""
        with self.swarm.net.inside(self.name):
            return Get(address, target, **how)

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f'{self.name} ended with {self.process.returncode}: {self.log()[-2000:]}')
        return self.ask(self.admin, '/readyz', timeout=5).run().status == 200

    def request(self, registry, path, **how):
        sign = '&' if '?' in path else '?'
        return self.ask(self.address, f'/v2/{path}{sign}ns={registry}', **how)

    def metrics(self):
        return self.ask(self.admin, '/metrics', timeout=10).run().text.decode()

    def metric(self, name, labels=''):
        return sum(float(line.rsplit(' ', 1)[1]) for line in self.metrics().splitlines()
                   if line.startswith((name + ' ', name + '{')) and labels in line)

    def peers(self):
        """What the node knows of the others, as the admin says it; {} when it does not."""
        answer = self.ask(self.admin, '/api/v1/peers', timeout=5).run()
        return json.loads(answer.text) if answer.status == 200 else {}

    def body_bytes(self):
        return {source: int(self.metric('peersync_body_bytes_total', f'source="{source}"'))
                for source in ('upstream', 'peer', 'remote_peer', 'cache')}


class Pull:
    """An image by one client of one node: manifest, then all blobs, a few at a time."""

    def __init__(self, node, image, begin_at, timeout_s):
        self.node, self.image, self.begin_at, self.timeout_s = node, image, begin_at, timeout_s
        self.got, self.wrong, self.failed, self.seconds = 0, 0, [], None
        self.first_byte_s, self.stall_s, self.thread = None, 0.0, None
        self.left, self.lock = list(image.blobs), threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        time.sleep(max(0, self.begin_at - time.monotonic()))
        try:
            answer = self.node.request(HOST, f'{self.image.name}/manifests/{self.image.tag}',
                                       timeout=self.timeout_s).run()
            if not answer.complete or answer.text != self.image.manifest:
                self.failed.append(f'manifest: {answer}')
            else:
                self.blobs()
        except OSError as why:
            self.failed.append(repr(why))
        self.seconds = time.monotonic() - self.begin_at

    def blobs(self):
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(LAYERS_AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def work(self):
        while True:
            with self.lock:
                if not self.left:
                    return
                digest, size = self.left.pop(0)
            try:
                self.blob(digest, size)
            except OSError as why:
                self.failed.append(f'{digest[7:19]}: {why!r}')

    def blob(self, digest, size):
        request = self.node.request(HOST, f'{self.image.name}/blobs/{digest}', timeout=self.timeout_s)
        answer = request.answer
        last = time.monotonic()
        while request.sock and answer.got < size:
            before = answer.got
            request.until(before + 1)
            now = time.monotonic()
            with self.lock:
                self.got += answer.got - before
                self.stall_s = max(self.stall_s, now - last)
                if self.first_byte_s is None and answer.got:
                    self.first_byte_s = now - self.begin_at
            last = now
        request.leave()
        if answer.status != 200 or answer.got != size:
            self.failed.append(f'{digest[7:19]}: {answer}')
        elif answer.sha256 != digest:
            self.wrong += 1

    @property
    def done(self):
        return self.seconds is not None

    def __str__(self):
        how = f'{self.seconds:.2f} s' if self.done else 'running'
        return (f'{self.node.name}: {how}, {self.got}/{self.image.bytes} bytes, '
                f'first {self.first_byte_s or -1:.2f} s, stall {self.stall_s:.2f} s'
                + (f', wrong {self.wrong}' if self.wrong else '') + ''.join(f', {f}' for f in self.failed))


class Swarm:
    def __init__(self, lab, sites, p2p=True, name='swarm', **settings):
        """sites: keys of the topology (and what EDGE says); settings: of every node."""
        if missing():
            lab.skip(missing())
        if shutil.which('nginx') is None:
            lab.skip('nginx is not installed')
        self.lab, self.folder = lab, os.path.join(lab.folder, name)
        os.makedirs(self.folder)
        self.caches = self.room()
        self.net = Net(self.folder, {'cloud': CLOUD, **{s: {**EDGE, **k} for s, k in sites.items()}})
        self.origin = Origin(self.net, os.path.join(self.folder, 'origin'))
        self.key = os.path.join(self.folder, 'cluster.key')
        self.write_key(self.key)
        self.random = random.Random(lab.name)
        self.node, self.strangers = {}, 0
        for name in self.net.site:
            if not name.startswith('cloud'):
                self.add(name, p2p, settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """The next swarm of a scenario finds the addresses free; the lab looks at the exit codes."""
        self.lab.all(lambda n: self.node[n].stop(), self.running())
        self.origin.stop()
        self.net.down()

    @staticmethod
    def write_key(path, digit='5'):
        with open(path, 'w', encoding='ascii') as f:
            f.write('psk-v1:' + digit * 64 + '\n')
        os.chmod(path, 0o600)

    def room(self):
        """A folder for the caches: in memory when that is plenty."""
        path = os.path.join(self.folder, 'caches')
        os.makedirs(path)
        with open('/proc/meminfo', encoding='ascii') as f:
            free = int(re.search(r'MemAvailable: *(\d+)', f.read())[1]) << 10
        if free * MEMORY_SHARE > 7 << 30:
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={int(free * MEMORY_SHARE)}', 'tmpfs',
                            path], check=True)
            self.lab.at_end.append(lambda: subprocess.run(['umount', '-l', path], check=False))
        return path

    def add(self, name, p2p, settings):
        own = {'enabled': p2p, 'listen': '0.0.0.0:5002', 'advertise': self.net.address[name],
               'key_file': self.key, 'site': self.net.site[name], **settings.get('p2p', {})}
        node = SwarmNode(self, name, [{'host': HOST, 'url': f'http://{self.origin.address}'}],
                         **{**settings, 'p2p': own})
        self.node[name] = node
        self.lab.things.append(node)

    def nodes(self, site=None):
        return [n for n in self.node if site is None or self.net.site[n] == site]

    def start(self, *names, strangers=0):
        """Starts these nodes, or all, and waits until each knows all others of its site, but for so
        many strangers that run there."""
        self.lab.all(lambda n: self.node[n].start(), names or self.nodes())
        self.strangers = strangers
        if self.node[(names or self.nodes())[0]].settings['p2p']['enabled']:
            self.joined()

    def running(self, site=None):
        return [n for n in self.nodes(site) if self.node[n].process and self.node[n].alive()]

    def joined(self, seconds=15.0, sites=None):
        """Every running node of these sites hears all others of its site and has one tracker."""
        for site in sites or {self.net.site[n] for n in self.running()}:
            try:
                wait_for(f'{site} is one swarm', lambda s=site: self.agreed(s), seconds)
            except AssertionError as why:
                raise AssertionError(f'{why}: ' + '; '.join(
                    f'{n} {self.look(n)}' for n in self.running(site))) from why

    def agreed(self, site):
        names = self.running(site)
        looks = [x for x in map(self.look, names) if x]
        one = [x for x in looks if x['peers'] == len(names) - 1 - self.strangers]
        return len(one) == len(names) - self.strangers and \
            (len(names) == 1 or len({x['tracker'] for x in one}) == 1 and one[0]['tracker'])

    def look(self, name):
        """{'self', 'tracker', 'deputy': ids, 'peers': how many of its site it hears}, or None."""
        try:
            said = self.node[name].peers()
        except (OSError, ValueError):
            return None
        if said.get('alone', True):
            return None
        return {'self': said['id'], 'tracker': (said['tracker'] or {}).get('id'),
                'deputy': (said['deputy'] or {}).get('id'),
                'peers': sum(p['same_site'] for p in said['peers'])}

    def tracker(self, site='edge'):
        """The name of the node that most of the site take for the tracker."""
        ids = {}
        votes = {}
        for name in self.running(site):
            look = self.look(name)
            if look:
                ids[look['self']] = name
                votes[look['tracker']] = votes.get(look['tracker'], 0) + 1
        best = max(votes, key=votes.get, default=None)
        return ids.get(best)

    def leaders(self, site='edge'):
        """Names of tracker and deputy, when there are both."""
        tracker = self.tracker(site)
        if not tracker:
            return None
        ids = {x['self']: n for n in self.running(site) for x in [self.look(n)] if x}
        deputy = ids.get((self.look(tracker) or {}).get('deputy'))
        return (tracker, deputy) if deputy else None

    def another(self, dead, site='edge'):
        """The tracker's name, once that is not the dead one."""
        name = self.tracker(site)
        return name if name != dead else None

    def elected_s(self, dead, since):
        """How long after that wall time the first node took office, as its log says."""
        times = [stamp(line) for n in self.nodes() if n != dead
                 for line in self.node[n].log().splitlines()
                 if 'event=elected' in line and 'role=tracker' in line]
        after = [t - since for t in times if t > since]
        return min(after) if after else float('inf')

    def node_get(self, address, port, target):
        """A request of the cloud's own node."""
        with self.net.inside('cloud-1'):
            request = Get((address, port), target, timeout=5)
        return request.run()

    def from_cloud(self):
        """Payload bytes that left the registry's site."""
        up = self.net.counters()['link', 'cloud.up']
        return int(up['bytes']) - HEAD_BYTES * int(up['pkts'])

    @staticmethod
    def pause(seconds):
        """Time that is part of what is tried: how long a fault lasts."""
        time.sleep(seconds)

    def image(self, name, sizes, tag='v1'):
        return self.origin.image(name, tag, sizes)

    def goodput(self, site='edge', seconds=4.0, warm_s=1.5):
        """Payload bytes a second of one long TCP flow over the site's WAN, after its slow start."""
        path = os.path.join(self.origin.folder, 'blobs', 'sha256:' + '0' * 64)
        with open(path, 'wb') as f:
            f.truncate(1 << 40)
        with self.net.inside(self.nodes(site)[0]):
            s = socket.create_connection((self.origin.address, 80))
        with s:
            s.sendall(b'GET /v2/x/blobs/sha256:' + b'0' * 64 + b' HTTP/1.1\r\nHost: x\r\n\r\n')
            space, got, end = bytearray(1 << 20), 0, time.monotonic() + warm_s
            while time.monotonic() < end:
                s.recv_into(space)
            begun = time.monotonic()
            while time.monotonic() < begun + seconds:
                got += s.recv_into(space)
            took = time.monotonic() - begun
        # What the flow had in flight must not be charged to what follows.
        wait_for('the WAN is silent', lambda: self.silent(site))
        return got / took

    def silent(self, site):
        before = self.net.into(site).packets
        time.sleep(0.1)
        return self.net.into(site).packets - before < 8

    def begin(self, names, image, stagger_s=0.0, timeout_s=60.0):
        """Pulls that run; node i begins i * stagger_s after the first."""
        at = time.monotonic() + 0.05
        return [Pull(self.node[n], image, at + i * stagger_s, timeout_s) for i, n in enumerate(names)]

    @staticmethod
    def wait(pulls, seconds=300.0):
        for pull in pulls:
            pull.thread.join(seconds)
        return pulls

    def pull(self, names, image, **how):
        return self.wait(self.begin(names, image, **how))

    @staticmethod
    def reached(pulls, share, seconds=60.0):
        """Waits until the pulls have that share of their bytes together."""
        whole = sum(p.image.bytes for p in pulls)
        wait_for(f'{share:.0%} of the bytes', lambda: sum(p.got for p in pulls) >= share * whole,
                 seconds)

    @contextlib.contextmanager
    def counted(self, *sites):
        """Counters of what happens in the block: a dict by site, filled at its end."""
        sites = sites or {self.net.site[n] for n in self.nodes()}
        lan = {site: self.net.lan_bytes(site) for site in sites}
        sums, before = {}, self.net.counters()
        yield sums
        after = self.net.counters()
        for site in sites:
            a, b = self.net.into(site, before), self.net.into(site, after)
            sums[site] = {'wan': b.bytes - a.bytes, 'payload': b.payload - a.payload,
                          'lan': self.net.lan_bytes(site) - lan[site]}
        sums['late'] = int(after['loop', '']['late_10ms']) - int(before['loop', '']['late_10ms'])

    def judge(self, what, pulls, counted, bound_s, site='edge', wan_most=1.02, time_most=1.10):
        """Checks pulls of one image against the bound and one copy, and prints a row of the table.

        `make lab` asks for the goals themselves; `make test`, which shares its machine with others, for
        half as much time again and 5 % more bytes."""
        if not FULL:
            wan_most, time_most = wan_most + 0.05, time_most * 1.5
        right = self.right(pulls, what)
        image, seconds = pulls[0].image, [p.seconds for p in pulls]
        time_ratio, copies = max(seconds) / bound_s, counted[site]['payload'] / image.bytes
        print(f'row | {what} | {len(pulls)} x {image.bytes / MIB:.0f} MiB | {bound_s:.2f} '
              f'| {spread(seconds)} | {time_ratio:.3f} | {copies:.4f} '
              f'| {counted[site]["lan"] / image.bytes / max(1, len(pulls) - 1):.2f} '
              f'| {max(p.first_byte_s or 0 for p in pulls):.2f} | {max(p.stall_s for p in pulls):.2f} '
              f'| {sum(1 for p in pulls if p.failed or p.wrong)} | {counted["late"]} |', flush=True)
        self.lab.check(copies <= wan_most, f'{what}: {copies:.4f} copies over the WAN, most {wan_most}')
        self.lab.check(time_ratio <= time_most,
                       f'{what}: the last after {time_ratio:.3f} T*, most {time_most}')
        return right

    def right(self, pulls, what='pulls'):
        """No failed pull, no wrong byte."""
        bad = [str(p) for p in pulls if not p.done or p.failed or p.wrong]
        self.lab.check(not bad, f'{what}: {len(bad)} of {len(pulls)} failed: ' + '; '.join(bad[:4]))
        self.lab.check(sum(p.wrong for p in pulls) == 0, f'{what}: no wrong byte')
        return not bad

    def kill(self, *names):
        """At once, as by a pulled plug; their clients die with them."""
        for name in names:
            os.kill(self.node[name].pid(), signal.SIGKILL)
        return time.time()


def stamp(line):
    """Seconds since 1970 of a log line."""
    found = re.search(r'(\d{4}-\d\d-\d\dT[\d:.]+)Z', line)
    when = datetime.datetime.fromisoformat(found[1]).replace(tzinfo=datetime.timezone.utc)
    return when.timestamp()


def spread(values):
    """'min / median / max' of some numbers."""
    v = sorted(values)
    return f'{v[0]:.2f} / {v[len(v) // 2]:.2f} / {v[-1]:.2f}' if v else '-'
