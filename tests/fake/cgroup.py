"""A cgroup below the cell's, version 1 or 2, that limits memory or a disk."""
import os

TOP = '/sys/fs/cgroup'


class Group:
    """Limits are (what, value): ('memory', bytes), ('write' or 'read', 'MAJOR:MINOR bytes a second').
    Skips the scenario, with the reason, where this machine has none."""

    def __init__(self, lab, name, *limits):
        self.folders = []
        cell = os.environ['CELL_CGROUP'].strip('/')
        self.v2 = os.path.exists(f'{TOP}/cgroup.controllers')
        for what, value in limits:
            try:
                self.limit(cell, name, what, value)
            except OSError as why:
                lab.skip(f'cgroup for {what}: {why}')

    def limit(self, cell, name, what, value):
        controller = {'memory': 'memory'}.get(what, 'io' if self.v2 else 'blkio')
        folder = f'{TOP}/{cell}/{name}' if self.v2 else f'{TOP}/{controller}/{cell}/{name}'
        os.makedirs(folder, exist_ok=True)
        if folder not in self.folders:
            self.folders.append(folder)
        if self.v2:
            for top in (TOP, os.path.dirname(folder)):
                write(f'{top}/cgroup.subtree_control', f'+{controller}')
        device, _, rate = str(value).partition(' ')
        if what != 'memory':
            self.write(folder, *(('io.max', f'{device} {what[0]}bps={rate}') if self.v2 else
                                 (f'blkio.throttle.{what}_bps_device', value)))
            return
        self.write(folder, 'memory.max' if self.v2 else 'memory.limit_in_bytes', value)
        try:
            self.write(folder, *(('memory.swap.max', 0) if self.v2 else
                                 ('memory.memsw.limit_in_bytes', value)))
        except OSError:
            pass  # a machine without swap accounting

    @staticmethod
    def write(folder, name, value):
        write(f'{folder}/{name}', value)

    def prefix(self):
        """What a program is started with to be in it."""
        enter = ' '.join(f'echo $$ > {folder}/cgroup.procs;' for folder in self.folders)
        return ['sh', '-c', enter + ' exec "$@"', 'sh']

    def kills(self):
        """Processes that the kernel killed for want of memory."""
        for folder in self.folders:
            for name in ('memory.oom_control', 'memory.events'):
                path = os.path.join(folder, name)
                if os.path.exists(path):
                    with open(path, encoding='utf-8') as f:
                        return sum(int(line.split()[1]) for line in f if line.startswith('oom_kill '))
        raise AssertionError('no memory group')


def write(path, value):
    with open(path, 'w', encoding='utf-8') as f:
        f.write(str(value))
