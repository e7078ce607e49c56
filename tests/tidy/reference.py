#!/usr/bin/env python3
"""Writes configs/metrics.md and configs/events.md from the .def tables and the places that use them.

    tests/tidy/reference.py            writes them
    tests/tidy/reference.py --check    exit code 1 when one is not what it would write
"""
import glob
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEEP = {'KEPT': 'yes', 'ROUTINE': 'no'}


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def strings(text):
    """The C strings of an argument, joined."""
    return ''.join(re.findall(r'"((?:\\.|[^"\\])*)"', text)).replace('\\"', '"')


def metrics():
    """[(name, kind, [labels], help)] in the order of the table, and those that have a node in them."""
    found = {}
    for kind, name, labels, text in re.findall(
            r'^X\(\w+, (\w+), ("[^"]*"), ((?:"(?:\\.|[^"\\])*"|\w+|\s)+), ("(?:\\.|[^"\\])*")\)',
            read('base/metric.def'), re.M):
        one = found.setdefault(strings(name), [kind.lower(), [], ''])
        one[1].append(strings(labels).replace('version=""', 'version="..."'))
        one[2] = one[2] or strings(text)
    # Those with a node in them are written by hand, as text.
    drawn = re.sub(r'"\s*"', '', read('proxy/report_swarm.c')).replace('\\"', '"').replace('\\n', '\n')
    for name, text, kind in re.findall(r'# HELP (peersync_\w+) (.*)\n# TYPE \1 (\w+)\n', drawn):
        labels = [re.sub(r'%\w+', '...', x) for x in re.findall(r'^' + name + r'\{([^}]*)\}', drawn, re.M)]
        found[name] = [kind, labels, text]
    return found


def fields():
    """Names of the fields of each event, as the calls of LOG give them."""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, '*', '**', '*.c'), recursive=True)):
        if os.path.relpath(path, ROOT).split(os.sep)[0] not in ('base', 'cache', 'p2p', 'proxy'):
            continue
        with open(path, encoding='utf-8') as f:
            text = f.read()
        for m in re.finditer(r'\bLOG\((\w+),', text):
            depth, end = 1, m.end()
            while depth and end < len(text):
                depth += {'(': 1, ')': -1}.get(text[end], 0)
                end += 1
            names = found.setdefault(m[1], [])
            names += [n for n in re.findall(r'LOG_[SU]\("(\w+)"', text[m.end():end]) if n not in names]
    return found


def metrics_page():
    lines = ['# Metrics', '',
             'What `/metrics` of the admin port gives, in the text format of Prometheus. Generated from '
             '`base/metric.def` by', '`tests/tidy/reference.py`. Names and labels are kept stable.', '',
             '| metric | kind | labels | meaning |', '|---|---|---|---|']
    for name, (kind, labels, text) in metrics().items():
        shown = ', '.join(f'`{x}`' for x in labels if x) or ' '
        lines.append(f'| `{name}` | {kind} | {shown} | {text} |')
    return '\n'.join(lines) + '\n'


def events_page():
    named = fields()
    lines = ['# Log events', '',
             'Every log line has `event=` one of these, `level=` and `msg=`; with `log.format: json` the same as '
             'keys of an object.', 'A field that says nothing may be empty. Kept: the last ones are told by '
             '`/api/v1/events` and the page, whatever', '`log.level` is. Generated from `base/log.def` by '
             '`tests/tidy/reference.py`.', '', '| event | level | meaning | fields | kept |', '|---|---|---|---|---|']
    for name, level, keep, text in re.findall(r'^X\((\w+), (\w+), (\w+),\s*("(?:\\.|[^"\\])*")\)',
                                              read('base/log.def'), re.M):
        shown = ', '.join(f'`{n}`' for n in named.get(name, [])) or ' '
        lines.append(f'| `{name}` | {level.lower()} | {strings(text)} | {shown} | {KEEP[keep]} |')
    return '\n'.join(lines) + '\n'


def main():
    bad = 0
    for path, text in (('configs/metrics.md', metrics_page()), ('configs/events.md', events_page())):
        full = os.path.join(ROOT, path)
        if '--check' not in sys.argv:
            with open(full, 'w', encoding='utf-8') as f:
                f.write(text)
        elif not os.path.exists(full) or read(path) != text:
            print(f'{path} is not what the tables say: make reference')
            bad = 1
    sys.exit(bad)


if __name__ == '__main__':
    main()
