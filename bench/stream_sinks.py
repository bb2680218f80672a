# SPDX-License-Identifier: MIT
"""
stream_sinks - how fast destinations that are streams take rows, beside a plain client of each

The same rows of one chat: pika publishes them with confirms, curl posts bodies of 500 rows, boto3
puts 500 records a call. The receivers are those of the tests and have core 1: what answers posts is
a thread of this program, and moto stands for Kinesis and is what bounds both there, so that rows
are few.
"""
import contextlib
import json
import os
import sys

from sinks import DEPS, REPO, measure

sys.path.append(os.path.join(REPO, 'tests', 'cli'))
PYTHON = os.path.join(DEPS, 'messages', 'bin', 'python')
POST_ROWS = 500
FEW = 2000  # rows, where what is beside tgdata is slow: pika waits for each confirmation


@contextlib.contextmanager
def on_core(core):
    """This thread, and the programs and threads that it starts."""
    before = os.sched_getaffinity(0)
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def lines_of(files, most=None):
    n = 0
    for name in files:
        with open(name, encoding='utf-8') as rows:
            for line in rows:
                if n == most:
                    return
                n += 1
                yield line


class Streams:
    """@param sinks  what measures and prints: sinks.Sinks"""

    def __init__(self, sinks):
        self.sinks, self.tmp = sinks, sinks.tmp
        self.few = os.path.join(self.tmp, 'few.ndjson')
        with open(self.few, 'w', encoding='utf-8') as out:
            out.writelines(lines_of(sinks.files, FEW))

    def peer(self, name, mode, target, ours, env=None):
        """bench/peers/messages.py measures itself, without the start of Python."""
        python = os.path.join(DEPS, 'moto', 'bin', 'python') if mode == 'boto3' else PYTHON
        argv = [python, os.path.join(REPO, 'bench', 'peers', 'messages.py'), mode, self.few,
                target]
        self.sinks.line(name, json.loads(measure(argv, env=env)['out']), ours)

    def rabbit(self):
        from streams import Rabbit
        with on_core(1):
            server = Rabbit(os.path.join(self.tmp, 'rabbit'))
        try:
            env = {**os.environ, **server.client_env}
            self.sinks.ours('tgdata  amqp:', server.fresh(), env=env)
            run = self.sinks.ours(f'tgdata  amqp: ({FEW} rows)', server.fresh(), env=env,
                                  files=[self.few])
            server.fresh()
            self.peer('pika, confirms', 'pika', f'{server.url()} {server.queue}', run)
        finally:
            server.end()

    def webhook(self):
        from streams import Service

        class Taker(Service):
            def take(self, path, headers, body):
                return 200, {}, b''

        with on_core(1):
            server = Taker(self.tmp)
            try:
                posts = self.posts(server)
                self.sinks.in_turn((
                    ('tgdata  webhook:', lambda _: self.sinks.measured(
                        f'webhook:{server.url()}/x')),
                    ('curl', lambda _: measure(['curl', '-sS', '-f', '-K', posts]))))
            finally:
                server.stop()

    def posts(self, server):
        """curl's list of posts: the same rows, as many in each."""
        folder, post, config = os.path.join(self.tmp, 'posts'), [], []

        def end():
            path = os.path.join(folder, str(len(config)))
            with open(path, 'w', encoding='utf-8') as out:
                out.write('[' + ','.join(post) + ']')
            config.append(f'url = "{server.url()}/x"\ndata-binary = "@{path}"\n'
                          'header = "content-type: application/json"\nheader = "expect:"\n'
                          'output = "/dev/null"\n')
            post.clear()

        os.mkdir(folder)
        for line in lines_of(self.sinks.files):
            post.append(line.rstrip('\n'))
            if len(post) == POST_ROWS:
                end()
        if post:
            end()
        path = os.path.join(self.tmp, 'posts.curl')
        with open(path, 'w', encoding='utf-8') as out:
            out.write('next\n'.join(config))
        return path

    def kinesis(self):
        from streams import Kinesis
        with on_core(1):
            server = Kinesis(os.path.join(self.tmp, 'kinesis'))
        try:
            env = {**os.environ, **server.client_env}
            url = server.fresh()
            run = self.sinks.ours('tgdata  kinesis: (moto)', url, env=env,
                                  files=[self.few])
            server.fresh()
            self.peer('boto3 put_records (moto)', 'boto3', f'{server.endpoint()} {server.name}',
                      run, env={**env, 'AWS_DEFAULT_REGION': server.region})
        finally:
            server.end()

    def run(self):
        self.rabbit()
        self.webhook()
        self.kinesis()
