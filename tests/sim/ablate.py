#!/usr/bin/env python3
"""make sim-ablate: what each rule of the swarm is worth, one left out at a time, as a Markdown table.

16 nodes, 256 MiB, WAN 100 Mbit/s, LAN 1 Gbit/s; last node / T* and WAN copies, means of SEEDS seeds, and the
longest wait of any node for its first byte. Popularity is no row: no decision of a pull rests on it, it
says what the cache keeps.
"""
import sys

import study

SEEDS = 3
CASES = {'together': [], '4 crippled': ['crippled=4'],
         'WAN changes, unfair': ['varies=100', 'varies-within=10000', 'queue=100', 'unfair=1'],
         'tracker dies': ['tracker@8000'], 'one has it': ['warm=1']}
RULES = {'all rules': None, 'no leases': 'leases', 'no revocation': 'revocation',
         'in order only': 'rarest-first', 'rarest only': 'order', 'no sliding window': 'sliding-window',
         'no deputy': 'deputy'}
BASE = ['nodes=16', 'size=256M', 'wan=100M', 'lan=1G', 'rtt=20']


def main():
    sim, seeds = sys.argv[1], range(1, SEEDS + 1)
    todo = [(rule, case, seed) for rule in RULES for case in CASES for seed in seeds]
    found = dict(zip(todo, study.all_of(
        lambda x: study.pull(sim, BASE + CASES[x[1]], x[2], RULES[x[0]]), todo)))
    print('| last node / T*, WAN copies, first byte | ' + ' | '.join(CASES) + ' |')
    print('|---|' + '---|' * len(CASES))
    for rule in RULES:
        cells = []
        for case in CASES:
            of = [found[rule, case, s] for s in seeds]
            cells.append(f'{sum(x["ratio"] for x in of) / SEEDS:.3f}, {sum(x["copies"] for x in of) / SEEDS:.3f}, '
                         f'{max(x["first_ms"] for x in of) / 1000:.1f} s'
                         + (f', {sum(x["failed"] for x in of):.0f} failed' if any(x['failed'] for x in of) else ''))
        print(f'| {rule} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
