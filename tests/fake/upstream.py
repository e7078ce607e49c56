#!/usr/bin/env python3
"""A registry (pull side) that misbehaves on demand: one thread per connection, sockets by hand.

Data listeners speak registry v2; a control listener, never asked by the node under test, makes
repositories, sets faults and gives the log. Start: upstream.py [--log FILE]. It prints one JSON
line {"control": PORT} and ends when its standard input closes.

Control (POST, JSON in and out):
  /listen  {"address": "127.0.1.1", "cert", "key"}   -> {"port": N}   with files: TLS
  /image   {"repo", "tag", "layers": [{"seed","size"}], "schema2", "algorithm", "auth"}
                                        -> {"manifest", "config", "layers": [digest]}
  /auth    {"repo", "auth": {"kind": "none|bearer|basic", "user", "password", "realm"}}
  /rules   {"group", "rules": [RULE]}   replaces the rules of that group
  /log     {"match": REGEX}             -> [ENTRY]   in order of arrival
  /revoke  {"repo"}                     tokens given so far (for that repository) are void
  /release {"group"}                    lets go what hangs

A RULE is a fault and the requests that it takes:
  match    regular expression over "METHOD TARGET"
  skip     so many matching requests pass first          times  so many are hit (default: all)
and any of
  status, headers, body   this answer instead            redirect  307 to this URL
  revoke   tokens of this repository become void when the fault strikes
  drop     the connection ends without an answer
  hang     "head", or the content position where the silence begins
  pause    the same, for pause_s seconds
  rate     bytes per second of the body                  flip   position of the wrong bit
  cut      position where the connection ends            rst    it ends with RST, not FIN
  length   added to Content-Length and to what is sent   claim  added to Content-Length only
  chunked  no Content-Length                             ignore_range, shift_range (by n bytes)
  digest   this Docker-Content-Digest                    gzip   body compressed though not asked
  type     this Content-Type
Positions are those of the content, not of one answer, so a cut at p also cuts a resume at p.
"""
import argparse
import base64
import gzip
import http.server
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from content import Bytes, Content  # noqa: E402

HEAD_MAX = 65536
OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
OCI_CONFIG = 'application/vnd.oci.image.config.v1+json'
OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar'
S2_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
S2_CONFIG = 'application/vnd.docker.container.image.v1+json'
S2_LAYER = 'application/vnd.docker.image.rootfs.diff.tar'


class Repo:
    def __init__(self):
        self.manifests, self.tags, self.blobs = {}, {}, {}
        self.auth = {'kind': 'none'}


class Gone(Exception):
    """The connection ended, by the client or by a fault."""


class State:
    def __init__(self, log_path):
        self.lock = threading.Lock()
        self.repos, self.contents, self.rules, self.tokens, self.log = {}, {}, {}, {}, []
        self.releases, self.next_token = {}, 0
        self.file = open(log_path, 'a', encoding='utf-8') if log_path else None

    def repo(self, name):
        return self.repos.setdefault(name, Repo())

    def content(self, seed, size):
        key = (seed, size)
        with self.lock:
            if key not in self.contents:
                self.contents[key] = Content(seed, size)
            return self.contents[key]

    def take_rule(self, line):
        """The first rule that wants this request, counted."""
        with self.lock:
            for rules in self.rules.values():
                for rule in rules:
                    if not re.search(rule['match'], line):
                        continue
                    rule['seen'] = rule.get('seen', 0) + 1
                    if rule['seen'] > rule.get('skip', 0) and rule.get('times', 1 << 60) > 0:
                        rule['times'] = rule.get('times', 1 << 60) - 1
                        return rule
        return None

    def release_event(self, group):
        with self.lock:
            return self.releases.setdefault(group, threading.Event())

    def new_token(self, name):
        with self.lock:
            self.next_token += 1
            token = f'CANARY-token-{self.next_token}-{name.encode().hex()}'
            self.tokens[token] = name
        return token

    def revoke(self, name):
        with self.lock:
            self.tokens = {t: n for t, n in self.tokens.items() if name not in ('', n)}

    def begin(self, entry):
        with self.lock:
            entry['id'] = len(self.log)
            self.log.append(entry)

    def finish(self, entry):
        entry['done'] = time.time()
        if self.file:
            with self.lock:
                self.file.write(json.dumps(entry) + '\n')
                self.file.flush()


