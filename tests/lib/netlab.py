"""The network lab (tests/netlab) for scenarios in Python: sites, nodes, counters, sockets inside.

    with Net(folder, {'cloud': {'nodes': 1, 'delay': '1ms', 'lan': 'none'},
                      'edge': {'nodes': 8, 'rate': '100mbit', 'delay': '9ms'}}) as net:
        with net.inside('edge-1'):          # this thread's new sockets are the node's
            socket.create_connection((net.address['cloud-1'], 80))
        net.run('set', 'edge', 'rate=20mbit')
        net.into('edge').payload            # bytes of WAN into the site, without headers
"""
import collections
import contextlib
import ctypes
import os
import re
import socket
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
NETLAB = os.path.join(HERE, '..', 'netlab', 'netlab')
HEAD_BYTES = 52  # IPv4 and TCP with timestamps
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

Crossed = collections.namedtuple('Crossed', 'bytes packets payload')


def enter(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), 'setns ' + path)
    finally:
        os.close(fd)


def missing():
    """Why there can be no lab here; '' when there can."""
    if os.geteuid() != 0:
        return 'needs root'
    with open('/proc/self/uid_map', encoding='ascii') as f:
        if f.read().split()[0] != '0':
            return 'needs root, not a mapped user'
    return '' if os.path.exists('/dev/net/tun') else 'needs /dev/net/tun'


class Net:
    def __init__(self, folder, sites, name='lab', **extra):
        """sites: keys of a `site` line of the topology by name; extra: further lines by word."""
        self.name = name
        self.file = os.path.join(folder, name + '.conf')
        lines = [f'lab {name}'] + [f'{word} {rest}' for word, rest in extra.items()]
        for site, keys in sites.items():
            lines.append(f'site {site} ' + ' '.join(f'{k}={v}' for k, v in keys.items()))
        with open(self.file, 'w', encoding='ascii') as f:
            f.write('\n'.join(lines) + '\n')
        build = os.path.dirname(os.path.abspath(os.environ.get('PEERSYNC', '../build/x')))
        self.env = {'BUILD': build, **os.environ, 'NETLAB': name}
        self.run('up', self.file)
        self.address, self.site, self.space = {}, {}, {}
        for line in self.run('nodes').splitlines():
            node, address, site, space = line.split()
            self.address[node], self.site[node] = address, site
            self.space[node] = '/run/netns/' + space

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self):
        subprocess.run([NETLAB, 'down'], env=self.env, check=False)

    def run(self, *words):
        done = subprocess.run([NETLAB, *words], env=self.env, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f'netlab {" ".join(words)}: {done.stderr.strip()}')
        return done.stdout

    def play(self, orders):
        """Orders of the WAN at times from now: (seconds, 'set edge rate=20mbit')."""
        path = self.file + '.play'
        with open(path, 'w', encoding='ascii') as f:
            f.writelines(f'{int(at * 1000)}ms {order}\n' for at, order in orders)
        self.run('play', path)

    def prefix(self, node):
        """Of a command that runs as that node."""
        return ['nsenter', '--net=' + self.space[node]]

    @contextlib.contextmanager
    def inside(self, node):
        enter(self.space[node])
        try:
            yield
        finally:
            enter('/proc/1/ns/net')

    def nodes(self, site):
        return [n for n, s in self.site.items() if s == site]

    def order(self, line):
        """Straight to the WAN's control socket: cheap enough to be asked often."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            s.connect(f'/run/netlab/{self.name}/wanem.sock')
            s.send(line.encode())
            answer = b''
            while not answer.endswith(b'ok\n'):
                part = s.recv(65536)
                if not part or part.startswith(b'error:'):
                    raise AssertionError(f'wanem {line}: {part}')
                answer += part
        return answer.decode()

    def counters(self):
        """Lines of the WAN's report as {(kind, name): {key: value}}."""
        table = {}
        for line in self.order('stats').splitlines()[:-1]:
            words = line.split()
            names = [w for w in words[1:] if '=' not in w]
            table[words[0], ' '.join(names)] = dict(w.split('=', 1) for w in words if '=' in w)
        return table

    def into(self, site, counters=None):
        """What came over the WAN into a site, from everywhere."""
        size = packets = 0
        for (kind, name), of in (counters or self.counters()).items():
            if kind == 'path' and name.split()[1] == site:
                size, packets = size + int(of['bytes']), packets + int(of['pkts'])
        return Crossed(size, packets, size - HEAD_BYTES * packets)

    def lan_bytes(self, site):
        """What the nodes of a site received at their ports."""
        total = 0
        enter(f'/run/netns/nl-{self.name}-{site}-r')
        try:
            with open('/proc/thread-self/net/dev', encoding='ascii') as f:
                for line in f:
                    port, _, numbers = line.strip().partition(':')
                    if re.fullmatch(r'p\d+', port):
                        total += int(numbers.split()[8])
        finally:
            enter('/proc/1/ns/net')
        return total

    def late(self):
        """Packets that left the WAN more than 10 ms late: the machine stalled."""
        return int(self.counters()['loop', '']['late_10ms'])
