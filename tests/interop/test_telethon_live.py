#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test_telethon_live.py - Telethon as a witness of a live world, and of `tgdata stream` beside it

Its event handlers are told by pushes whatever is posted, edited and deleted, and differences tell
it of the time without a connection: the picture that they give is the simulator's own at the end,
text by text. A stream of the same account sees the same changes: while it is told by pushes, event
by event in their order; in the end, and after a time away, of each message the same text.
"""
import hashlib
import json
import os
import signal
import subprocess
import time

import harness

BURST = 600
WORLD = '--seed', '11', '--chats', '14', '--messages', '250', '--faults', 'short=0', '--truth'


class Stream:
    """`tgdata stream` of the chats that the witness sees, but for those that forbid saving."""

    def __init__(self, server, account, out):
        self.out = out
        self.files = os.path.join(out, 'changes')
        self.tgdata = harness.Account(out, server.path('datacenter.json'))
        self.tgdata.login(account)
        world = server.load('world.json')['chats']
        grown_from = {c['migrated_from'] for c in world}
        self.chats = [str(c['id']) for c in world if account['user_id'] in c['members'] and
                      c['kind'] not in ('left', 'protected') and c['id'] not in grown_from]
        self.process = None
        self.begin()

    def begin(self):
        """From when it returns on, all is delivered that happens."""
        log = os.path.join(self.out, 'log')
        with open(log, 'wb') as file:
            self.process = subprocess.Popen(
                [harness.TGDATA, 'stream', *self.chats, *self.tgdata.common, '--to',
                 'ndjson:' + self.files, '--state', f'sqlite:{self.out}/state', '--job', 'live',
                 '--progress', 'json'], stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        for _ in range(600):
            with open(log, 'rb') as file:
                if file.read().count(b'"statistics"') > 2:
                    return
            time.sleep(0.05)
        harness.fail('the stream does not begin')

    def end(self):
        self.process.terminate()
        if self.process.wait(60):
            harness.fail(f'the stream ended with {self.process.returncode}')

    def rows(self):
        """In their order."""
        rows = []
        for folder, _, names in os.walk(self.files):
            for name in names:
                if name.endswith('.ndjson'):
                    with open(os.path.join(folder, name), encoding='utf-8') as file:
                        rows += map(json.loads, file)
        return sorted(rows, key=lambda row: row['change_seq'])


class Witness:
    def __init__(self, server, out):
        self.out = out
        account = next(a for a in server.load()['accounts']
                       if 'bot_token' not in a and a['home_dc'] == 2 and not a.get('password'))
        self.account, self.user = account, account['user_id']
        self.process = subprocess.Popen(
            [harness.PYTHON, os.path.join(harness.HERE, 'telethon_events.py'), '--datacenter',
             server.path('datacenter.json'), '--phone', account['phone'], '--out', out],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer('login')

    def answer(self, what):
        line = self.process.stdout.readline()
        if line != 'ok\n':
            harness.fail(f'the witness ended at {what!r}')

    def tell(self, what):
        self.process.stdin.write(what + '\n')
        self.process.stdin.flush()
        self.answer(what)

    def end(self):
        self.process.stdin.write('end\n')
        self.process.stdin.close()
        if self.process.wait(60):
            harness.fail('the witness failed')


def happen(server, times):
    """Lets a burst of changes happen and waits for its end."""
    path = server.path('changes.txt')
    server.process.send_signal(signal.SIGUSR2)
    for _ in range(600):
        with open(path, encoding='utf-8') as file:
            n = len(file.readlines())
        if n >= times * BURST:
            return
        time.sleep(0.05)
    harness.fail(f'{n} changes of {times * BURST}')


def truth(server, user):
    """What the simulator says is there, of the chats that a user is in."""
    chats = {}
    for chat in server.load('world.json')['chats']:
        path = server.path(f'live-{chat["id"]}.txt')
        if user not in chat['members'] or not os.path.exists(path):
            continue
        with open(path, encoding='utf-8') as file:
            rows = [line.split() for line in file]
        chats[chat['id']] = {int(i): told[0] for i, *told in rows if told[0] != '-'}
    return chats


def compare(seen, real, what, more_kinds):
    """Chats that cannot change are read, but not part of the truth."""
    wrong = 0
    for chat, messages in real.items():
        theirs = {int(i): hashlib.sha256(text.encode()).hexdigest()[:16]
                  for i, text in seen['chats'].get(str(chat), {}).items()}
        lacks = sorted(set(messages) - set(theirs))
        more = sorted(set(theirs) - set(messages))
        stale = [i for i in messages if i in theirs and messages[i] != theirs[i]]
        if lacks or more or stale:
            wrong += 1
            print(f'chat {chat}: {len(lacks)} are not seen {lacks[:5]}, {len(more)} are gone '
                  f'{more[:5]}, {len(stale)} are old {stale[:5]}')
    print(f'{what}: {len(real)} chats, {sum(map(len, real.values()))} messages, events: '
          f'{seen["counts"]}')
    if wrong:
        harness.fail(f'Telethon sees {wrong} chats otherwise')
    for kind in ('new', 'edited', 'deleted', *more_kinds):
        if not seen['counts'].get(kind):
            harness.fail(f'no event tells of a message that is {kind}')


def known(events, box):
    """A deletion in the box does not tell its chat, which a stream that has never seen the message
    cannot know."""
    met, kept = set(), []
    for kind, message in events:
        if kind != 'deleted' or not box or message in met:
            kept.append((kind, message))
        met.add(message)
    return kept


def compare_events(rows, told, chats):
    """Those of each channel, and of all other chats together, in their order."""
    ours = {}
    for row in rows:
        where = row['chat_id'] if row['chat_id'] < -10**12 else 'box'
        kind = 'edited' if row['change'] == 'reactions' else row['change']
        ours.setdefault(str(where), []).append((kind, row['id']))
    n = 0
    for where in sorted({chat for chat in chats if int(chat) < -10**12} | {'box'}):
        theirs = known([tuple(event) for event in told.get(where, [])], where == 'box')
        n += len(theirs)
        mine = ours.get(where, [])
        if mine != theirs:
            first = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), 0)
            print(f'chat {where}: {len(mine)} and {len(theirs)} events; from {first}',
                  mine[first:first + 4], theirs[first:first + 4])
            harness.fail('tgdata and Telethon are told different changes')
    print(f'{n} events of {len(chats)} chats are the same, in the same order')


def compare_texts(rows, seen):
    """The last change of each message tells what Telethon has of it."""
    last, wrong = {(row['chat_id'], row['id']): row for row in rows}, []
    for (chat, message), row in last.items():
        theirs = seen['chats'].get(str(chat), {}).get(str(message))
        ours = None if row['change'] == 'deleted' else row.get('text', '')
        if ours != theirs:
            wrong.append((chat, message, row['change_seq'], ours, theirs))
    print(f'{len(last)} messages have changed, {len(wrong)} differ', *wrong[:5], sep='\n')
    if wrong or not last:
        harness.fail('tgdata and Telethon have different texts')


def watch(tmp, what, away):
    spec = f'0/burst={BURST},mass=20,deletes=10,repeat=20'
    with harness.sim(os.path.join(tmp, what), *WORLD, '--live', spec) as server:
        witness = Witness(server, os.path.join(tmp, what + '.json'))
        stream = Stream(server, witness.account, os.path.join(tmp, what, 'tgdata'))
        happen(server, 1)
        witness.tell('quiet')
        if away:
            witness.tell('away')
            stream.end()
            happen(server, 2)
            witness.tell('back')
            stream.begin()
            witness.tell('quiet')
            witness.tell('ask')
        happen(server, 2 + away)
        witness.tell('quiet')
        stream.end()
        witness.end()
    with open(witness.out, encoding='utf-8') as file:
        seen = json.load(file)
    compare(seen, truth(server, witness.user), what,
            ('asked_new', 'asked_edited') if away else ())
    if not away:
        compare_events(stream.rows(), seen['told'], stream.chats)
    compare_texts(stream.rows(), seen)


def main():
    harness.install('telethon')
    with harness.scratch() as tmp:
        watch(tmp, 'pushes', False)
        watch(tmp, 'away and back', True)


if __name__ == '__main__':
    main()
