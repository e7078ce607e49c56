"""The servers that the bench compares: each is started in a folder of its own, on a free port of
the loopback, and says its CPU time and memory."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

UPSTREAM_RATE = 200_000_000  # bytes/s of one connection to the capped upstream
READY_S = 15
STOP_S = 30
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, check, limit_s=READY_S):
    end = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {limit_s} s")
        time.sleep(0.01)


def http_ok(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


class Server:
    """A process tree that answers /v2/ on self.port; stop() ends it and empties its folder."""

    name = ""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.process = None

    def command(self):
        """Writes the configuration and returns the argument list."""
        raise NotImplementedError

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        argv = self.command()
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.folder)
        wait_until(f"{self.name} answers", self.answers)
        return self

    def answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), "rb") as log:
                tail = log.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{tail}")
        return http_ok(f"http://127.0.0.1:{self.port}/v2/")

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
            self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        own = self.process.pid
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as children:
            return [own] + [int(pid) for pid in children.read().split()]

    def cpu_s(self):
        """User and system seconds of all its threads so far, ended ones included."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory_mib(self, key):
        """VmRSS (now) or VmHWM (peak), summed over the processes."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                total += next(int(l.split()[1]) for l in status if l.startswith(key + ":"))
        return total / 1024


class Nginx(Server):
    """Serves the tree of `content` as files with sendfile, one worker; with `rate` as a registry
    that is slow and logs what it sent, with `upstream` as a caching proxy (the self-test)."""

    name = "nginx"

    def __init__(self, folder, content, rate=0, upstream=None):
        super().__init__(folder)
        self.content, self.rate, self.upstream = content, rate, upstream

    def location(self):
        if self.upstream is None:
            return f"root {self.content.folder};"
        return (f"proxy_pass http://127.0.0.1:{self.upstream.port}; proxy_cache all;"
                " proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_cache_valid 200 1h;"
                " proxy_http_version 1.1;")

    def command(self):
        types = "".join(
            f"location /v2/{repository}/manifests/ {{ {self.location()}"
            f' default_type "{media_type}"; add_header Docker-Content-Digest "{digest}"; }}\n'
            for repository, (digest, media_type) in self.content.manifests.items())
        text = f"""
user root;
worker_processes 1;
pid {self.folder}/pid;
error_log {self.folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format bench '$request_method $uri $status $bytes_sent';
  access_log {f"{self.folder}/access.log bench" if self.rate else "off"};
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_body_temp_path {self.folder}/t1;
  proxy_temp_path {self.folder}/t2;
  fastcgi_temp_path {self.folder}/t3;
  scgi_temp_path {self.folder}/t4;
  uwsgi_temp_path {self.folder}/t5;
  proxy_cache_path {self.folder}/cache keys_zone=all:1m max_size=64g;
  limit_rate {self.rate};
  default_type application/octet-stream;
  server {{
    listen 127.0.0.1:{self.port};
    location = /v2/ {{ default_type application/json; return 200 '{{}}'; }}
    location / {{ {self.location()} }}
    {types}
  }}
}}
"""
        with open(f"{self.folder}/nginx.conf", "w", encoding="ascii") as conf:
            conf.write(text)
        return ["nginx", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf",
                "-g", "daemon off;"]

    def sent_bytes(self, word):
        """Bytes, heads included, of all logged answers whose line has `word`."""
        with open(f"{self.folder}/access.log", encoding="utf-8") as log:
            return sum(int(line.split()[-1]) for line in log if word in line)


class Peersync(Server):
    """swarm: with a cluster key, the only node that has it."""

    name = "peersync"

    def __init__(self, folder, upstream, binary, swarm=False):
        super().__init__(folder)
        self.upstream, self.binary, self.swarm = upstream, binary, swarm

    def p2p(self):
        if not self.swarm:
            return "enabled: false"
        key = f"{self.folder}/cluster.key"
        with open(key, "w", encoding="ascii") as file:
            file.write("psk-v1:" + "5a" * 32 + "\n")
        os.chmod(key, 0o600)
        return (f'key_file: {key}, listen: "127.0.0.1:{free_port()}", site: bench,'
                " multicast: false")

    def command(self):
        self.admin = free_port()
        with open(f"{self.folder}/config.yaml", "w", encoding="ascii") as config:
            config.write(f"""
listen: 127.0.0.1:{self.port}
admin: 127.0.0.1:{self.admin}
cache: {{dir: {self.folder}/cache, size: 64GiB}}
registries:
  - {{host: registry.bench, url: "http://127.0.0.1:{self.upstream.port}"}}
default_registry: registry.bench
prefetch: {{enabled: false}}
p2p: {{{self.p2p()}}}
""")
        return [self.binary, "serve", "--config", f"{self.folder}/config.yaml"]

    def answers(self):
        admin = f"http://127.0.0.1:{self.admin}"
        if not super().answers() or not http_ok(admin + "/readyz"):
            return False
        if not self.swarm:
            return True
        with urllib.request.urlopen(admin + "/api/v1/status", timeout=2) as answer:
            return json.load(answer)["p2p"]["role"] == "tracker"


class DockerRegistry(Server):
    """Debian's docker-registry as a pull-through cache."""

    name = "docker-registry"

    def __init__(self, folder, upstream):
        super().__init__(folder)
        self.upstream = upstream

    def command(self):
        with open(f"{self.folder}/config.yml", "w", encoding="ascii") as config:
            config.write(f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {self.folder}/data}}
http: {{addr: "127.0.0.1:{self.port}"}}
proxy: {{remoteurl: "http://127.0.0.1:{self.upstream.port}"}}
""")
        return ["docker-registry", "serve", f"{self.folder}/config.yml"]
