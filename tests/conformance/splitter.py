#!/usr/bin/env python3
"""splitter.py PORT MIRROR REGISTRY: one address for a registry and its pull-only mirror.

The conformance suite pushes what it then pulls from the same address. GET and HEAD of manifests
and blobs go to the mirror, everything else to the registry; bytes and headers pass unchanged, so
that the suite judges the mirror's answers."""

import http.client
import http.server
import re
import sys

PULL = re.compile(r"/v2/.+/(manifests|blobs)/[^/?]+(\?.*)?$")
HOP = {"connection", "keep-alive", "transfer-encoding"}
CHUNK = 65536


class Splitter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    mirror = registry = ""

    def log_message(self, *_):
        pass

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def forward(self):
        body = self.body()
        pull = self.command in ("GET", "HEAD") and PULL.match(self.path)
        there = http.client.HTTPConnection(self.mirror if pull else self.registry, timeout=30)
        there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                there.putheader(name, value)
        if "Transfer-Encoding" in self.headers:
            there.putheader("Content-Length", str(len(body)))
        there.endheaders(body)
        try:
            answer = there.getresponse()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # as the other side did
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        length = answer.getheader("Content-Length")
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while self.command != "HEAD" and (chunk := answer.read(CHUNK)):
            self.wfile.write(chunk)
        there.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward


def main():
    port, Splitter.mirror, Splitter.registry = sys.argv[1:]
    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Splitter).serve_forever()


if __name__ == "__main__":
    main()
