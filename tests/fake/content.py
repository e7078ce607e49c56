"""Blob content that needs no storage: a function of seed and position.

A blob is a row of blocks; block i is a pattern drawn from the seed, with i stamped on its first
16 bytes, so that a piece put in the wrong place is as wrong as a flipped bit.
"""
import hashlib
import struct
import threading

BLOCK = 256 * 1024
STAMP = 16


class Content:
    """`size` bytes drawn from `seed` (a text)."""

    def __init__(self, seed, size):
        self.seed, self.size = seed, size
        self.pattern = hashlib.shake_128(seed.encode()).digest(min(BLOCK, max(size, STAMP)))
        self.salt = self.pattern[:8]
        self._digests, self._lock = {}, threading.Lock()

    def chunks(self, start=0, end=None, blocks=4):
        """Views of [start, end) in order; each is valid until the next one is asked for."""
        end = self.size if end is None else min(end, self.size)
        unit = len(self.pattern)
        space = memoryview(bytearray(self.pattern * blocks))
        position = start
        while position < end:
            first = position // unit
            for k in range(blocks):
                space[k * unit:k * unit + STAMP] = self.salt + struct.pack('>Q', first + k)
            stop = min(end, (first + blocks) * unit)
            yield space[position - first * unit:stop - first * unit]
            position = stop

    def read(self, start=0, end=None):
        end = self.size if end is None else end
        blocks = min(4, (end - start) // BLOCK + 2)
        return b''.join(bytes(c) for c in self.chunks(start, end, blocks))

    def digest(self, algorithm='sha256'):
        with self._lock:
            if algorithm not in self._digests:
                h = hashlib.new(algorithm)
                for chunk in self.chunks():
                    h.update(chunk)
                self._digests[algorithm] = algorithm + ':' + h.hexdigest()
            return self._digests[algorithm]


class Bytes:
    """Given bytes with the same interface."""

    def __init__(self, data):
        self.data, self.size = data, len(data)

    def chunks(self, start=0, end=None):
        data = self.data[start:end]
        if data:
            yield memoryview(data)

    def read(self, start=0, end=None):
        return self.data[start:end]

    def digest(self, algorithm='sha256'):
        return algorithm + ':' + hashlib.new(algorithm, self.data).hexdigest()
