# SPDX-License-Identifier: MIT
"""
sinks - how fast each destination takes rows, beside the plain client tool of that destination

Both are given the same rows of one extracted chat: tgdata's writer as rows in memory (bench_sink
measures its writes and commits alone; 10,000 rows a commit), the tool as a CSV file with the same
columns (psql's \\copy, sqlite3's .import, pyarrow, DuckDB), into a table of the same columns, types
and key, or a Parquet file with the same ones; kcat as lines of JSON, alone and with the key and
headers that tgdata's messages have; AWS's own library for Python puts the very objects that tgdata
has put. Client and tool have core 0, a server core 1.
"""
import csv
import glob
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(REPO, 'tests', 'cli'))
DEPS = os.environ.get('TG_DEPS', os.path.join(REPO, '.deps'))


def pin(core):
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})


def measure(argv, **more):
    """Wall and CPU seconds of a process, its peak RSS."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(argv, preexec_fn=lambda: pin(0), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, **more)
    out, err = process.communicate()
    wall = time.monotonic() - start
    if process.returncode:
        raise SystemExit(f'bench: {argv[0]}: {err}')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {'wall_s': wall, 'cpu_s': cpu, 'out': out}


class Server:
    """A PostgreSQL server for the time of the benchmark, as the tests have it; it syncs."""

    def __init__(self, directory):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            self.port = free.getsockname()[1]
        self.address = f'//tg@127.0.0.1:{self.port}/test'
        self.env = {**os.environ, 'PGPASSWORD': 'secret'}
        self.process = subprocess.Popen(
            [os.path.join(REPO, 'tests', 'postgres_server'), directory, str(self.port)],
            preexec_fn=lambda: pin(1))
        for _ in range(600):
            if self.psql('select 1') == 0 or self.process.poll() is not None:
                break
            time.sleep(0.1)

    def psql(self, sql):
        return subprocess.run(['psql', '-Xq', 'postgresql:' + self.address, '-c', sql],
                              env=self.env, capture_output=True, check=False).returncode

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


class Kafka:
    """A Kafka broker, as the tests have it, with a topic for each writer."""

    def __init__(self, directory):
        free = [socket.socket() for _ in range(3)]
        for one in free:
            one.bind(('127.0.0.1', 0))
        ports = [str(one.getsockname()[1]) for one in free]
        for one in free:
            one.close()
        self.at = f'127.0.0.1:{ports[0]}'
        self.process = subprocess.Popen(
            [os.path.join(REPO, 'tests', 'kafka_server'), directory, *ports],
            preexec_fn=lambda: pin(1))
        for _ in range(600):
            if self.kcat('-L').returncode == 0 or self.process.poll() is not None:
                break
            time.sleep(0.1)

    def kcat(self, *words):
        return subprocess.run(['kcat', '-b', self.at, '-m', '2', *words], capture_output=True,
                              check=False)

    def stop(self):
        self.process.kill()
        self.process.wait()


def write_csv(files, columns, path):
    """The rows as the tools read them: NULL empty, truth values true and false."""
    truth = {'outgoing', 'post', 'silent', 'pinned', 'protected'}
    with open(path, 'w', encoding='utf-8', newline='') as out:
        writer = csv.writer(out)
        for name in files:
            with open(name, encoding='utf-8') as lines:
                for line in lines:
                    row = json.loads(line)
                    writer.writerow([
                        str(row.get(c, False)).lower() if c in truth
                        else json.dumps(row[c], ensure_ascii=False)
                        if isinstance(row.get(c), (list, dict)) else row.get(c, '')
                        for c in columns])
    return os.path.getsize(path)


class Sinks:
    def __init__(self, say, build, tmp, files, chat_id):
        self.say, self.build, self.tmp, self.files = say, build, tmp, files
        self.chat_id = chat_id
        schema = subprocess.run([os.path.join(build, 'tgdata'), 'schema', '--json'], check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        fields = json.loads(schema)
        self.schema = os.path.join(tmp, 'schema.json')
        with open(self.schema, 'w', encoding='utf-8') as file:
            file.write(schema)
        self.columns = [f['name'] for f in (fields['fields'] if isinstance(fields, dict)
                                            else fields)]
        self.csv = os.path.join(tmp, 'rows.csv')
        self.bytes = write_csv(files, self.columns, self.csv)
        self.rows = self.all_rows = 0  # of the run that was measured last, of all files
        self.result = {}

    def measured(self, url, env=None, files=None, commit=10000):
        argv = [os.path.join(self.build, 'bench', 'bench_sink'), url, str(self.chat_id), str(commit),
                *(files or self.files)]
        run = json.loads(measure(argv, env=env)['out'])
        self.rows = run['rows']
        self.all_rows = max(self.all_rows, self.rows)
        return run

    def ours(self, name, url, **more):
        run = self.measured(url, **more)
        self.line(name, run)
        return run

    def in_turn(self, contenders, rounds=3):
        """Each (name, function, arguments) in turn, so many rounds; the median of each counts, beside
        the first. A server that has just started is slow: a round before them does not count."""
        found = [[run(round_, *args) for _, run, *args in contenders]
                 for round_ in range(rounds + 1)][1:]
        medians = [sorted(runs, key=lambda run: run['wall_s'])[rounds // 2]
                   for runs in zip(*found)]
        for (name, *_), run in zip(contenders, medians):
            self.line(name, run, None if run is medians[0] else medians[0])

    def line(self, name, run, ours=None):
        rate, per = self.rows / run['wall_s'], run['cpu_s'] * 1e6 / self.rows
        rss = f'{run["rss_mib"]:9.1f} MiB' if 'rss_mib' in run else ' ' * 13
        ratio = f'{ours["wall_s"] / run["wall_s"]:7.2f}x' if ours else ''
        size = self.bytes * self.rows / self.all_rows
        self.say(f'{name:34} {rate:10,.0f} {size / 1e6 / run["wall_s"]:8.1f} {per:8.2f} '
                 f'{rss} {ratio}')
        self.result[name] = {'rows_per_s': rate, 'cpu_per_million': per,
                             'rss_mib': run.get('rss_mib')}

    def sqlite(self):
        path = os.path.join(self.tmp, 'ours.db')
        run = self.ours('tgdata  sqlite:', f'sqlite:{path}')
        other = os.path.join(self.tmp, 'tool.db')
        made = subprocess.run(['sqlite3', path, "select sql from sqlite_master where name ="
                               " 'messages'"], check=True, stdout=subprocess.PIPE, text=True).stdout
        made = made.replace('job_chat_id INTEGER, job_commit INTEGER NOT NULL, ', '')
        subprocess.run(['sqlite3', other, made], check=True)
        tool = measure(['sqlite3', other, 'pragma journal_mode=wal', 'pragma synchronous=full',
                        '.mode csv', f'.import {self.csv} messages'])
        self.line('sqlite3 .import', tool, run)

    def column_tool(self, name, what, target, ours):
        """A tool of bench/peers/columns.py; it measures itself, without the start of Python."""
        argv = [os.path.join(DEPS, 'readers', 'bin', 'python'),
                os.path.join(REPO, 'bench', 'peers', 'columns.py'), what, self.csv, target,
                self.schema]
        self.line(name, json.loads(measure(argv)['out']), ours)

    def parquet(self):
        run = self.ours('tgdata  parquet:', f'parquet:{self.tmp}/ours.pq')
        self.column_tool('pyarrow', 'arrow', f'{self.tmp}/arrow.parquet', run)
        self.column_tool('DuckDB copy to', 'duckdb', f'{self.tmp}/duckdb.parquet', run)

    def duckdb(self):
        env = {**os.environ, 'TGDATA_DUCKDB': os.path.join(DEPS, 'duckdb', 'libduckdb.so')}
        self.ours('tgdata  duckdb:', f'duckdb:{self.tmp}/ours.duckdb', env=env)
        # The tool has one transaction, whose rows pass by its log.
        run = self.ours('tgdata  duckdb: (one commit)', f'duckdb:{self.tmp}/one.duckdb', env=env,
                        commit=self.rows)
        self.column_tool('DuckDB insert from read_csv', 'table', f'{self.tmp}/tool.duckdb', run)

    def postgres(self):
        server = Server(os.path.join(self.tmp, 'pg'))
        try:
            run = self.ours('tgdata  postgres:', 'postgres:' + server.address, env=server.env)
            server.psql('create table tool (like messages including all);'
                        'alter table tool alter job_commit drop not null')
            columns = ', '.join(f'"{c}"' for c in self.columns)
            tool = measure(['psql', '-Xq', 'postgresql:' + server.address, '-c',
                            f"\\copy tool({columns}) from '{self.csv}' with (format csv)"],
                           env=server.env)
            self.line('psql \\copy', tool, run)
        finally:
            server.stop()

    def kafka(self):
        server = Kafka(os.path.join(self.tmp, 'kafka'))
        lines = os.path.join(self.tmp, 'rows.ndjson')
        with open(lines, 'wb') as out:
            for name in self.files:
                with open(name, 'rb') as part:
                    shutil.copyfileobj(part, out)
        try:
            # The topic's messages have a key and two headers; kcat sends its lines alone, and so.
            same = ['-k', str(self.chat_id), '-H', 'tgdata.commit=1',
                    '-H', f'tgdata.key=0:{self.chat_id}:100000:0-{"0" * 32}']

            def ours(round_, codec):
                return self.measured(f'kafka://{server.at}/{codec}{round_}?create=1'
                                     + ('&compression=none' if codec == 'none' else ''))

            def tool(_, codec, more):
                return measure(['kcat', '-P', '-b', server.at, '-t', f'{codec}0', '-z', codec,
                                '-X', 'enable.idempotence=true', '-l', *more, lines,
                                *(['-X', 'compression.level=1'] if codec == 'zstd' else [])])

            for codec, note in (('zstd', ''), ('none', ' (no compression)')):
                self.in_turn((('tgdata  kafka:' + note, ours, codec),
                              ('kcat -P' + note, tool, codec, []),
                              ('kcat -P, key, headers' + note, tool, codec, same)))
        finally:
            server.stop()

    def streams(self):
        from stream_sinks import Streams  # which uses what stands here
        Streams(self).run()

    def s3(self):
        from s3 import S3  # as the tests have it
        cores = os.sched_getaffinity(0)
        pin(1)
        server = S3(os.path.join(self.tmp, 's3'))
        os.sched_setaffinity(0, cores)
        try:
            run = self.ours('tgdata  s3:', f's3://bucket/ours?endpoint={server.endpoint}')
            tool = measure([os.path.join(DEPS, 'moto', 'bin', 'python'),
                            os.path.join(REPO, 'bench', 'peers', 's3.py'), server.endpoint])
            self.line('boto3 upload of the same objects', json.loads(tool['out']), run)
        finally:
            server.stop()

    def run(self):
        self.say(f'{"destination":34} {"rows/s":>10} {"MB/s":>8} {"CPU s/M":>8} {"peak RSS":>13}'
                 f' {"tool":>8}')
        self.ours('tgdata  ndjson:', f'ndjson:{self.tmp}/ours')
        self.ours('tgdata  csv:', f'csv:{self.tmp}/ours.csv')
        self.parquet()
        self.sqlite()
        self.duckdb()
        self.postgres()
        self.kafka()
        self.streams()
        self.s3()
        self.say('  MB/s: of the CSV file; tool: how fast it is beside tgdata (goal: at most 1x)')
        return self.result


def part(say, options, tmp, clients):
    """Extracts the rows once, and gives them to every destination."""
    run = clients.tgdata(keep=True)
    files = sorted(glob.glob(os.path.join(run.out_directory, 'chat_*', 'part-*.ndjson')))
    chat_id = os.path.basename(os.path.dirname(files[0]))[len('chat_'):]
    os.chmod(tmp, 0o755)  # the server has a user of its own
    return Sinks(say, options.build, tmp, files, chat_id).run()
