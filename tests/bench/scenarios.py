"""What the edge benchmark does to the sites, and how fast a pull could be there at best.

Rates are in Mbit/s, times in seconds since the first pull begins. A condition that changes is a list of
steps (time, share of the WAN's rate that is left), made from a seed, so that every system meets the same.
"""
import dataclasses
import random

SITES = ('a', 'b', 'c')
NODES = 5
RTT_MS = 20
MIB = 1 << 20
SEED = 5
HORIZON_S = 3600
# Of what a link of this rate carries, as payload of full TCP segments: the shapers of the LAN count
# Ethernet frames (1448 of 1514 bytes). The WAN's is measured.
LAN_SHARE = 1448 / 1514

IMAGES = {
    '512M': [512 * MIB],
    'mixed': [1 << 10, 16 << 10, 128 << 10, 512 << 10, 1 * MIB, 2 * MIB, 5 * MIB, 10 * MIB, 20 * MIB,
              40 * MIB, 70 * MIB, 100 * MIB],
    'ml': [2048 * MIB],
}
WAN_FACTOR = {'ml': 4}  # a larger image over a faster WAN: the run keeps within its time


@dataclasses.dataclass
class Scenario:
    name: str
    says: str
    goal: float = 1.15       # of t_ratio_max: DESIGN, section 6
    copies_goal: float = 1.02
    wan: int = 100
    lan: int = 1000
    registry: int = 0        # of its way out to all sites together; 0: no limit
    taken: tuple = ()        # background flows take a share of the WAN between these
    varies: tuple = ()       # the rate is a share between these
    steps_s: tuple = (2, 20)
    crippled: bool = False
    slow_port: int = 125     # of the one crippled LAN port
    churn: bool = False
    rolling: bool = False
    warm: tuple = ()         # sites that have the image before, and want nothing

    def with_image(self, image, share=1.0):
        """The same at the rates for that image, of which a share is pulled: then conditions change so
        much faster, so that all goes on as with the whole image, but sooner."""
        factor = WAN_FACTOR.get(image, 1)
        lan = self.lan * factor if self.lan <= self.wan else self.lan
        return dataclasses.replace(self, wan=self.wan * factor, lan=lan, slow_port=self.slow_port * factor,
                                   steps_s=tuple(x * share for x in self.steps_s),
                                   registry=self.registry * factor)

    def cold(self):
        return [s for s in SITES if s not in self.warm]

    def steps(self, site):
        """[(time, share left)], the first at 0."""
        if not self.taken and not self.varies:
            return [(0.0, 1.0)]
        rng, at, steps = random.Random(f'{SEED}/{self.name}/{site}'), 0.0, []
        low, high = self.varies or (1 - self.taken[1], 1 - self.taken[0])
        while at < HORIZON_S:
            steps.append((at, round(rng.uniform(low, high), 3)))
            at += rng.uniform(*self.steps_s)
        return steps


SCENARIOS = {s.name: s for s in (
    Scenario('stable', '100 Mbit/s, 20 ms', goal=1.10),
    Scenario('congested', '400 Mbit/s, of which background flows take 50-90 %, anew every 2-20 s',
             wan=400, taken=(0.5, 0.9)),
    Scenario('varying', '200 Mbit/s, of which 10-100 % are there, anew every 2-20 s', wan=200,
             varies=(0.1, 1.0)),
    Scenario('crippled', '4 of 15 nodes 100 times slower on the WAN, one LAN port of 125 Mbit/s',
             crippled=True),
    Scenario('lan-bound', 'LAN ports as slow as the WAN: 100 Mbit/s', goal=1.10, lan=100),
    Scenario('churn', 'in each site one node comes late, one is killed and comes back, and the tracker '
             '(or the cache) is killed and comes back', goal=1.30, copies_goal=1.05, churn=True),
    Scenario('rolling', 'node after node begins, over half of the time that the WAN needs', rolling=True),
    Scenario('warm-neighbour', 'site a has the image; the registry sends 100 Mbit/s to all together',
             registry=100, warm=('a',)),
)}
QUICK = ('stable', 'crippled', 'churn')


def carried(steps, until):
    """Integral of the share over [0, until]."""
    total = 0.0
    for (at, share), (end, _) in zip(steps, steps[1:] + [(HORIZON_S, 0)]):
        if until <= at:
            break
        total += share * (min(until, end) - at)
    return total


def wan_s(size, rate, steps):
    """The smallest time at which a WAN of `rate` bytes/s at share 1 has carried `size` bytes."""
    left = size / rate
    for (at, share), (end, _) in zip(steps, steps[1:] + [(HORIZON_S, 0)]):
        if share * (end - at) >= left:
            return at + left / share
        left -= share * (end - at)
    raise ValueError('the scenario is shorter than the pull')


def bound_s(scenario, size, goodput, nodes, registry=0.0):
    """T*: no system that sends every byte to one receiver at a time can be faster.

    goodput: bytes/s of each site's WAN by name; nodes: names of all that pull, by site;
    registry: bytes/s of its way out, 0: no limit."""
    lan = scenario.lan * 1e6 / 8 * LAN_SHARE
    cold, times = scenario.cold(), []
    for site in cold:
        count = len(nodes[site])
        wan = goodput[site]
        times += [wan_s(size, wan, scenario.steps(site)), size / lan,
                  count * size / (wan + count * lan)]
    if scenario.crippled:
        times.append(size / (scenario.slow_port * 1e6 / 8 * LAN_SHARE))
    if registry:
        times.append(len(cold) * size / (registry + sum(goodput[s] for s in scenario.warm)))
    return max(times)


SLOW_WAN = 100  # times slower
# Shares of the time that the WAN needs for the image, at which things happen.
LATE_AT, KILL_AT, BACK_AT, TRACKER_AT, TRACKER_BACK_AT = 0.15, 0.3, 0.5, 0.4, 0.6
ROLL_OVER = 0.5


def crippled_nodes(nodes):
    """A quarter of all nodes, never the first of a site (it measures the goodput)."""
    names = [n for i in range(1, NODES) for s in SITES for n in nodes[s][i:i + 1]]
    total = sum(len(x) for x in nodes.values())
    return names[:max(1, round(total / 4))]
