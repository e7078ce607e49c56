"""Results of the edge benchmark as JSON, as a Markdown table and as pictures."""
import json
import os
import shutil

import scenarios

# A row that was not measured says so in the same keys.
NOT_RUN = {'t_max_s': None, 't_ratio_max': None, 'wan_copies_max': None, 'failed': None}
LARGE = ('series', 'matrix')  # kept beside results.json, for the pictures
COLOURS = {'peersync': '#0072B2', 'direct': '#D55E00', 'registry': '#E69F00', 'kraken-like': '#009E73',
           'dragonfly-like': '#CC79A7'}
MORE_COLOURS = ['#56B4E9', '#000000', '#999999']
BUSY = 0.95
MBIT = 8e-6


def scenario_of(row):
    return scenarios.SCENARIOS[row['scenario'].split('/')[0]]


def verdict(row):
    """Of our own rows: met, or which goal was missed by how much."""
    if row['system'] != 'peersync':
        return ''
    if row['t_max_s'] is None:
        return 'not run: ' + '; '.join(row['notes'])
    goal, missed = scenario_of(row), []
    if row['t_ratio_max'] > goal.goal:
        missed.append(f'{row["t_ratio_max"]:.2f} > {goal.goal:.2f} T*')
    if row['wan_copies_max'] > goal.copies_goal:
        missed.append(f'{row["wan_copies_max"]:.3f} > {goal.copies_goal:.2f} copies')
    if row['failed']:
        missed.append(f'{row["failed"]} failed')
    why = ' (processors busy)' if missed and (row.get('cpu_busy') or 0) > BUSY else ''
    return f'**missed**: {", ".join(missed)}{why}' if missed else 'met'


def cell(row, key, digits, factor=1.0):
    value = row.get(key)
    return '–' if value is None else f'{value * factor:.{digits}f}'


def mean_of(row, key, factor):
    value = row.get(key)
    return '–' if not value else f'{sum(value.values()) / len(value) * factor:.0f}'


def line(row):
    if row['t_max_s'] is None:
        return f'{row["scenario"]} {row["system"]}: not run: {"; ".join(row["notes"])}'
    return (f'{row["scenario"]} {row["system"]}: {row["t_max_s"]:.1f} s, {row["t_ratio_max"]:.2f} T*, '
            f'{row["wan_copies_max"]:.3f} copies, {row["failed"]} failed {row["goal"]}')


def table(rows):
    yield ('| scenario | system | nodes | T* s | p50 / p99 / max s | max / T* | WAN copies | '
           'WAN Mbit/s mean / peak | LAN GB | CPU s/GB | RSS MiB | failed | first byte s | stall s | goal |')
    yield '|' + '---|' * 15
    for row in rows:
        marks = ('~' if row.get('share', 1) < 1 else '') + ('≥' if row.get('cut_off') else '')
        name = row['system'] + (' (model)' if row['kind'] == 'model' else '')
        times = ' / '.join(cell(row, k, 1) for k in ('t_p50_s', 't_p99_s', 't_max_s'))
        yield (f'| {row["scenario"]} | {name} | {cell(row, "nodes", 0)} | {cell(row, "bound_s", 1)} '
               f'| {marks}{times} | {marks.replace("~", "")}{cell(row, "t_ratio_max", 2)} '
               f'| {cell(row, "wan_copies_max", 3)} '
               f'| {mean_of(row, "wan_rate_mean", MBIT)} / {mean_of(row, "wan_rate_peak", MBIT)} '
               f'| {cell(row, "lan_bytes", 2, 1e-9 / row.get("share", 1))} | {cell(row, "cpu_s_per_gb", 1)} '
               f'| {cell(row, "rss_peak", 0, 1 / (1 << 20))} | {cell(row, "failed", 0)} '
               f'| {cell(row, "first_byte_s", 2)} | {cell(row, "stall_s", 2)} | {row["goal"]} |')


def measured(head, rows):
    """When, and of which program: rows that were measured in pieces have more than one."""
    runs = list(dict.fromkeys((r.get('when', head['when'])[:10], r.get('commit', head['commit']))
                              for r in sorted(rows, key=lambda r: r.get('when', head['when']))))
    return ', '.join(f'{day} at {commit}' for day, commit in runs) or head['when']


def text(head, rows):
    said = [f'{measured(head, rows)}; {head["machine"]}.', '']
    said += table(in_order(rows))
    said += ['', f'{len(scenarios.SITES)} sites; seconds since the first pull began; T* from the goodput of the '
             'WANs, measured in the same lab just before; CPU and memory of the system\'s own processes. '
             '~: measured with a part of the image over the same links, times the rest. '
             '≥: ended with pulls not done. (model): a policy with published constants in our own simulator, '
             'not that product.']
    return '\n'.join(said)


