"""A node that lies: a proxy in front of an honest node's peer port.

The node advertises the proxy's address, which is another one of its namespace; what the others ask
it for goes through here. Control messages pass as they are (they are sealed). Of pieces:

    flip      the last byte of every block is another, and the block's checksum fits it
    truncate  the second half of a body does not come
    none      nothing is changed yet: `how` may be set later
    deny      404, though the node said that it has the piece: a have-map that is false
"""
import re
import socket
import struct
import threading

PORT = 5002
BLOCK = 128 * 1024
FLIP = 0x5a
WAIT_S = 30


def crc_of(byte):
    """What a change of the last byte does to a CRC32C: the checksum is linear."""
    for _ in range(8):
        byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
    return byte


def in_front_of(swarm, name, how, **p2p):
    """A liar before a node of a swarm that has not been started yet; p2p: more of its settings."""
    own = swarm.net.address[name]
    front = own.rsplit('.', 1)[0] + '.1' + own.rsplit('.', 1)[1].zfill(2)
    swarm.net.run('exec', name, 'ip', 'addr', 'add', front + '/24', 'dev', 'eth0')
    swarm.node[name].write_config(p2p={'listen': f'{own}:{PORT}', 'advertise': front, **p2p})
    return Liar(swarm.net, name, front, how)


class Liar:
    def __init__(self, net, node, front, how):
        """front: the address to listen at; it is added to the node's interface."""
        self.back, self.how, self.lies = (net.address[node], PORT), how, 0
        self.net, self.node = net, node
        with net.inside(node):
            self.stream = socket.create_server((front, PORT), backlog=256)
            self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.datagrams.bind((front, PORT))
        for work in (self.accept, self.forward):
            threading.Thread(target=work, daemon=True).start()

    def forward(self):
        while True:
            self.datagrams.sendto(self.datagrams.recv(65536), self.back)

    def accept(self):
        while True:
            client = self.stream.accept()[0]
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with self.net.inside(self.node):
                server = socket.create_connection(self.back, WAIT_S)
            with client, server:
                client.settimeout(WAIT_S)
                for s in (client, server):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                asker, answerer = client.makefile('rb'), server.makefile('rb')
                while self.exchange(asker, answerer, client, server):
                    pass
        except OSError:
            pass

    def exchange(self, asker, answerer, client, server):
        """One request and its answer; False when that was the last."""
        head, length = read_head(asker)
        if not head:
            return False
        is_piece = b'/p2p/v1/blob/' in head.split(b'\r\n', 1)[0]
        if is_piece and self.how == 'deny':
            self.lies += 1
            client.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
            return True
        server.sendall(head + asker.read(length))
        head, length = read_head(answerer)
        body = bytearray(answerer.read(length))
        if is_piece and body and re.match(rb'HTTP/1.1 20[06]', head):
            self.lies += 1
            if self.how == 'flip':
                head = flip(head, body)
            elif self.how == 'truncate':
                client.sendall(head + body[:len(body) // 2])
                return False
        client.sendall(head + body)
        return b'\r\nconnection: close' not in head.lower() and head != b''


def read_head(stream):
    """The head with its empty line, and how long the body is; b'' at the end."""
    head, length = b'', 0
    while True:
        line = stream.readline(65536)
        if not line:
            return b'', 0
        head += line
        if line in (b'\r\n', b'\n'):
            return head, length
        if line.lower().startswith(b'content-length:'):
            length = int(line.split(b':', 1)[1])


def flip(head, body):
    sums = re.search(rb'(?i)\r\nps-crc32c: *([0-9a-f]+)', head)
    words = [int(sums[1][i:i + 8], 16) for i in range(0, len(sums[1]), 8)] if sums else []
    for i, at in enumerate(range(0, len(body), BLOCK)):
        body[min(at + BLOCK, len(body)) - 1] ^= FLIP
        if i < len(words):
            words[i] ^= crc_of(FLIP)
    if not sums:
        return head
    return head[:sums.start(1)] + b''.join(b'%08x' % w for w in words) + head[sums.end(1):]


def self_test():
    """The linearity that flip relies on, against the sum as the standard says it."""
    def crc32c(data):
        crc = 0xffffffff
        for byte in data:
            crc = crc >> 8 ^ crc_of((crc ^ byte) & 0xff)
        return crc ^ 0xffffffff
    assert crc32c(b'123456789') == 0xe3069283
    data = bytearray(struct.pack('>64I', *range(64)))
    head = flip(b'HTTP/1.1 206 x\r\nPs-Crc32c: %08x\r\n\r\n' % crc32c(data), data)
    assert b'%08x' % crc32c(data) in head


if __name__ == '__main__':
    self_test()
