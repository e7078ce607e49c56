"""Policies of other systems as models in our own simulator (tests/sim/policy.c), as rows of the benchmark."""
import statistics
import subprocess

import scenarios
from scenarios import SITES

POLICIES = {'kraken-like': 'kraken', 'dragonfly-like': 'dragonfly'}
GOODPUT = 1448 / 1500     # the models' bytes are payload: their links carry what real ones do
STEPS = 16                # of each WAN's rate: as many as a case of the simulator has room for
LEFT_OUT = {'churn'}      # nodes of the models do not die


def words(s, sizes, nodes):
    """The scenario as the simulator's words."""
    said = [f'sites={len(SITES)}', f'nodes={nodes}', 'size=' + ','.join(map(str, sizes)),
            f'wan={int(s.wan * 1e6 * GOODPUT)}', f'lan={int(s.lan * 1e6 * scenarios.LAN_SHARE)}',
            f'rtt={scenarios.RTT_MS}']
    if s.registry:
        said.append(f'registry={int(s.registry * 1e6 * GOODPUT)}')
    if s.crippled:
        said.append('crippled=1')  # of each site: 3 of 15
    if s.warm:
        said += [f'warm={nodes}', f'warm-sites={len(s.warm)}']
    if s.rolling:
        said.append(f'spread={int(scenarios.ROLL_OVER * sum(sizes) / (s.wan * 1e6 / 8 * GOODPUT) * 1000)}')
    for i, site in enumerate(SITES):
        if s.taken or s.varies:
            said += [f'wan@{int(at * 1000)}={int(share * 1000)},{i}' for at, share in s.steps(site)[:STEPS]]
    return said


def row(sim, s, image, system, nodes):
    sizes = scenarios.IMAGES[image]
    said = subprocess.run([sim, POLICIES[system], *words(s, sizes, nodes)], check=True, capture_output=True,
                          text=True, timeout=300).stdout.splitlines()
    series = [[float(x) for x in line.split()[1:]] for line in said if line.startswith('wan ')]
    cold = [i for i, site in enumerate(SITES) if site in s.cold()]
    times = [float(x[3]) for x in (line.split() for line in said if line.startswith('node '))
             if int(x[2]) in cold]
    done = sorted(t for t in times if t > 0)
    size, goodput = sum(sizes), dict.fromkeys(SITES, s.wan * 1e6 / 8 * GOODPUT)
    names = {site: [f'{site}-{i}' for i in range(nodes)] for site in SITES}
    bound = scenarios.bound_s(s, size, goodput, names, s.registry * 1e6 / 8 * GOODPUT)
    full = done + [series[-1][0]] * (len(times) - len(done))
    wan = {site: series[-1][1 + i] for i, site in enumerate(SITES)}
    peaks = {site: max((b[1 + i] - a[1 + i]) / (b[0] - a[0]) for a, b in zip(series, series[2:]))
             for i, site in enumerate(SITES)}
    return {'scenario': f'{s.name}/{image}', 'system': system, 'kind': 'model', 'nodes': len(times),
            'sites': len(SITES), 'bytes': size, 'bound_s': bound, 't_p50_s': statistics.median(full),
            't_p99_s': full[min(len(full) - 1, int(len(full) * 0.99))], 't_max_s': full[-1],
            't_ratio_max': full[-1] / bound, 'wan_copies_max': max(wan[SITES[i]] / size for i in cold),
            'wan_rate_mean': {k: v / full[-1] for k, v in wan.items()}, 'wan_rate_peak': peaks,
            'failed': len(times) - len(done), 'cut_off': len(done) < len(times), 'times_s': full,
            'series': series, 'notes': []}


def rows(sim, scenario, image, nodes):
    s = scenario.with_image(image)
    return [] if s.name in LEFT_OUT else [row(sim, s, image, system, nodes) for system in POLICIES]
