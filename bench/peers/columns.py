#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
columns.py arrow|duckdb|table CSV FILE SCHEMA - reads a CSV of rows and writes a Parquet file (zstd),
or, with `table`, a table of a DuckDB database with the key of tgdata's
columns.py filter JSON FILE SCHEMA - reads lines of JSON, writes those with kind = 'message' to Parquet,
without the column raw

SCHEMA is what `tgdata schema --json` prints. Reading and writing have one thread. Prints one JSON
object: wall and CPU seconds from the first byte read to the last one synced, without the start of
Python and its imports; peak RSS; bytes of the file.
"""
import json
import os
import resource
import sys
import time

KEYS = ('chat_id', 'owner', 'id')


def fields(path):
    with open(path, encoding='utf-8') as file:
        return [(f['name'], f['type']) for f in json.load(file)['fields']]


def arrow(source, target, columns):
    """Batch by batch, so that not all rows are in memory at once."""
    import pyarrow as pa
    from pyarrow import csv, parquet
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    types = {'integer': pa.int64(), 'boolean': pa.bool_(), 'time': pa.timestamp('us', tz='UTC')}
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns])

    def run():
        reader = csv.open_csv(
            source, read_options=csv.ReadOptions(use_threads=False, column_names=schema.names),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=schema, strings_can_be_null=True))
        with parquet.ParquetWriter(target, schema, compression='zstd') as out:
            group, rows = [], 0
            for batch in reader:
                group.append(batch)
                rows += len(batch)
                if rows >= 100_000:
                    out.write_table(pa.Table.from_batches(group))
                    group, rows = [], 0
            if group:
                out.write_table(pa.Table.from_batches(group))
    return run


def duckdb(source, target, columns, table=False):
    import duckdb as library
    types = {'integer': 'BIGINT', 'boolean': 'BOOLEAN', 'time': 'TIMESTAMPTZ', 'json': 'JSON'}
    named = {name: types.get(kind, 'VARCHAR') for name, kind in columns}
    read = (f"select * from read_csv('{source}', header = false, columns = {named},"
            " parallel = false, new_line = '\\r\\n', auto_detect = false, quote = '\"', escape = '\"')")
    db = library.connect(target if table else ':memory:', config={'threads': 1})
    if table:
        db.execute('create table messages(' + ', '.join(f'"{n}" {t}' for n, t in named.items())
                   + f', primary key({", ".join(KEYS)}))')

    def run():
        if table:
            db.execute('insert into messages ' + read)
            db.close()
        else:
            db.execute(f"copy ({read}) to '{target}' (format parquet, compression zstd,"
                       " row_group_size 100000)")
    return run


def filter_json(source, target, columns):
    import duckdb as library
    types = {'integer': 'BIGINT', 'boolean': 'BOOLEAN', 'time': 'TIMESTAMPTZ', 'json': 'JSON'}
    named = {name: types.get(kind, 'VARCHAR') for name, kind in columns}
    db = library.connect(':memory:', config={'threads': 1})
    return lambda: db.execute(
        f"copy (select * exclude (raw) from read_json('{source}', format = 'newline_delimited',"
        f" columns = {named}) where kind = 'message') to '{target}' (format parquet,"
        " compression zstd, row_group_size 100000)")


def main():
    what, source, target, schema = sys.argv[1:]
    columns = fields(schema)
    make = {'arrow': arrow, 'duckdb': duckdb, 'filter': filter_json,
            'table': lambda *all: duckdb(*all, table=True)}
    run = make[what](source, target, columns)
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    with open(target, 'rb') as file:
        os.fsync(file.fileno())
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({'wall_s': wall, 'cpu_s': cpu, 'rss_mib': rss,
                      'bytes': os.path.getsize(target)}))


if __name__ == '__main__':
    main()
