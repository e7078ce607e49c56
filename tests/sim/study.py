"""What make sim-scale and make sim-ablate share: many pulls of the simulator, two at a time."""
import concurrent.futures
import os
import subprocess
import sys


def pull(sim, words, seed=1, without=None, limit_s=1800):
    """The line `sum` of one pull as a dict of numbers."""
    command = [sim, 'pull', '--seed', str(seed)] + (['--without', without] if without else []) + words
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit_s)
    line = next((x for x in done.stdout.splitlines() if x.startswith('sum ')), None)
    if line is None:
        raise RuntimeError(f'{" ".join(command)}: {(done.stdout + done.stderr).strip()[-400:]}')
    return {k: float(v) for k, v in (word.split('=') for word in line.split()[1:])}


def all_of(work, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        return list(pool.map(work, items))


def say(text):
    print(text, file=sys.stderr, flush=True)