def legend():
    """What the short table says, and of what."""
    yield ('The last node\'s seconds / T*, and copies of the image over the WAN of the site that has most; bold '
           'misses its goal. T* is when everybody could have the image at best, by the WANs\' goodput, measured in '
           'the same lab just before. Direct pulls and the registry cache pull a part of the image, and their '
           'seconds are times the rest. ≥: ended with pulls not done. (model): a policy with published constants in '
           'our own simulator, not that product.')
    yield ''
    for s in scenarios.SCENARIOS.values():
        yield f'* `{s.name}`: {s.says} (goal {s.goal:.2f} T*, {s.copies_goal:.2f} copies)'
    yield ('* `512M` is one layer of 512 MiB, `mixed` 12 of 1 KiB to 100 MiB, `ml` one of 2 GiB, for two nodes a site '
           'at four times these rates')


def short(rows):
    """One line a case: last node / T*, and copies over the WAN, of each system; bold: misses its goal."""
    systems = list(dict.fromkeys(label(r) for r in sorted(rows, key=lambda r: list(COLOURS).index(r['system'])
                                                          if r['system'] in COLOURS else len(COLOURS))))
    yield '| scenario | ' + ' | '.join(systems) + ' |'
    yield '|' + '---|' * (len(systems) + 1)
    for case in dict.fromkeys(r['scenario'] for r in in_order(rows)):
        of = {label(r): r for r in rows if r['scenario'] == case}
        yield f'| {case} | ' + ' | '.join(short_cell(of.get(s)) for s in systems) + ' |'


def short_cell(row):
    if row is None or row['t_max_s'] is None:
        return '–'
    said = (f'{"≥" if row.get("cut_off") else ""}{cell(row, "t_ratio_max", 2)}, {cell(row, "wan_copies_max", 3)}'
            + (f', {row["failed"]} failed' if row['failed'] else ''))
    return f'**{said}**' if row['goal'].startswith('**missed') else said


def in_order(rows):
    cases = [f'{s}/{i}' for s in scenarios.SCENARIOS for i in scenarios.IMAGES]
    systems = list(COLOURS)
    return sorted(rows, key=lambda r: (cases.index(r['scenario']), systems.index(r['system'])
                                       if r['system'] in systems else len(systems)))


def read(out):
    """The rows that were written there, with what is kept beside them; none: there is no file."""
    try:
        with open(os.path.join(out, 'results.json'), encoding='utf-8') as f:
            rows = json.load(f)
        with open(os.path.join(out, 'series.json'), encoding='utf-8') as f:
            beside = {(r['scenario'], r['system']): r for r in json.load(f)}
    except FileNotFoundError:
        return []
    known = {f'{s}/{i}' for s in scenarios.SCENARIOS for i in scenarios.IMAGES}
    return [{**row, **beside.get((row['scenario'], row['system']), {})} for row in rows
            if row['scenario'] in known]


def write(out, head, rows):
    """results.json and table.md as they are now; a reader never sees half of a file."""
    slim = [{k: v for k, v in row.items() if k not in LARGE} for row in in_order(rows)]
    for name, content in (('results.json', json.dumps(slim, indent=1)), ('table.md', text(head, rows)),
                          ('series.json', json.dumps([{k: row.get(k) for k in ('scenario', 'system', *LARGE)}
                                                      for row in in_order(rows)]))):
        path = os.path.join(out, name)
        with open(path + '.new', 'w', encoding='utf-8') as f:
            f.write(content + '\n')
        os.rename(path + '.new', path)


BEGIN, END = '<!-- bench table: begin -->\n', '<!-- bench table: end -->\n'
SHOWN = (('cdf', 'When the nodes have the image'), ('heat', 'Who sent to whom'))


def into_readme(path, folder, out, head, rows, case='stable/512M'):
    """Between the marks of README.md: the table in short, and two pictures; the whole table and the pictures go
    into `folder`."""
    table_path = os.path.join(folder, 'table.md')
    with open(table_path, 'w', encoding='utf-8') as f:
        f.write(text(head, rows) + '\n')
    with open(path, encoding='utf-8') as f:
        before, rest = f.read().split(BEGIN)
    whole = os.path.relpath(table_path, os.path.dirname(path))
    said = '\n'.join([f'{measured(head, rows)}; {head["machine"]}. [The whole table]({whole}) has times, rates, '
                      'processor and memory of each run.', '', *legend(), '', *short(rows), '', ''])
    for kind, caption in SHOWN:
        name = f'{kind}-{case.replace("/", "-")}.svg'
        if os.path.exists(os.path.join(out, name)):
            shutil.copy(os.path.join(out, name), os.path.join(folder, name))
            said += f'![{caption}]({os.path.relpath(os.path.join(folder, name), os.path.dirname(path))})\n'
    with open(path, 'w', encoding='utf-8') as f:
        f.write(before + BEGIN + said + END + rest.split(END)[1])


