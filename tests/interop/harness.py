# SPDX-License-Identifier: MIT
"""
harness.py - what the tests with other clients and servers share: servers, tgdata, comparing rows
"""
import collections
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
DEPS = os.environ.get('TG_DEPS', os.path.join(REPO, '.deps'))
TGDATA = os.environ.get('TGDATA', os.path.join(REPO, 'build', 'tgdata'))
PYTHON = os.path.join(DEPS, 'venv', 'bin', 'python')

# What tgdata tells beside what a message says.
OURS_ALONE = 'content_hash', 'raw'


def fail(message):
    print('FAILED: ' + message)
    sys.exit(1)


def install(*names):
    subprocess.run([os.path.join(HERE, 'setup'), *names], check=True)


@contextlib.contextmanager
def scratch():
    """A directory that goes when all went well and is named when not."""
    path = tempfile.mkdtemp(prefix='tgdata-interop-')
    try:
        yield path
    except BaseException:
        print('files are kept in', path)
        raise
    shutil.rmtree(path)


def run(argv, **named):
    """Runs a program to its end; on failure its output is shown and the test fails."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=300, **named)
    if done.returncode:
        print(done.stdout[-4000:])
        print(done.stderr[-4000:])
        fail(f'{" ".join(argv)} exited with {done.returncode}')
    return done.stdout


def wait_for(path, process):
    for _ in range(600):
        if os.path.exists(path):
            return
        if process.poll() is not None:
            fail(f'the server ended with {process.returncode} before it listened')
        time.sleep(0.05)
    fail('the server does not listen')


class Server:
    """A server program that writes datacenter.json into its directory once it listens."""

    def __init__(self, argv, directory, ready='datacenter.json'):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.log = open(os.path.join(directory, 'log'), 'w', encoding='utf-8')
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=self.log,
                                        stderr=self.log)
        wait_for(os.path.join(directory, ready), self.process)

    def path(self, name):
        return os.path.join(self.directory, name)

    def load(self, name='datacenter.json'):
        with open(self.path(name), encoding='utf-8') as file:
            return json.load(file)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdin.close()
        self.log.close()


def sim(directory, *options):
    return Server([TGDATA, 'sim', '--dir', directory, *options], directory)


class Account:
    """tgdata's commands with one session file."""

    def __init__(self, directory, datacenter, *options):
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self.common = ['--session', os.path.join(directory, 'session'),
                       '--datacenter', datacenter, *options]

    def command(self, name, *options):
        return run([TGDATA, name, *options, *self.common])

    def login(self, account):
        secret = ['--password', account['password']] if account.get('password') else []
        self.command('login', '--phone', account['phone'], '--code', account['code'],
                     '--api-id', '1', '--api-hash', 'h' * 32, *secret)

    def extract(self, job, *arguments):
        """@return {chat id: {message id: row}}, after tgdata itself has verified the files"""
        out = os.path.join(self.directory, job)
        state = ['--state', 'sqlite:' + os.path.join(self.directory, 'state'), '--job', job]
        self.command('extract', *arguments, '--to', 'ndjson:' + out, '--progress', 'none', *state)
        self.command('verify', *state)
        return read_rows(out)


def read_rows_of(path, rows=None):
    """@return {chat id: {message id: row}} of a file, added to `rows` if given"""
    rows = collections.defaultdict(dict) if rows is None else rows
    with open(path, encoding='utf-8') as file:
        for row in map(json.loads, file):
            chat = rows[row['chat_id']]
            if row['id'] in chat:
                fail(f'message {row["id"]} of chat {row["chat_id"]} is there twice')
            chat[row['id']] = row
    return rows


def read_rows(directory):
    rows = collections.defaultdict(dict)
    for folder, _, names in os.walk(directory):
        for name in names:
            if name.endswith('.ndjson'):
                read_rows_of(os.path.join(folder, name), rows)
    return rows


# ---- comparing ----

def tidy(value):
    """Inside JSON columns, an empty text or list says the same as none: layers differ there."""
    if isinstance(value, dict):
        items = ((key, tidy(item)) for key, item in value.items())
        return {key: item for key, item in items if item not in (None, False, '', [], {})}
    return [tidy(item) for item in value] if isinstance(value, list) else value


class Comparison:
    """Compares rows field by field and prints what differs."""

    def __init__(self, witness):
        self.witness = witness
        self.messages = self.fields = self.differences = 0
        self.names = set()

    def differ(self, text):
        self.differences += 1
        if self.differences <= 20:
            print(text)

    def row(self, ours, theirs):
        where = f'chat {ours["chat_id"]} message {ours["id"]}'
        self.messages += 1
        for key in sorted(set(ours) | set(theirs)):
            if key in OURS_ALONE:
                continue
            a, b = tidy(ours.get(key)), tidy(theirs.get(key))
            self.fields += 1
            self.names.add(key)
            if a != b and not (is_empty(a) and is_empty(b)):
                self.differ(f'{where} {key}\n  tgdata: {dump(ours.get(key))}\n'
                            f'  {self.witness}: {dump(theirs.get(key))}')

    def chat(self, chat_id, ours, theirs):
        for who, one, other in (('tgdata', theirs, ours), (self.witness, ours, theirs)):
            missing = sorted(set(one) - set(other))
            if missing:
                self.differ(f'chat {chat_id}: {who} lacks {len(missing)} messages: {missing[:10]}')
        for message_id in sorted(set(ours) & set(theirs)):
            self.row(ours[message_id], theirs[message_id])

    def chats(self, ours, theirs):
        if not theirs:
            fail(f'{self.witness} has read nothing')
        if set(ours) != set(theirs):
            self.differ(f'tgdata has the chats {sorted(ours)}, {self.witness} {sorted(theirs)}')
        for chat_id in sorted(set(ours) & set(theirs)):
            self.chat(chat_id, ours[chat_id], theirs[chat_id])

    def report(self, what):
        print(f'{what}: {self.messages} messages, {self.fields} fields of {len(self.names)} kinds, '
              f'{self.differences} differences')
        if self.differences:
            fail(f'tgdata and {self.witness} differ')


def is_empty(value):
    return value in (None, False, '', [], {})


def dump(value):
    return json.dumps(value, ensure_ascii=False)
