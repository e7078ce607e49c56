"""Raw malformed requests for the HTTP guard, and the client that judges the answers.

Every probe carries a second request hidden behind the first one's framing. It must never have an
effect: no second answer, no line in the node's log, no request at the upstream. `{mark}` in a
probe is its own name in the hidden request.
"""
import itertools
import re
import socket
import time

HOST = 'Host: 127.0.0.1\r\n'
HIDDEN = 'GET /v2/{mark}/manifests/x HTTP/1.1\r\n' + HOST + '\r\n'
REJECT, QUIET, SERVED = 'reject', 'quiet', 'served'
# REJECT: no 2xx, and the connection ends.  QUIET: anything but an effect of the hidden request.
# SERVED: a control that must work, so that the others prove something.


def probe(name, want, text, hidden=HIDDEN):
    return (name, want, text.encode('latin-1'), hidden.encode('latin-1'))


def head(method='GET', path='/v2/', version='HTTP/1.1', host=HOST, fields=''):
    return f'{method} {path} {version}\r\n{host}{fields}\r\n'


def table():
    """The 33 of the security page, in its order."""
    both = 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'
    yield probe('te-and-cl', REJECT, head(fields=both) + '0\r\n\r\n')
    yield probe('cl-and-te', REJECT, head(fields='Transfer-Encoding: chunked\r\n'
                                                 'Content-Length: 4\r\n') + '0\r\n\r\n')
    yield probe('post-te-and-cl', QUIET, head('POST', fields=both) + '0\r\n\r\n', '')
    yield probe('two-cl', REJECT, head(fields='Content-Length: 0\r\nContent-Length: {len}\r\n'))
    yield probe('two-cl-turned', REJECT,
                head(fields='Content-Length: {len}\r\nContent-Length: 0\r\n'))
    yield probe('same-cl-twice', REJECT,
                head(fields='Content-Length: {len}\r\nContent-Length: {len}\r\n'))
    yield probe('cl-space-colon', REJECT, head(fields='Content-Length : {len}\r\n'))
    yield probe('cl-tab-colon', REJECT, head(fields='Content-Length\t: {len}\r\n'))
    yield probe('te-space-colon', REJECT, head(fields='Transfer-Encoding : chunked\r\n'))
    yield probe('http10-chunked', REJECT, head(
        version='HTTP/1.0', fields='Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n')
        + '0\r\n\r\n')
    yield probe('te-gzip-chunked', REJECT,
                head(fields='Transfer-Encoding: gzip, chunked\r\n') + '0\r\n\r\n')
    yield probe('te-xchunked', REJECT, head(fields='Transfer-Encoding: xchunked\r\n'))
    yield probe('te-identity', REJECT, head(fields='Transfer-Encoding: identity\r\n'))
    yield probe('nul-in-name', REJECT, head(fields='X-\0A: b\r\n'))
    yield probe('nul-in-value', QUIET, head(fields='X-A: b\0c\r\n'), '')
    yield probe('cr-in-value', REJECT, head(fields='X-A: b\rc: d\r\n'))
    yield probe('cr-hides-cl', REJECT, head(fields='X-A: b\rContent-Length: {len}\r\n'))
    yield probe('leading-space', REJECT, head(host=' X-A: b\r\n' + HOST))
    yield probe('folded', REJECT, head(fields='X-A: b\r\n c\r\n'))
    yield probe('folded-te', REJECT, head(fields='Transfer-Encoding:\r\n chunked\r\n')
                + '0\r\n\r\n')
    yield probe('two-hosts', REJECT, head(fields='Host: other\r\n'))
    yield probe('no-host', REJECT, head(host=''))
    yield probe('encoded-nul', REJECT, head(path='/v2/a%00b/blobs/x'))
    yield probe('encoded-dots', REJECT, head(path='/v2/%2e%2e%2f..etc/passwd'))
    yield probe('dots', REJECT, head(path='/v2/../../etc/passwd'))
    yield probe('absolute', REJECT, head(path='http://169.254.169.254/'))
    yield probe('cl-negative', REJECT, head(fields='Content-Length: -1\r\n'))
    yield probe('cl-huge', REJECT, head(fields='Content-Length: 99999999999999999999999\r\n'))
    yield probe('cl-hex', REJECT, head(fields='Content-Length: 0x10\r\n'))
    yield probe('bad-chunk', REJECT,
                head('POST', fields='Transfer-Encoding: chunked\r\n') + 'zz\r\n\r\n')
    yield probe('chunk-overflow', REJECT, head(
        'POST', fields='Transfer-Encoding: chunked\r\n') + 'ffffffffffffffffff\r\n')
    yield probe('header-40k', REJECT, head(fields='X-A: ' + 'a' * 40960 + '\r\n'))
    yield probe('http99', REJECT, head(version='HTTP/9.9'))


