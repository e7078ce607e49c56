"""Nodes of one site over the cell's loopback, around a fake registry, and what they share."""
import json
import os
import threading

from client import Get
from lab import free_port, wait_for

REG = 'a.test'


def site(lab, fake, count, **settings):
    """Nodes with one key that know each other as seeds (loopback has no multicast). Not started."""
    key = os.path.join(lab.folder, 'cluster.key')
    with open(key, 'w', encoding='utf-8') as f:
        f.write('psk-v1:' + 'c0ffee12' * 8 + '\n')
    os.chmod(key, 0o600)
    upstream = fake.registry(REG)
    peers = [f'127.0.0.1:{free_port()}' for _ in range(count)]
    return [lab.node([upstream], name=f'node{i}', start=False,
                     p2p={'enabled': True, 'listen': peers[i], 'key_file': key, 'site': 'here',
                          'multicast': False, 'seeds': peers[:i] + peers[i + 1:]}, **settings)
            for i in range(count)]


def swarm(node):
    return json.loads(Get(node.admin, '/api/v1/status', timeout=5).run().text)['p2p']


def joined(node, others):
    """It knows who is tracker and hears all the others."""
    p2p = swarm(node)
    return p2p.get('tracker') and p2p['nodes']['site'] >= others


def start(lab, nodes):
    """Until the site is complete."""
    lab.all(lambda node: node.start(), nodes)
    for node in nodes:
        wait_for('the site is complete', lambda n=node: joined(n, len(nodes) - 1), 20)


def image_at(fake, repo, sizes, rate=None):
    """An image whose blobs come over a WAN of that rate for each request."""
    image = fake.image(repo, sizes)
    image['bytes'] = sum(c.size for c in image['contents'])
    if rate:
        fake.rules(repo, {'match': f'GET .*{repo}/blobs/', 'rate': rate})
    return image


def copies(fake, image):
    """How many times the image crossed the WAN."""
    return sum(e['sent'] for e in fake.log(f"GET .*{image['repo']}/blobs/")) / image['bytes']


def pull(node, image, timeout=40):
    """What a runtime does: the manifest, then all layers at once. (all right?, the answers)."""
    status = node.manifest(REG, image).status
    layers = range(len(image['layers']))
    answers = [None] * len(layers)

    def one(i):
        answers[i] = node.blob(REG, image, i, timeout=timeout)

    threads = [threading.Thread(target=one, args=(i,)) for i in layers]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return status == 200 and all(
        a is not None and a.sha256 == d and a.wrong_at is None
        for a, d in zip(answers, image['layers'])), [str(a) for a in answers]


def pull_all(lab, nodes, image, what, timeout=40):
    for i, answer in enumerate(lab.all(lambda n: pull(n, image, timeout), nodes)):
        lab.check(answer and answer[0], f'{what}: node {i} got all bytes right: {answer}')