def make_image(state, order):
    """An image of generated layers; the same order gives the same digests."""
    algorithm = order.get('algorithm', 'sha256')
    schema2 = order.get('schema2', False)
    repo = state.repo(order['repo'])
    if 'auth' in order:
        repo.auth = order['auth']
    layers = [state.content(x['seed'], x['size']) for x in order['layers']]
    config = Bytes(json.dumps({
        'architecture': 'amd64', 'os': 'linux', 'config': {}, 'made_for': order['repo'],
        'rootfs': {'type': 'layers', 'diff_ids': [x.digest() for x in layers]}}).encode())

    def descriptor(media_type, content):
        digest = content.digest(algorithm)
        repo.blobs[digest] = content
        return {'mediaType': media_type, 'size': content.size, 'digest': digest}

    body = {'schemaVersion': 2, 'mediaType': S2_MANIFEST if schema2 else OCI_MANIFEST,
            'config': descriptor(S2_CONFIG if schema2 else OCI_CONFIG, config),
            'layers': [descriptor(S2_LAYER if schema2 else OCI_LAYER, x) for x in layers]}
    manifest = Bytes(json.dumps(body).encode())
    digest = manifest.digest()
    repo.manifests[digest] = (body['mediaType'], manifest)
    top = digest
    if order.get('index'):
        index = Bytes(json.dumps({
            'schemaVersion': 2, 'mediaType': OCI_INDEX,
            'manifests': [{'mediaType': body['mediaType'], 'size': manifest.size, 'digest': digest,
                           'platform': {'os': 'linux', 'architecture': 'amd64'}}]}).encode())
        top = index.digest()
        repo.manifests[top] = (OCI_INDEX, index)
    repo.tags[order.get('tag', 'latest')] = top
    return {'top': top, 'manifest': digest, 'manifest_text': manifest.data.decode(),
            'config': body['config']['digest'], 'layers': [x['digest'] for x in body['layers']]}


class Request:
    def __init__(self, head):
        lines = head.decode('latin-1').split('\r\n')
        self.method, self.target, self.version = lines[0].split(' ', 2)
        self.headers = {}
        for line in lines[1:]:
            if line:
                name, _, value = line.partition(':')
                self.headers[name.lower()] = value.strip()
        # As a proxy it is asked with the whole URL.
        self.proxied = re.match(r'https?://', self.target) is not None
        self.path, _, query = re.sub(r'^https?://[^/]*', '', self.target).partition('?')
        self.query = urllib.parse.parse_qs(query)