def framings():
    """Every method with every way to lie about a body."""
    lies = {
        'cl': 'Content-Length: {len}\r\n', 'cl-plus': 'Content-Length: +{len}\r\n',
        'cl-list': 'Content-Length: {len}, {len}\r\n', 'cl-empty': 'Content-Length:\r\n',
        'cl-space': 'Content-Length: 1 0\r\n', 'cl-minus': 'Content-Length: -{len}\r\n',
        'cl-dot': 'Content-Length: 1.0\r\n', 'cl-under': 'Content_Length: {len}\r\n',
        'cl-nbsp': 'Content-Length:\xa0{len}\r\n', 'cl-vt': 'Content-Length:\x0b{len}\r\n',
        'cl-name-vt': '\x0bContent-Length: {len}\r\n', 'te': 'Transfer-Encoding: chunked\r\n',
        'te-case': 'tRANSFER-eNCODING: ChUnKeD\r\n', 'te-quote': 'Transfer-Encoding: "chunked"\r\n',
        'te-tab': 'Transfer-Encoding:\tchunked\r\n', 'te-vt': 'Transfer-Encoding: \x0bchunked\r\n',
        'te-list': 'Transfer-Encoding: chunked, identity\r\n',
        'te-twice': 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
        'te-comma': 'Transfer-Encoding: ,chunked\r\n',
        'te-cl0': 'Transfer-Encoding: chunked\r\nContent-Length: 0\r\n',
        'te-under': 'Transfer_Encoding: chunked\r\n', 'te-nul': 'Transfer-Encoding: chunked\0\r\n',
    }
    for method, (name, fields) in itertools.product(
            ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT',
             'get', 'G@T'), lies.items()):
        body = '0\r\n\r\n' if name.startswith('te') else ''
        # Names with an underscore frame nothing: what follows is a request of its own, by right.
        if name.endswith('under') or name in ('te-cl0', 'te-nul'):
            yield probe(f'{method}-{name}', QUIET, head(method, fields=fields) + body, '')
        # A right length or right chunks end where the hidden request ends, or before it.
        elif name in ('te', 'te-case', 'te-tab') and method not in ('GET', 'HEAD'):
            yield probe(f'{method}-{name}', QUIET, head(method, fields=fields)
                        + '{hexlen}\r\n{hidden}\r\n0\r\n\r\n', '')
        else:
            yield probe(f'{method}-{name}', REJECT if method in ('GET', 'HEAD') else QUIET,
                        head(method, fields=fields) + body)


