#!/usr/bin/env python3
"""Makes a runnable image from the Debian packages of this machine and pushes it to a registry.

    make.py --to http://127.0.0.1:5000 --name library/demo:v1 [--kind oci|schema2|index|list|artifact]
            [--layers demo|gzip:64k,tar:3m,...] [--salt TEXT] [--arch amd64]

`demo` layers hold real files: the packages of DEMO_LAYERS as dpkg lists them, part of the layers
gzip-compressed and part plain tar. Layers by size hold generated files, each another salt other
bytes. The first layer is always busybox-static with a shell, so that every image runs: its command
is /bin/check, which compares the files of all layers with their sums. The same arguments on the
same packages give the same digests. Prints one JSON object: name, kind, digest (of what the tag
names), manifests, config, layers [{digest, size, media}], bytes.
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import stat
import sys
import tarfile
import tempfile
import urllib.parse

BUSYBOX = '/bin/busybox'
APPLETS = 'sh echo cat ls ps sleep sha256sum true false uname wc head tail mkdir hostname'.split()
# How a layer is packed, and the packages whose files it holds.
DEMO_LAYERS = (('gzip', ('docker.io',)), ('tar', ('containerd', 'runc')),
               ('gzip', ('skopeo', 'docker-registry')), ('tar', ('coreutils', 'bash', 'perl-base')))
PIECE_BYTES = 1 << 20
MTIME = 1700000000
OCI = 'application/vnd.oci.image.'
DOCKER = 'application/vnd.docker.'
MEDIA = {
    'oci': {'manifest': OCI + 'manifest.v1+json', 'config': OCI + 'config.v1+json',
            'tar': OCI + 'layer.v1.tar', 'gzip': OCI + 'layer.v1.tar+gzip',
            'index': OCI + 'index.v1+json'},
    'schema2': {'manifest': DOCKER + 'distribution.manifest.v2+json',
                'config': DOCKER + 'container.image.v1+json',
                'tar': DOCKER + 'image.rootfs.diff.tar',
                'gzip': DOCKER + 'image.rootfs.diff.tar.gzip',
                'index': DOCKER + 'distribution.manifest.list.v2+json'},
}
CHECK = """#!/bin/sh
# Every file of every layer is as it was made.
cd / && sha256sum -c -s /etc/demo/*.sums || { echo "some files are wrong"; exit 1; }
echo "$(cat /etc/demo/name) on $(uname -m): $(cat /etc/demo/*.sums | wc -l) files, all as made"
"""


def digest_of(data):
    return 'sha256:' + hashlib.sha256(data).hexdigest()


class Registry:
    """The push side of the registry API, as much as docker-registry needs."""

    def __init__(self, url, name):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=60)
        self.repository, _, self.tag = name.partition(':')

    def ask(self, method, path, body=None, **headers):
        self.connection.request(method, path, body, {k.replace('_', '-'): v for k, v in headers.items()})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and method != 'HEAD':
            raise SystemExit(f'{method} {path}: {answer.status} {text[:300]!r}')
        return answer

    def put_blob(self, digest, size, stream):
        base = f'/v2/{self.repository}/blobs/'
        if self.ask('HEAD', base + digest).status == 200:
            return
        place = urllib.parse.urlsplit(self.ask('POST', base + 'uploads/', b'').headers['Location'])
        query = f'{place.query}&' if place.query else ''
        self.ask('PUT', f'{place.path}?{query}digest={digest}', stream, Content_Length=str(size),
                 Content_Type='application/octet-stream')

    def put_manifest(self, body, media, reference):
        self.ask('PUT', f'/v2/{self.repository}/manifests/{reference}', body, Content_Type=media)
        return {'mediaType': media, 'digest': digest_of(body), 'size': len(body)}


class Layer:
    """One layer on its way to a file: a tar with sums of what it holds."""

    def __init__(self, folder, number, packing):
        self.number, self.packing, self.sums = number, packing, []
        self.path = os.path.join(folder, f'layer-{number}')
        self.plain, self.folders = hashlib.sha256(), set()
        self.raw = open(self.path, 'w+b')
        self.out = gzip.GzipFile('', 'wb', 1, self.raw, MTIME) if packing == 'gzip' else self.raw
        self.tar = tarfile.open(fileobj=self, mode='w|', format=tarfile.GNU_FORMAT)

    def write(self, data):
        self.plain.update(data)
        self.out.write(data)
        return len(data)

    def entry(self, name, mode, kind=tarfile.REGTYPE):
        info = tarfile.TarInfo(name)
        info.mode, info.mtime, info.type = mode, MTIME, kind
        return info

    def parents(self, name):
        parts = name.split('/')[:-1]
        for i in range(1, len(parts) + 1):
            folder = '/'.join(parts[:i])
            if folder not in self.folders:
                self.folders.add(folder)
                self.tar.addfile(self.entry(folder, 0o755, tarfile.DIRTYPE))

    def file(self, name, data, mode=0o644):
        self.parents(name)
        info = self.entry(name, mode)
        info.size = len(data)
        self.sums.append(f'{hashlib.sha256(data).hexdigest()}  {name}\n')
        self.tar.addfile(info, io.BytesIO(data))

    def link(self, name, target):
        self.parents(name)
        info = self.entry(name, 0o777, tarfile.SYMTYPE)
        info.linkname = target
        self.tar.addfile(info)

    def finish(self, media):
        sums = ''.join(self.sums).encode()
        self.sums = []
        self.file(f'etc/demo/{self.number}.sums', sums)
        self.tar.close()
        if self.out is not self.raw:
            self.out.close()
        self.raw.flush()
        self.raw.seek(0)
        stored = hashlib.sha256()
        while data := self.raw.read(PIECE_BYTES):
            stored.update(data)
        self.raw.seek(0)
        return {'mediaType': media, 'digest': 'sha256:' + stored.hexdigest(),
                'size': os.path.getsize(self.path)}


def base_layer(layer, name):
    with open(BUSYBOX, 'rb') as f:
        layer.file('bin/busybox', f.read(), 0o755)
    for applet in APPLETS:
        layer.link('bin/' + applet, 'busybox')
    layer.file('bin/check', CHECK.encode(), 0o755)
    layer.file('etc/passwd', b'root:x:0:0:root:/:/bin/sh\n')
    layer.file('etc/demo/name', name.encode() + b'\n')


def package_files(package):
    info = '/var/lib/dpkg/info'
    found = [f for f in os.listdir(info)
             if f.endswith('.list') and f[:-5].split(':')[0] == package]
    for listing in sorted(found):
        with open(os.path.join(info, listing), encoding='utf-8') as f:
            for path in f.read().splitlines():
                # /lib is a link to /usr/lib: one name for one file.
                folder, name = os.path.split(path)
                yield os.path.join(os.path.realpath(folder), name)


def package_layer(layer, packages):
    for path in sorted({p for package in packages for p in package_files(package)}):
        try:
            kind = os.lstat(path).st_mode
            if stat.S_ISLNK(kind):
                layer.link('packages' + path, os.readlink(path))
            elif stat.S_ISREG(kind):
                with open(path, 'rb') as f:
                    layer.file('packages' + path, f.read(), kind & 0o755)
        except OSError as why:
            print(f'make.py: left out: {why}', file=sys.stderr)


def generated_layer(layer, size, salt):
    """Half of the bytes do not compress, half are text."""
    source = random.Random(f'{salt}/{layer.number}')
    part = 0
    while size > 0:
        n = min(size, PIECE_BYTES)
        words = b' '.join(b'%d' % source.randrange(10**6) for _ in range(n // 14 + 1))[:n // 2]
        layer.file(f'data/{layer.number}/{part}', source.randbytes(n - len(words)) + words)
        size, part = size - n, part + 1


def size_of(text):
    return int(text.rstrip('kKmMgG')) << {'k': 10, 'm': 20, 'g': 30}.get(text[-1].lower(), 0)


def layers_of(folder, order, name, salt):
    """Yields layers with their content, not yet finished."""
    layer = Layer(folder, 0, 'tar')
    base_layer(layer, name)
    yield layer
    if order == 'demo':
        for number, (packing, packages) in enumerate(DEMO_LAYERS, 1):
            layer = Layer(folder, number, packing)
            package_layer(layer, packages)
            yield layer
        return
    for number, item in enumerate(filter(None, order.split(',')), 1):
        packing, _, size = item.partition(':')
        layer = Layer(folder, number, packing)
        generated_layer(layer, size_of(size), salt)
        yield layer


def put_image(registry, folder, media, args, arch):
    """One image manifest with all that it names. Returns descriptor, config, layers, body."""
    layers, plain = [], []
    for layer in layers_of(folder, args.layers, f'{args.name} {arch}', args.salt):
        layers.append(layer.finish(media[layer.packing]))
        plain.append('sha256:' + layer.plain.hexdigest())
        registry.put_blob(layers[-1]['digest'], layers[-1]['size'], layer.raw)
        layer.raw.close()
        os.unlink(layer.path)
    config = json.dumps({
        'architecture': arch, 'os': 'linux', 'created': '2023-11-14T22:13:20Z',
        'config': {'Cmd': ['/bin/check'], 'Env': ['PATH=/bin'], 'WorkingDir': '/',
                   'Labels': {'salt': args.salt}},
        'rootfs': {'type': 'layers', 'diff_ids': plain},
        'history': [{'created': '2023-11-14T22:13:20Z', 'created_by': 'make.py'} for _ in plain],
    }).encode()
    described = {'mediaType': media['config'], 'digest': digest_of(config), 'size': len(config)}
    registry.put_blob(described['digest'], len(config), config)
    body = json.dumps({'schemaVersion': 2, 'mediaType': media['manifest'], 'config': described,
                       'layers': layers}, indent=1).encode()
    return described, layers, body


def put_artifact(registry, args):
    data = random.Random(args.salt).randbytes(20000)
    empty = {'mediaType': 'application/vnd.oci.empty.v1+json', 'digest': digest_of(b'{}'), 'size': 2}
    blob = {'mediaType': 'application/vnd.example.data', 'digest': digest_of(data), 'size': len(data)}
    registry.put_blob(empty['digest'], 2, b'{}')
    registry.put_blob(blob['digest'], len(data), data)
    body = json.dumps({'schemaVersion': 2, 'mediaType': MEDIA['oci']['manifest'],
                       'artifactType': 'application/vnd.example.thing', 'config': empty,
                       'layers': [blob]}).encode()
    return empty, [blob], body


def put(registry, folder, args):
    media = MEDIA['schema2' if args.kind in ('schema2', 'list') else 'oci']
    if args.kind in ('index', 'list'):
        children = []
        for arch in (args.arch, 'arm64' if args.arch == 'amd64' else 'amd64'):
            config, layers, body = put_image(registry, folder, media, args, arch)
            child = registry.put_manifest(body, media['manifest'], digest_of(body))
            children.append((child | {'platform': {'architecture': arch, 'os': 'linux'}}, config, layers))
        body = json.dumps({'schemaVersion': 2, 'mediaType': media['index'],
                           'manifests': [c[0] for c in children]}, indent=1).encode()
        top = registry.put_manifest(body, media['index'], registry.tag)
        return top, [c[0]['digest'] for c in children], children[0][1], children[0][2]
    made = put_artifact(registry, args) if args.kind == 'artifact' else \
        put_image(registry, folder, media, args, args.arch)
    top = registry.put_manifest(made[2], media['manifest'], registry.tag)
    return top, [top['digest']], made[0], made[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--to', required=True, help='http://HOST:PORT of the registry')
    parser.add_argument('--name', required=True, help='REPOSITORY:TAG')
    parser.add_argument('--kind', default='oci', choices=['oci', 'schema2', 'index', 'list', 'artifact'])
    parser.add_argument('--layers', default='gzip:64k,tar:200k,gzip:1m')
    parser.add_argument('--salt', default='')
    machine = os.uname().machine
    parser.add_argument('--arch', default={'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine))
    args = parser.parse_args()
    args.salt = args.salt or args.name
    registry = Registry(args.to, args.name)
    with tempfile.TemporaryDirectory(prefix='image-') as folder:
        top, manifests, config, layers = put(registry, folder, args)
    print(json.dumps({
        'name': args.name, 'kind': args.kind, 'digest': top['digest'], 'manifests': manifests,
        'config': config['digest'], 'layers': layers,
        'bytes': config['size'] + sum(x['size'] for x in layers)}))


if __name__ == '__main__':
    main()
