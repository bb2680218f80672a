# SPDX-License-Identifier: MIT
"""
transforms - `tgdata transform` over an extraction with raw objects, beside DuckDB

Four transformations of the same NDJSON files, each a run of the program with all it does: the
source is checked against its digests, commits are synced and checkpointed. DuckDB, with one thread,
does what it can: it reads the same lines and writes the same columns to Parquet; it cannot decode.
"""
import json
import os

from sinks import DEPS, REPO, measure

TRANSFORMS = (  # name, destination, stages, what DuckDB does
    ('filter, to parquet:', 'parquet', ['filter?kind=message', 'fields?drop=raw'], 'filter'),
    ('where, to parquet:', 'parquet', ["where?expr=kind == 'message'", 'fields?drop=raw'], 'filter'),
    ('decode, to parquet:', 'parquet', ['decode'], None),
    ('decode, enrich, to ndjson:', 'ndjson', ['decode', 'enrich', 'fields?drop=raw'], None))


def part(say, options, tmp, clients):
    source = clients.tgdata('--raw', keep=True)
    size = source.bytes
    schema, result = os.path.join(tmp, 'schema.json'), {}
    with open(schema, 'w', encoding='utf-8') as file:
        file.write(measure([options.program, 'schema', '--json'])['out'])

    def line(name, run, ours=None):
        result[name] = {'rows_per_s': source.messages / run['wall_s'],
                        'cpu_per_million': run['cpu_s'] * 1e6 / source.messages}
        ratio = f'{ours["wall_s"] / run["wall_s"]:7.2f}x' if ours else ''
        say(f'{name:38} {source.messages / run["wall_s"]:10,.0f} {size / 1e6 / run["wall_s"]:8.1f}'
            f' {run["cpu_s"] * 1e6 / source.messages:8.2f} {ratio}')

    say(f'{"transformation":38} {"rows/s":>10} {"MB/s":>8} {"CPU s/M":>8} {"tool":>8}')
    for i, (name, to, stages, by_tool) in enumerate(TRANSFORMS):
        words = [word for stage in stages for word in ('--stage', stage)]
        ours = measure([options.program, 'transform', 'ndjson:' + source.out_directory, '--to',
                        f'{to}:{tmp}/transform{i}', '--state', f'sqlite:{tmp}/transform.state',
                        '--job', f'transform{i}', '--progress', 'none', '--json', *words])
        if json.loads(ours['out'])['rows_read'] != source.messages:
            raise SystemExit(f'bench: transform read other rows: {ours["out"]}')
        line('tgdata  ' + name, ours)
        if by_tool:
            tool = measure([os.path.join(DEPS, 'readers', 'bin', 'python'),
                            os.path.join(REPO, 'bench', 'peers', 'columns.py'), by_tool,
                            f'{source.out_directory}/chat_*/part-*.ndjson',
                            f'{tmp}/tool{i}.parquet', schema])
            line('DuckDB  ' + name, json.loads(tool['out']), ours)
    say('  MB/s: of the source; tool: how fast it is beside tgdata (goal: at most 1x)')
    return result