def paths():
    bad = ['', '*', 'v2/', '/v2/%', '/v2/%2', '/v2/%zz', '/v2/a%2fb/manifests/x', '/v2/%00',
           '/v2/a/../b/manifests/x', '/v2/..', '/..', '/./..//', '/v2/a/%2e%2e/b/blobs/x',
           '/v2/a\x01b/manifests/x', '/v2/a\x7f/manifests/x', '/v2/a\xff/manifests/x',
           '/v2/a\\..\\b/manifests/x', '/v2/a\x00b/manifests/x', 'https://x/v2/', 'http:/v2/',
           '//127.0.0.1/v2/', '127.0.0.1:80', '/v2/?ns=a.test&ns=b.test', '/v2/?ns=%00',
           '/v2/a/manifests/x?ns=169.254.169.254', '/v2/a/manifests/x?ns=localhost:22',
           '/v2/a/manifests/x?ns=http://b.test', '/v2/a/manifests/x?ns=a.test%0d%0aX: y',
           '/v2/a/manifests/x?ns=../..', '/v2/a/manifests/x?ns=[::1]',
           '/v2/a/blobs/sha256:../../../etc/passwd', '/v2/a/blobs/sha256:' + 'g' * 64,
           '/v2/a/blobs/sha256:' + 'A' * 64, '/v2/a/blobs/sha256:' + 'a' * 63,
           '/v2/a/blobs/sha256:' + 'a' * 65, '/v2/a/blobs/md5:' + 'a' * 32, '/v2/a/blobs/',
           '/v2/a/blobs/sha512:' + 'a' * 64, '/v2//manifests/x', '/v2/A/manifests/x',
           '/v2/a/manifests/-x', '/v2/a/manifests/' + 'x' * 129, '/v2/' + 'a/' * 200 + 'blobs/x',
           '/v2/a/blobs/uploads/', '/v2/a/manifests/x/y', '/v2/_catalog', '/v1/_ping', '/',
           '/etc/passwd', '/metrics', '/api/v1/status', '/readyz', '/v2/a/tags/list/../x',
           '/v2/' + 'a' * 2100 + '/manifests/x', '/v2/?' + 'q' * 4000,
           '/v2/a..b/manifests/x', '/v2/a/manifests/..', '/v2/a#b/manifests/x', '/v2/ /x']
    for number, path in enumerate(bad):
        yield probe(f'path-{number}', REJECT, head(path=path, fields='Connection: close\r\n'))


def fields():
    """Bytes that no header name and no value may hold, each in each place."""
    for code in list(range(0, 9)) + [11, 12, 14, 27, 31, 127]:
        yield probe(f'name-{code}', REJECT, head(fields=f'X-{chr(code)}A: b\r\n'))
    for code in list(range(1, 9)) + [11, 12, 13, 14, 27, 31, 127]:
        yield probe(f'value-{code}', REJECT, head(fields=f'X-A: b{chr(code)}c\r\n'))
    for text in ' "(),/:;<=>?@[\\]{{}}\xe9':
        yield probe(f'token-{ord(text)}', REJECT if text != ':' else QUIET,
                    head(fields=f'X{text}A: b\r\n'), '' if text == ':' else HIDDEN)
    for number, line in enumerate((': b', 'novalue', 'X-A', ' : b', '\t', 'X-A\r: b')):
        yield probe(f'line-{number}', REJECT, head(fields=line + '\r\n'))
    for number, host in enumerate(('Host:\r\nHost: a\r\n', 'Host : a\r\n', ' Host: a\r\n',
                                   'Host: a\r\n\tb\r\n', 'Host: a\x01\r\n')):
        yield probe(f'host-{number}', REJECT, head(host=host))


