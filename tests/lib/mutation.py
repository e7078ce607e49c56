"""Breaks the rules of the code one by one and sees who notices.

    mutation.run(__doc__, BREAKS, who_notices)

BREAKS: (rule, what is broken, source, text, its replacement); who_notices(object, release, folder)
gets the object file of the broken source and returns the names of those that notice.
"""
import argparse
import fnmatch
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST_S = 60  # a break may also never end


def link(out, *what):
    """An object of the broken source stands before the archive, which then does not give its own."""
    cc = subprocess.run(['cc', '-w', '-o', out, *what], capture_output=True, text=True, check=False)
    if cc.returncode != 0:
        sys.exit(f'{out}: {cc.stderr}')


def fails(*command):
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=TEST_S).returncode != 0
    except subprocess.TimeoutExpired:
        return True


def compile_broken(source, text, folder):
    path = os.path.join(folder, os.path.basename(source))
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)
    made = path[:-2] + '.o'
    subprocess.run(['cc', '-w', '-std=c11', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-D_TIME_BITS=64', '-O1',
                    '-I', ROOT, '-c', path, '-o', made], check=True)
    return made


def run(doc, breaks, who_notices):
    p = argparse.ArgumentParser(description=doc.split('\n', maxsplit=1)[0])
    p.add_argument('--build', default='build')
    p.add_argument('patterns', nargs='*', default=['*'])
    a = p.parse_args()
    release, missed = os.path.join(os.path.abspath(a.build), 'release'), 0
    with tempfile.TemporaryDirectory() as folder:
        for rule, what, source, text, other in breaks:
            if not any(fnmatch.fnmatch(rule, x) for x in a.patterns):
                continue
            with open(os.path.join(ROOT, source), encoding='utf-8') as f:
                whole = f.read()
            if whole.count(text) != 1:
                sys.exit(f'{rule}: {what}: its text stands {whole.count(text)} times in {source}')
            noticed = who_notices(compile_broken(source, whole.replace(text, other), folder), release,
                                  folder)
            missed += not noticed
            print(f'{rule:9} {what:52} {" ".join(noticed) or "NOBODY"}', flush=True)
    sys.exit(f'{missed} breaks were not noticed' if missed else 0)