class Connection:
    """One accepted connection: reads requests, answers each with or without its fault."""

    def __init__(self, state, sock, at):
        self.state, self.sock, self.at = state, sock, at
        self.rule, self.entry, self.left = {}, {}, b''

    def run(self):
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self.one():
                pass
        except (Gone, OSError, ValueError):
            pass
        finally:
            self.sock.close()

    def one(self):
        while b'\r\n\r\n' not in self.left:
            data = self.sock.recv(16384)
            if not data or len(self.left) > HEAD_MAX:
                return False
            self.left += data
        head, _, self.left = self.left.partition(b'\r\n\r\n')
        request = Request(head)
        self.entry = {'t': time.time(), 'at': self.at, 'method': request.method,
                      'target': request.target, 'headers': request.headers, 'status': 0,
                      'sent': 0, 'end': 'open'}
        self.state.begin(self.entry)
        self.rule = self.state.take_rule(f'{request.method} {request.target}') or {}
        self.entry['fault'] = {k: v for k, v in self.rule.items()
                               if k not in ('match', 'skip', 'times', 'seen', 'group')}
        try:
            self.answer(request)
            self.entry['end'] = 'ok'
        except Gone as why:
            self.entry['end'] = str(why)
            raise
        except OSError:
            self.entry['end'] = 'client left'
            raise
        finally:
            self.state.finish(self.entry)
        return request.headers.get('connection', '').lower() != 'close'

    # ---- what to say ----

    def answer(self, request):
        rule = self.rule
        if rule.get('drop'):
            raise Gone('drop')
        if rule.get('hang') == 'head':
            self.hang()
        if 'revoke' in rule and 'cut' not in rule:
            self.state.revoke(rule['revoke'])
        if 'status' in rule:
            return self.small(request, rule['status'], rule.get('body', '{"errors":[]}').encode(),
                              rule.get('headers', {}))
        if 'redirect' in rule:
            return self.small(request, 307, b'', {'Location': rule['redirect']})
        if request.path == '/token':
            return self.token(request)
        if request.path == '/v2/':
            return self.small(request, 200, b'{}', {})
        match = re.fullmatch(r'/(v2|store)/(.+)/(manifests|blobs|tags|referrers)/([^/]+)',
                             request.path)
        if not match:
            return self.small(request, 404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', {})
        side, name, kind, reference = match.groups()
        repo = self.state.repos.get(name)
        if repo is None:
            return self.small(request, 404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', {})
        if side == 'v2' and not self.allowed(request, repo, name):
            return None
        return self.entity(request, repo, name, kind, reference)

    def allowed(self, request, repo, name):
        kind, given = repo.auth['kind'], request.headers.get('authorization', '')
        if kind == 'none':
            return True
        if kind == 'basic':
            right = base64.b64encode(f"{repo.auth['user']}:{repo.auth['password']}".encode())
            if given == 'Basic ' + right.decode():
                return True
            challenge = 'Basic realm="fake"'
        else:
            if given.startswith('Bearer ') and self.state.tokens.get(given[7:]) == name:
                return True
            realm = repo.auth.get('realm') or f"http://{request.headers['host']}/token"
            challenge = f'Bearer realm="{realm}",service="fake",scope="repository:{name}:pull"'
        self.small(request, 401, b'{"errors":[{"code":"UNAUTHORIZED"}]}',
                   {'WWW-Authenticate': challenge})
        return False

    def token(self, request):
        scope = request.query.get('scope', [''])[0]
        name = scope.split(':')[1] if scope.count(':') >= 2 else ''
        auth = self.state.repo(name).auth
        if 'user' in auth:
            right = base64.b64encode(f"{auth['user']}:{auth['password']}".encode()).decode()
            if request.headers.get('authorization', '') != 'Basic ' + right:
                return self.small(request, 401, b'{"details":"incorrect username or password"}', {})
        token = self.state.new_token(name)
        body = json.dumps({'token': token, 'expires_in': auth.get('expires_in', 300)}).encode()
        return self.small(request, 200, body, {'Content-Type': 'application/json'})

    def entity(self, request, repo, name, kind, reference):
        missing = {'manifests': 'MANIFEST_UNKNOWN', 'blobs': 'BLOB_UNKNOWN'}
        headers = {}
        if kind == 'tags':
            body = json.dumps({'name': name, 'tags': sorted(repo.tags)}).encode()
            return self.small(request, 200, body, {'Content-Type': 'application/json'})
        if kind == 'manifests':
            digest = repo.tags.get(reference, reference)
            media_type, content = repo.manifests.get(digest, (None, None))
            headers['Content-Type'] = self.rule.get('type', media_type)
        else:
            digest, content = reference, repo.blobs.get(reference)
            headers['Content-Type'] = 'application/octet-stream'
            headers['Accept-Ranges'] = 'bytes'
        if content is None:
            code = missing.get(kind, 'UNSUPPORTED')
            return self.small(request, 404, json.dumps({'errors': [{'code': code}]}).encode(), {})
        headers['Docker-Content-Digest'] = self.rule.get('digest', digest)
        headers['Etag'] = f'"{digest}"'
        return self.whole_or_part(request, content, headers, ranged=kind == 'blobs')

    def whole_or_part(self, request, content, headers, ranged):
        rule, status, start, end = self.rule, 200, 0, content.size
        match = re.fullmatch(r'bytes=(\d+)-(\d*)', request.headers.get('range', ''))
        same = request.headers.get('if-range', headers['Etag']) == headers['Etag']
        if match and ranged and same and not rule.get('ignore_range'):
            start = int(match[1])
            end = min(int(match[2]) + 1, content.size) if match[2] else content.size
            if start >= content.size or start >= end:
                return self.small(request, 416, b'',
                                  {'Content-Range': f'bytes */{content.size}'})
            status = 206
            shift = rule.get('shift_range', 0)
            headers['Content-Range'] = f'bytes {start + shift}-{end - 1 + shift}/{content.size}'
        if rule.get('gzip'):
            content = Bytes(gzip.compress(content.read(), 1))
            start, end = 0, content.size
            headers['Content-Encoding'] = 'gzip'
        if rule.get('chunked'):
            headers['Transfer-Encoding'] = 'chunked'
        else:
            headers['Content-Length'] = end - start + rule.get('length', 0) + rule.get('claim', 0)
        self.head(status, headers)
        if request.method == 'HEAD':
            return None
        return self.body(content, start, end + min(0, rule.get('length', 0)))

    # ---- how to say it ----

    def head(self, status, headers):
        self.entry['status'] = status
        lines = [f'HTTP/1.1 {status} Status', 'Docker-Distribution-Api-Version: registry/2.0']
        lines += [f'{name}: {value}' for name, value in headers.items()]
        self.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1'))

    def small(self, request, status, body, headers):
        self.head(status, {'Content-Type': 'application/json', 'Content-Length': len(body),
                           **headers})
        if request.method != 'HEAD':
            self.sock.sendall(body)

    def body(self, content, start, end):
        position = start
        for view in content.chunks(start, end):
            self.piece(view, position)
            position += len(view)
        self.strike(position)
        if self.rule.get('length', 0) > 0:
            self.sock.sendall(b'x' * self.rule['length'])
        if self.rule.get('claim', 0) or self.rule.get('length', 0):
            raise Gone('wrong length')
        if self.rule.get('chunked'):
            self.sock.sendall(b'0\r\n\r\n')

    def piece(self, view, position):
        """Sends view, which stands at position, as far as the rule lets it."""
        flip = self.rule.get('flip', -1)
        if position <= flip < position + len(view):
            view = memoryview(bytearray(view))
            view[flip - position] ^= 0x20
        stops = [self.rule[k] for k in ('cut', 'hang', 'pause') if isinstance(self.rule.get(k), int)]
        for stop in sorted(stops):
            if position <= stop < position + len(view):
                self.send(view[:stop - position])
                view, position = view[stop - position:], stop
                self.strike(stop)
        self.send(view)

    def strike(self, position):
        if self.rule.get('hang') == position:
            self.hang()
        if self.rule.get('pause') == position:
            self.pause(self.rule['pause_s'])
        if self.rule.get('cut') == position:
            if 'revoke' in self.rule:
                self.state.revoke(self.rule['revoke'])
            if self.rule.get('rst'):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            raise Gone('cut')

    def send(self, view):
        rate = self.rule.get('rate')
        step = len(view) if not rate else max(1, rate // 20)
        for at in range(0, len(view), step or 1):
            part = view[at:at + step]
            if self.rule.get('chunked'):
                part = b'%x\r\n' % len(part) + bytes(part) + b'\r\n'
            self.sock.sendall(part)
            self.entry['sent'] += len(part)
            if rate:
                self.pause(len(part) / rate)

    def pause(self, seconds):
        """Waits, and notices that the client left."""
        until = time.monotonic() + seconds
        if select.select([self.sock], [], [], seconds)[0]:
            if not self.sock.recv(1, socket.MSG_PEEK):
                raise Gone('client left')
            time.sleep(max(0, until - time.monotonic()))

    def hang(self):
        event = self.state.release_event(self.rule.get('group', ''))
        self.entry['end'] = 'hanging'
        while not event.is_set():
            self.pause(0.1)


class Control(http.server.BaseHTTPRequestHandler):
    state = None
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers.get('Content-Length', 0))) or b'{}')
        try:
            answer = getattr(self, 'do_' + self.path[1:])(order)
            status = 200
        except (AttributeError, KeyError, OSError, ValueError) as why:
            answer, status = {'error': repr(why)}, 400
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_listen(self, order):
        return {'port': listen(self.state, order.get('address', '127.0.0.1'),
                               order.get('port', 0), order.get('cert'), order.get('key'))}

    def do_image(self, order):
        return make_image(self.state, order)

    def do_auth(self, order):
        self.state.repo(order['repo']).auth = order['auth']
        return {}

    def do_rules(self, order):
        rules = [dict(r, group=order['group']) for r in order['rules']]
        with self.state.lock:
            self.state.rules[order['group']] = rules
            self.state.releases[order['group']] = threading.Event()
        return {}

    def do_log(self, order):
        with self.state.lock:
            return [e for e in self.state.log
                    if re.search(order.get('match', ''), f"{e['method']} {e['target']}")
                    and re.search(order.get('at', ''), e['at'])]

    def do_revoke(self, order):
        self.state.revoke(order.get('repo', ''))
        return {}

    def do_release(self, order):
        self.state.release_event(order['group']).set()
        return {}


def listen(state, address, port, cert=None, key=None):
    server = socket.create_server((address, port), backlog=512)
    port = server.getsockname()[1]
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)

    def serve(sock):
        try:
            if context:
                sock = context.wrap_socket(sock, server_side=True)
        except OSError:
            return  # the client does not like our certificate
        Connection(state, sock, f'{address}:{port}').run()

    def loop():
        while True:
            sock, _ = server.accept()
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return port


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--log', help='append each finished request to this file, JSON lines')
    options = parser.parse_args()
    threading.stack_size(256 * 1024)
    Control.state = State(options.log)
    control = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Control)
    control.daemon_threads = True
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print(json.dumps({'control': control.server_address[1]}), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == '__main__':
    main()
