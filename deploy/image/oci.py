#!/usr/bin/env python3
"""Writes the container image of peersync as an OCI layout, FROM scratch and without a Docker engine.

    oci.py --program FILE --linked FILE --version V --epoch SECONDS --out DIR

Two layers: what rarely changes (shared libraries that the program needs, the authorities that TLS
trusts, a user, folders), and the program. The same input gives the same bytes. --linked is what
`ld --trace` printed: the static libraries inside of the program. DIR gets

    oci/             the layout, tagged with the version
    sbom.spdx.json   SPDX 2.3: the Debian packages that program and libraries come from; also in the image
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile

USER = 65532
MEDIA = 'application/vnd.oci.image.'
AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'
MACHINES = {'X86-64': 'amd64', 'AArch64': 'arm64', 'ARM': 'arm'}
SBOM_IN_IMAGE = 'usr/share/doc/peersync/sbom.spdx.json'


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, 'rb') as f:
        return f.read()


# ---- what belongs into it ----

def machine(program):
    name = re.search(r'Machine:\s+(.*)', run('readelf', '-h', program)).group(1)
    return next(arch for word, arch in MACHINES.items() if word in name)


def interpreter(program):
    return re.search(r'interpreter: (.*)\]', run('readelf', '-l', program)).group(1)


def needed(path):
    return re.findall(r'\(NEEDED\).*\[(.*)\]', run('readelf', '-d', path))


def libraries(program, folders):
    """Everything that the loader will open, as {name: path}."""
    found, todo = {}, needed(program)
    while todo:
        name = todo.pop()
        if name in found or name.startswith('ld-linux'):
            continue
        path = next((f'{d}/{name}' for d in folders if os.path.exists(f'{d}/{name}')), None)
        if not path:
            raise SystemExit(f'oci.py: no {name} in {" ".join(folders)}')
        found[name] = path
        todo += needed(path)
    return found


# ---- where it comes from ----

def owner(path):
    """The Debian package of a file, which dpkg may know by the name before or behind /usr."""
    real = os.path.realpath(path)
    for name in (path, real, real.removeprefix('/usr')):
        done = subprocess.run(['dpkg-query', '-S', name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(': ')[0].split(',')[0]
    raise SystemExit(f'oci.py: {path} is of no Debian package')


def spdx_id(name):
    return 'SPDXRef-' + re.sub(r'[^A-Za-z0-9.-]', '-', name)


def spdx_package(name):
    form = '${Package}|${Version}|${Architecture}|${source:Package}|${source:Version}|${Homepage}'
    package, version, arch, source, source_version, home = run('dpkg-query', '-W', '-f', form, name).split('|')
    return {'name': package, 'SPDXID': spdx_id('deb-' + package), 'versionInfo': version,
            'supplier': 'Organization: Debian', 'downloadLocation': 'NOASSERTION',
            'homepage': home or 'NOASSERTION', 'filesAnalyzed': False,
            'licenseConcluded': 'NOASSERTION', 'licenseDeclared': 'NOASSERTION',
            'copyrightText': 'NOASSERTION',
            'sourceInfo': f'built from Debian source package {source} {source_version}',
            'externalRefs': [{'referenceCategory': 'PACKAGE-MANAGER', 'referenceType': 'purl',
                              'referenceLocator': f'pkg:deb/debian/{package}@{version}?arch={arch}'}]}


def sbom(args, shared, static):
    """shared, static: {Debian package: [file names]}."""
    when = datetime.datetime.fromtimestamp(args.epoch, datetime.timezone.utc)
    program = {'name': 'peersync', 'SPDXID': 'SPDXRef-peersync', 'versionInfo': args.version,
               'supplier': 'Organization: peersync', 'downloadLocation': 'NOASSERTION',
               'filesAnalyzed': False, 'licenseConcluded': 'Apache-2.0',
               'licenseDeclared': 'Apache-2.0', 'copyrightText': 'NOASSERTION',
               'checksums': [{'algorithm': 'SHA256', 'checksumValue': sha256(read(args.program))}],
               'primaryPackagePurpose': 'CONTAINER'}
    packages = sorted(set(shared) | set(static))
    relations = [('SPDXRef-DOCUMENT', 'DESCRIBES', 'SPDXRef-peersync')]
    relations += [(spdx_package(p)['SPDXID'], 'STATIC_LINK' if p in static else 'DYNAMIC_LINK',
                   'SPDXRef-peersync') for p in packages if p != 'ca-certificates']
    relations += [('SPDXRef-peersync', 'CONTAINS', spdx_id('deb-ca-certificates'))]
    document = {'spdxVersion': 'SPDX-2.3', 'dataLicense': 'CC0-1.0', 'SPDXID': 'SPDXRef-DOCUMENT',
                'name': f'peersync-{args.version}',
                'documentNamespace': f'https://peersync.invalid/spdx/{args.version}/'
                                     + sha256(read(args.program))[:32],
                'creationInfo': {'created': when.strftime('%Y-%m-%dT%H:%M:%SZ'),
                                 'creators': ['Tool: peersync-oci.py']},
                'packages': [program] + [spdx_package(p) for p in packages],
                'relationships': [{'spdxElementId': a, 'relationshipType': how, 'relatedSpdxElement': b}
                                  for a, how, b in relations]}
    return json.dumps(document, indent=1, sort_keys=True).encode() + b'\n'


def by_owner(paths):
    owners = {}
    for path in paths:
        owners.setdefault(owner(path), []).append(os.path.basename(path))
    return owners


# ---- the image ----

class Layer:
    def __init__(self, epoch):
        self.bytes, self.epoch, self.folders = io.BytesIO(), epoch, set()
        self.tar = tarfile.open(fileobj=self.bytes, mode='w', format=tarfile.USTAR_FORMAT)

    def entry(self, name, mode, user=0):
        info = tarfile.TarInfo(name)
        info.mode, info.mtime, info.uid, info.gid = mode, self.epoch, user, user
        return info

    def folder(self, name, mode=0o755, user=0):
        if name in self.folders or not name:
            return
        self.folder(os.path.dirname(name))
        self.folders.add(name)
        info = self.entry(name, mode, user)
        info.type = tarfile.DIRTYPE
        self.tar.addfile(info)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name))
        info = self.entry(name, mode)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def done(self):
        """The digest of the tar, and it compressed."""
        self.tar.close()
        data = self.bytes.getvalue()
        return 'sha256:' + sha256(data), gzip.compress(data, 9, mtime=0), len(data)


def base_layer(args, libs, bill):
    layer = Layer(args.epoch)
    loader = interpreter(args.program)
    layer.file(loader.lstrip('/'), read(loader), 0o755)
    for name, path in sorted(libs.items()):
        layer.file(f'usr/lib/{args.triplet}/{name}', read(path))
    layer.file(AUTHORITIES.lstrip('/'), read(AUTHORITIES))
    layer.file('etc/passwd', f'peersync:x:{USER}:{USER}::/var/lib/peersync:/\n'.encode())
    layer.file('etc/group', f'peersync:x:{USER}:\n'.encode())
    layer.file('etc/nsswitch.conf', b'hosts: files dns\n')
    layer.file(SBOM_IN_IMAGE, bill)
    layer.folder('etc/peersync')
    layer.folder('var/lib/peersync', 0o750, USER)
    return layer


def program_layer(args):
    layer = Layer(args.epoch)
    layer.file('usr/bin/peersync', read(args.program), 0o755)
    return layer


class Layout:
    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f'{folder}/blobs/sha256')
        self.folder = folder

    def put(self, data, media):
        with open(f'{self.folder}/blobs/sha256/{sha256(data)}', 'wb') as f:
            f.write(data)
        return {'mediaType': MEDIA + media, 'digest': 'sha256:' + sha256(data), 'size': len(data)}

    def put_json(self, document, media):
        return self.put(json.dumps(document, sort_keys=True).encode(), media)

    def finish(self, index):
        for name, document in (('index.json', index), ('oci-layout', {'imageLayoutVersion': '1.0.0'})):
            with open(f'{self.folder}/{name}', 'w', encoding='utf-8') as f:
                json.dump(document, f, sort_keys=True)


def write_image(args, layers):
    layout, created = Layout(args.out + '/oci'), datetime.datetime.fromtimestamp(
        args.epoch, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
    done = [layer.done() for layer in layers]
    descriptors = [layout.put(packed, 'layer.v1.tar+gzip') for _, packed, _ in done]
    labels = {'org.opencontainers.image.title': 'peersync', 'org.opencontainers.image.version': args.version,
              'org.opencontainers.image.licenses': 'Apache-2.0', 'org.opencontainers.image.created': created}
    config = layout.put_json({
        'created': created, 'architecture': args.arch, 'os': 'linux',
        'config': {'User': f'{USER}:{USER}', 'Entrypoint': ['/usr/bin/peersync'], 'Cmd': ['serve'],
                   'Env': ['PATH=/usr/bin'], 'WorkingDir': '/', 'Volumes': {'/var/lib/peersync': {}},
                   'ExposedPorts': {'5000/tcp': {}, '5001/tcp': {}, '5002/tcp': {}, '5002/udp': {}},
                   'StopSignal': 'SIGTERM', 'Labels': labels},
        'rootfs': {'type': 'layers', 'diff_ids': [diff for diff, _, _ in done]},
        'history': [{'created': created, 'created_by': 'peersync make image'} for _ in done]},
        'config.v1+json')
    manifest = layout.put_json({'schemaVersion': 2, 'mediaType': MEDIA + 'manifest.v1+json', 'config': config,
                                'layers': descriptors, 'annotations': labels}, 'manifest.v1+json')
    manifest.update(platform={'architecture': args.arch, 'os': 'linux'},
                    annotations={'org.opencontainers.image.ref.name': args.version})
    layout.finish({'schemaVersion': 2, 'mediaType': MEDIA + 'index.v1+json', 'manifests': [manifest]})
    packed, unpacked = sum(d['size'] for d in descriptors), sum(size for _, _, size in done)
    print(f'{args.out}/oci: peersync {args.version} for {args.arch}, {packed / 2**20:.1f} MiB to pull, '
          f'{unpacked / 2**20:.1f} MiB unpacked')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    for name in ('program', 'linked', 'version', 'out'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--epoch', type=int, required=True)
    args = parser.parse_args()
    args.arch = machine(args.program)
    args.triplet = {'amd64': 'x86_64-linux-gnu', 'arm64': 'aarch64-linux-gnu', 'arm': 'arm-linux-gnueabihf'}[args.arch]
    libs = libraries(args.program, [f'/lib/{args.triplet}', f'/usr/lib/{args.triplet}'])
    with open(args.linked, encoding='utf-8') as f:
        archives = set(re.findall(r'(?:^|\()(/\S+?\.a)(?=\)|$)', f.read(), re.M))
    static = by_owner(sorted(a for a in archives if '/gcc/' not in os.path.realpath(a)))
    shared = by_owner(sorted(libs.values()))
    shared['ca-certificates'] = [AUTHORITIES]  # put together at its installation
    bill = sbom(args, shared, static)
    with open(args.out + '/sbom.spdx.json', 'wb') as f:
        f.write(bill)
    write_image(args, [base_layer(args, libs, bill), program_layer(args)])


if __name__ == '__main__':
    main()