def limits():
    yield probe('many-headers', REJECT, head(fields=''.join(f'X-{i}: b\r\n' for i in range(4000))))
    yield probe('long-line', REJECT, 'GET /' + 'a' * 70000 + ' HTTP/1.1\r\n' + HOST + '\r\n')
    yield probe('long-method', REJECT, 'G' * 20000 + ' /v2/ HTTP/1.1\r\n' + HOST + '\r\n')
    yield probe('long-version', REJECT, 'GET /v2/ HTTP/1.1' + '1' * 20000 + '\r\n' + HOST + '\r\n')
    yield probe('header-17k', REJECT, head(fields='X-A: ' + 'a' * 17500 + '\r\n'))
    yield probe('cl-gigabytes', REJECT, head('PUT', fields='Content-Length: 99999999999\r\n'))
    yield probe('cl-int64', REJECT, head('PUT', fields='Content-Length: 9223372036854775808\r\n'))
    yield probe('cl-wraps', REJECT, head('PUT', fields='Content-Length: 18446744073709551617\r\n'))
    for number, version in enumerate(('HTTP/1.2.3', 'HTTP/0.9', 'HTTP/2.0', 'HTP/1.1', 'HTTP/',
                                      'http/1.1', 'HTTP/1', 'HTTP/1.1 x', '')):
        yield probe(f'version-{number}', QUIET, head(version=version), '')
    for number, text in enumerate(('\0' * 64, '\xff' * 64, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
                                   '\x16\x03\x01\x02\x00\x01', '{"a":1}\r\n\r\n', 'GET\r\n\r\n',
                                   'GET /v2/\r\n\r\n', '\r\n' * 1000, 'SSH-2.0-x\r\n', '\n\n\n')):
        yield probe(f'garbage-{number}', QUIET, text, '')
    for number, size in enumerate(('0x', '-1', '1;' + 'e' * 9000, ' 1', '1 ', '00000000000000001',
                                   '1\n', '8000000000000000', 'g')):
        yield probe(f'chunk-{number}', QUIET, head('PUT', fields='Transfer-Encoding: chunked\r\n')
                    + size + '\r\n')
    yield probe('control', SERVED, head(fields='Connection: close\r\n'), '')
    yield probe('control-two', SERVED, head() + head(fields='Connection: close\r\n'), '')


def every():
    """All probes as (name, want, bytes), the marks filled in."""
    for number, (name, want, text, hidden) in enumerate(itertools.chain(
            table(), framings(), paths(), fields(), limits())):
        inner = HIDDEN.replace('{mark}', f'smuggled-{number}/x').encode()
        for hole, value in ((b'{len}', str(len(inner)).encode()),
                            (b'{hexlen}', b'%x' % len(inner)), (b'{hidden}', inner)):
            text = text.replace(hole, value)
        yield number, name, want, text + (inner if hidden else b'')


def count_answers(data):
    """How many answers stand in a stream, and the status of the first.

    libmicrohttpd 0.9.75 sends the head of its own error answers twice; that is one answer."""
    count, first = 0, 0
    while data:
        match = re.match(rb'HTTP/1\.[01] (\d{3})', data)
        if not match:
            break
        count, first = count + 1, first or int(match[1])
        head_part, _, data = data.partition(b'\r\n\r\n')
        twice = head_part + b'\r\n\r\n'
        if b'Connection: close' in head_part and data.startswith(twice):
            data = data[len(twice):]
        length = re.search(rb'(?i)content-length: *(\d+)', head_part)
        if length and not data.startswith(b'HTTP/1.'):  # an answer to HEAD has no body
            data = data[int(length[1]):]
    return count, first


def run(address, text, source=None, quiet_s=0.6, most_s=13.0):
    """Sends a probe; returns (answers, first status, seconds, how it ended)."""
    begun, data, how, shut = time.monotonic(), b'', 'timeout', False
    with socket.socket() as sock:
        if source:
            sock.bind((source, 0))
        sock.settimeout(most_s)
        sock.connect(address)
        try:
            sock.sendall(text)
        except OSError:
            pass
        while time.monotonic() - begun < most_s:
            sock.settimeout(quiet_s if data and not shut else most_s)
            try:
                more = sock.recv(65536)
            except socket.timeout:
                if shut or not data:
                    break
                sock.shutdown(socket.SHUT_WR)
                shut = True
                continue
            except OSError:
                how = 'rst'
                break
            if not more:
                how = 'fin'
                break
            data += more
    count, status = count_answers(data)
    return count, status, time.monotonic() - begun, how
