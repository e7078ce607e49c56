"""What keeps a pull from its bound T*, in seconds, and what the simulator says of the same pull.

The WAN gives `rate` bytes/s; T* = image / rate. While bytes come at r(t), the share 1 - r / rate of that
time is lost, so the time of the last client is exactly

    T* + twice   bytes that crossed the WAN more than once, / rate
       + start   until the first byte: manifest, who has it, lease, connection, the registry's answer
       + ramp    from there until the WAN is full for the first time: TCP's slow start, few fetchers
       + gaps    what is lost until the last byte has come: between leases, for want of processors
       + tail    from there: the last pieces over the LAN, their hashes, the held back end
"""
import subprocess

FULL = 0.9            # of the rate: the WAN is full
LAN_GOODPUT = 1448 / 1514
TIME_MOST, BYTES_MOST = 10.0, 2.0  # % that the lab and the simulator may differ


def pieces(samples, rate, image, last_s):
    """[(name, seconds)]; samples: [(seconds since the pull began, bytes over the WAN so far)]."""
    points = [(0.0, 0)] + [p for p in samples if 0 < p[0] <= last_s]
    sent = points[-1][1]
    steps = [(a[0], b[0], (b[0] - a[0]) - (b[1] - a[1]) / rate, (b[1] - a[1]) / rate / (b[0] - a[0]))
             for a, b in zip(points, points[1:]) if b[0] > a[0]]
    end = next(p[0] for p in points if p[1] == sent)
    begin = max((p[0] for p in points if p[1] == 0), default=0.0)
    full = next((s[0] for s in steps if s[0] >= begin and s[3] >= FULL), end)
    lost = {'start': 0.0, 'ramp': 0.0, 'gaps': 0.0}
    for since, until, less, _ in steps:
        if until <= end:
            lost['start' if until <= begin else 'ramp' if since < full else 'gaps'] += less
    return [('T*', image / rate), ('twice', (sent - image) / rate), *lost.items(), ('tail', last_s - end)]


def told(parts, rate):
    last = sum(seconds for _, seconds in parts)
    bound = parts[0][1]
    yield f'{last:.2f} s = {last / bound:.3f} T* at {rate * 8e-6:.1f} Mbit/s:'
    for name, seconds in parts:
        yield f'  {name:6} {seconds:7.2f} s {seconds / bound * 100:7.2f} %'


def simulated(sim, nodes, sizes, rate, rtt_ms=20, lan=1e9):
    """(seconds, copies) of that pull in the simulator, with the rate that was measured."""
    said = subprocess.run([sim, 'pull', f'nodes={nodes}', 'size=' + ','.join(map(str, sizes)),
                           f'wan={int(rate * 8)}', f'lan={int(lan * LAN_GOODPUT)}', f'rtt={rtt_ms}'],
                          check=True, capture_output=True, text=True, timeout=300).stdout
    words = next(line for line in said.splitlines() if line.startswith('sum ')).split()[1:]
    of = dict(word.split('=') for word in words)
    return float(of['last_ms']) / 1000, float(of['copies'])


def compared(lab_s, lab_copies, sim_s, sim_copies):
    """Lines, and whether both agree."""
    time, copies = (lab_s / sim_s - 1) * 100, (lab_copies / sim_copies - 1) * 100
    agrees = abs(time) <= TIME_MOST and abs(copies) <= BYTES_MOST
    return [f'lab {lab_s:.2f} s, {lab_copies:.4f} copies; simulator {sim_s:.2f} s, {sim_copies:.4f} copies',
            f'the lab differs by {time:+.1f} % of the time (at most {TIME_MOST:.0f}) and {copies:+.2f} % of the '
            f'bytes (at most {BYTES_MOST:.0f}): ' + ('they agree' if agrees else 'they do NOT agree')], agrees