# ---- pictures ----

def label(row):
    return row['system'] + (' (model)' if row['kind'] == 'model' else '')


def colour(row, others):
    if row['system'] in COLOURS:
        return COLOURS[row['system']]
    if row['system'] not in others:
        others.append(row['system'])
    return MORE_COLOURS[others.index(row['system']) % len(MORE_COLOURS)]


def draw(out, rows):
    import matplotlib
    matplotlib.use('svg')
    matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'bench', 'font.size': 10,
                                'axes.spines.top': False, 'axes.spines.right': False,
                                'figure.constrained_layout.use': True})
    for case in dict.fromkeys(r['scenario'] for r in in_order(rows)):
        of = [r for r in in_order(rows) if r['scenario'] == case and r['t_max_s'] is not None]
        name = case.replace('/', '-')
        if of:
            save(out, f'cdf-{name}', lambda of=of, case=case: draw_cdf(case, of))
            save(out, f'wan-{name}', lambda of=of, case=case: draw_wan(case, of))
        for row in of:
            if row['system'] == 'peersync' and row.get('matrix'):
                save(out, f'heat-{name}', lambda row=row: draw_heat(row))


def save(out, name, drawn):
    from matplotlib import pyplot
    figure = drawn()
    path = os.path.join(out, name + '.svg')
    figure.savefig(path, metadata={'Date': None})
    pyplot.close(figure)
    with open(path, encoding='utf-8') as f:  # matplotlib leaves spaces at the ends of lines
        lines = [line.rstrip() for line in f]
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')


def draw_cdf(case, rows):
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    others = []
    for row in rows:
        bound, count = row['bound_s'], row['nodes']
        done = sorted(row['times_s'])[:count - (row['failed'] or 0)]
        x = [t / row.get('share', 1) / bound for t in done]
        axes.step([0] + x + x[-1:], [0] + [(i + 1) / count for i in range(len(x))] + [len(x) / count] * len(x[-1:]),
                  where='post', label=label(row), color=colour(row, others), linewidth=2,
                  linestyle='--' if row['kind'] == 'model' else '-')
    axes.axvline(1, color='#999999', linewidth=1)
    axes.annotate('T*', (1, 1.02), color='#666666', ha='center', annotation_clip=False)
    axes.set(xlabel='time / T*', ylabel='share of nodes that are done', ylim=(0, 1.0))
    axes.set_title(f'{case}: when the nodes have the image', pad=18)
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1.01, 1))
    return figure


def rates(row, step_s=1.0):
    """(times, Mbit/s of the mean site) from cumulative bytes."""
    points, x, y = [[0.0, 0]] + [[p[0], sum(p[1:]) / len(p[1:])] for p in row['series']], [], []
    last = points[0]
    for p in points[1:]:
        if p[0] - last[0] >= step_s:
            x.append((p[0] + last[0]) / 2 / row.get('share', 1))
            y.append((p[1] - last[1]) / (p[0] - last[0]) * MBIT)
            last = p
    return x, y


def draw_wan(case, rows):
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    others = []
    for row in rows:
        if row.get('series'):
            x, y = rates(row, max(1.0, row['series'][-1][0] / 120))
            axes.plot(x, y, label=label(row), color=colour(row, others), linewidth=1.5,
                      linestyle='--' if row['kind'] == 'model' else '-')
    axes.set(xlabel='seconds', ylabel='payload into a site, Mbit/s', title=f'{case}: the WAN of a mean site')
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1.01, 1))
    return figure


def draw_heat(row):
    from matplotlib import pyplot
    receivers = sorted(row['matrix'])
    senders = receivers + ['registry']
    share = [[row['matrix'][r].get(s, 0) / row['bytes'] * 100 for s in senders] for r in receivers]
    figure, axes = pyplot.subplots(figsize=(6.4, 5.6))
    mesh = axes.pcolormesh(share, cmap='Blues', vmin=0, edgecolors='white', linewidth=0.5)
    axes.set_xticks([i + 0.5 for i in range(len(senders))], senders, rotation=60, ha='right',
                    rotation_mode='anchor')
    axes.set_yticks([i + 0.5 for i in range(len(receivers))], receivers)
    axes.set(xlabel='from', ylabel='to', title=f'{row["scenario"]}: who sent to whom through {row["system"]}')
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for i, line_of in enumerate(share):
        for j, value in enumerate(line_of):
            if value >= 0.5:
                axes.annotate(f'{value:.0f}', (j + 0.5, i + 0.5), ha='center', va='center', fontsize=7,
                              color='white' if value > max(map(max, share)) * 0.6 else '#333333')
    figure.colorbar(mesh, label='% of the image', shrink=0.8)
    return figure
