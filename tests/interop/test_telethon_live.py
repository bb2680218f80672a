#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test_telethon_live.py - Telethon as a witness of a live world

Its event handlers are told by pushes whatever is posted, edited and deleted, and differences tell
it of the time without a connection: the picture that they give is the simulator's own at the end,
text by text.
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


class Witness:
    def __init__(self, server, out):
        self.out = out
        account = next(a for a in server.load()['accounts']
                       if 'bot_token' not in a and a['home_dc'] == 2 and not a.get('password'))
        self.user = account['user_id']
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


def watch(tmp, what, away):
    spec = f'0/burst={BURST},mass=20,deletes=10,repeat=20'
    with harness.sim(os.path.join(tmp, what), *WORLD, '--live', spec) as server:
        witness = Witness(server, os.path.join(tmp, what + '.json'))
        happen(server, 1)
        witness.tell('quiet')
        if away:
            witness.tell('away')
            happen(server, 2)
            witness.tell('back')
            witness.tell('quiet')
            witness.tell('ask')
        happen(server, 2 + away)
        witness.tell('quiet')
        witness.end()
    with open(witness.out, encoding='utf-8') as file:
        compare(json.load(file), truth(server, witness.user), what,
                ('asked_new', 'asked_edited') if away else ())


def main():
    harness.install('telethon')
    with harness.scratch() as tmp:
        watch(tmp, 'pushes', False)
        watch(tmp, 'away and back', True)


if __name__ == '__main__':
    main()
