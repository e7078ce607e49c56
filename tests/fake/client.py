"""A plain HTTP/1.1 client on a raw socket: says how an answer ended, byte for byte."""
import hashlib
import re
import select
import socket
import time


class Answer:
    """status 0: no status line came. end: complete, fin, rst, timeout, left, refused."""

    def __init__(self):
        self.status, self.headers, self.length, self.got = 0, {}, None, 0
        self.end, self.first_byte_s, self.seconds = 'fin', None, 0.0
        self.sha256, self.wrong_at, self.text = '', None, b''

    @property
    def complete(self):
        return self.end == 'complete'

    def __str__(self):
        return (f'status {self.status} got {self.got}/{self.length} end {self.end} '
                f'first {self.first_byte_s} in {self.seconds:.2f}s wrong_at {self.wrong_at} '
                f'{self.text[:160] if self.status not in (200, 206) else b""!r}')


class Get:
    """One request. Keep the object to read in steps; `run` reads to the end."""

    def __init__(self, address, target, method='GET', headers=None, content=None, start=0,
                 timeout=30.0, source=None, buffer=None):
        self.answer, self.content, self.start = Answer(), content, start
        self.hash, self.method, self.begun = hashlib.sha256(), method, time.monotonic()
        self.deadline = self.begun + timeout
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(timeout)
        lines = [f'{method} {target} HTTP/1.1', f'Host: {address[0]}:{address[1]}',
                 'Connection: close', 'Accept: */*']
        lines += [f'{k}: {v}' for k, v in (headers or {}).items()]
        self.left = b''
        try:
            self.sock.connect(address)
            self.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1'))
        except OSError:
            self.finish('refused')

    def finish(self, how):
        self.answer.end = how
        self.answer.seconds = time.monotonic() - self.begun
        self.answer.sha256 = 'sha256:' + self.hash.hexdigest()
        self.sock.close()
        self.sock = None

    def receive(self, most=1 << 18):
        """Bytes, or None when the answer is over (then answer.end says how)."""
        left = self.deadline - time.monotonic()
        try:
            if left <= 0:
                raise socket.timeout()
            self.sock.settimeout(left)
            data = self.sock.recv(most)
        except socket.timeout:
            self.finish('timeout')
            return None
        except ConnectionError:
            self.finish('rst')
            return None
        if not data:
            self.finish('fin')
            return None
        return data

    def head(self):
        """Reads the head; False when none came."""
        while self.sock and b'\r\n\r\n' not in self.left:
            data = self.receive()
            if data is None:
                return False
            self.left += data
        if not self.sock:
            return False
        head, _, rest = self.left.partition(b'\r\n\r\n')
        self.left = b''
        lines = head.decode('latin-1').split('\r\n')
        match = re.match(r'HTTP/1\.[01] (\d{3})', lines[0])
        self.answer.status = int(match[1]) if match else -1
        for line in lines[1:]:
            name, _, value = line.partition(':')
            self.answer.headers[name.strip().lower()] = value.strip()
        length = self.answer.headers.get('content-length')
        self.answer.length = int(length) if length is not None else None
        bare = self.method == 'HEAD' or self.answer.status in (204, 304)
        if bare or self.answer.length == 0:
            self.finish('complete')
        elif rest:
            self.take(rest)
        return True

    def take(self, data):
        a = self.answer
        if a.first_byte_s is None:
            a.first_byte_s = round(time.monotonic() - self.begun, 3)
        if self.content is not None and a.wrong_at is None and a.status in (200, 206):
            at = a.got + (self.start if a.status == 206 else 0)
            right = self.content.read(at, at + len(data))
            if right != data:
                same = next((i for i, (x, y) in enumerate(zip(right, data)) if x != y), len(right))
                a.wrong_at = at + same
        if len(a.text) < 65536:
            a.text += data[:65536]
        self.hash.update(data)
        a.got += len(data)
        if a.length is not None and a.got >= a.length:
            self.finish('complete')

    def until(self, count):
        """Reads until count body bytes are here or the answer is over."""
        if not self.answer.status and self.sock and not self.head():
            return self.answer
        while self.sock and self.answer.got < count:
            data = self.receive()
            if data is not None:
                self.take(data)
        return self.answer

    def run(self):
        return self.until(1 << 62)

    def slowly(self, bytes_s, seconds):
        """Reads at a rate for a while."""
        end = time.monotonic() + seconds
        while self.sock and time.monotonic() < end:
            data = self.receive(max(1, bytes_s // 10))
            if data is not None and self.answer.status:
                self.take(data)
            select.select([], [], [], 0.1)
        return self.answer

    def leave(self):
        if self.sock:
            self.finish('left')
        return self.answer


def get(address, target, **how):
    return Get(address, target, **how).run()
