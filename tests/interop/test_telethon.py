#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test_telethon.py - Telethon as a witness

Telethon logs in to the simulated data centre by phone code and by password, on every transport it
has, and reads chats; what it reads equals, field by field, what tgdata extracted. Sessions go both
ways as strings. Its takeout works, and tgdata's reads the same.
"""
import json
import os

import harness

SECRET = '00112233445566778899aabbccddeeff'
TRANSPORTS = 'full', 'abridged', 'intermediate', 'obfuscated'
PROXIED = 'mtproxy-abridged', 'mtproxy-intermediate', 'mtproxy-padded'


def telethon(server, out, *options):
    harness.run([harness.PYTHON, os.path.join(harness.HERE, 'telethon_client.py'),
                 '--datacenter', server.path('datacenter.json'), '--out', out, *options])
    return harness.read_rows(out)


def compare(ours, theirs, what):
    comparison = harness.Comparison('Telethon')
    comparison.chats(ours, theirs)
    comparison.report(what)


def only(rows, chats):
    return {chat: rows[chat] for chat in chats}


def people(server, password):
    """Accounts of the main data centre: Telethon is pointed at that one's key and address."""
    return [a for a in server.load()['accounts']
            if 'bot_token' not in a and a['home_dc'] == 2 and bool(a.get('password')) == password]


def both_logins(server, tmp):
    """Phone code, then password: all chats of both accounts, message by message."""
    for password in (False, True):
        account = people(server, password)[0]
        name = 'password' if password else 'code'
        ours = harness.Account(os.path.join(tmp, 'ours-' + name), server.path('datacenter.json'))
        ours.login(account)
        rows = ours.extract('all', '--all', '--allow-protected')
        theirs = telethon(server, os.path.join(tmp, 'theirs-' + name), '--phone', account['phone'])
        compare(rows, theirs, f'login by {name}, all chats')
        if not password:
            first = ours, rows
    return first


def transports(server, tmp, rows):
    account = people(server, False)[0]
    chats = sorted(rows)[:1] + [min(rows, key=lambda chat: len(rows[chat]))]
    chosen = [option for chat in chats for option in ('--chat', str(chat))]
    for name in TRANSPORTS:
        theirs = telethon(server, os.path.join(tmp, 'transport-' + name), '--transport', name,
                          '--phone', account['phone'], *chosen)
        compare(only(rows, chats), theirs, f'Telethon on {name}')
    with harness.sim(os.path.join(tmp, 'proxied'), *WORLD, '--proxy-secret', SECRET) as proxied:
        for name in PROXIED:
            secret = 'dd' + SECRET if name == 'mtproxy-padded' else SECRET
            theirs = telethon(proxied, os.path.join(tmp, 'transport-' + name), '--transport', name,
                              '--secret', secret, '--phone', account['phone'], *chosen)
            compare(only(rows, chats), theirs, f'Telethon on {name}')


def sessions(server, tmp, ours, rows):
    """A StringSession of Telethon's logs tgdata in; one that tgdata prints logs Telethon in."""
    chat = min(rows)
    made = os.path.join(tmp, 'made')
    telethon(server, made, '--phone', people(server, False)[-1]['phone'], '--chat', str(chat))
    with open(os.path.join(made, 'session'), encoding='utf-8') as file:
        string = file.read().strip()
    imported = harness.Account(os.path.join(tmp, 'imported'), server.path('datacenter.json'),
                               '--session-string', string)
    got = imported.extract('imported', str(chat))
    compare(got, harness.read_rows(made), 'session string of Telethon in tgdata')
    string = ours.command('export-session', 'telethon').strip()
    theirs = telethon(server, os.path.join(tmp, 'exported'), '--session', string,
                      '--chat', str(chat))
    compare(only(rows, [chat]), theirs, 'session string of tgdata in Telethon')


def takeout(server, tmp, ours, rows):
    account = people(server, False)[0]
    chat = max(rows)
    theirs = telethon(server, os.path.join(tmp, 'takeout'), '--phone', account['phone'],
                      '--takeout', '--chat', str(chat))
    got = ours.extract('takeout', str(chat), '--takeout', '--allow-protected')
    compare(got, theirs, 'both in takeout')
    compare(only(rows, [chat]), got, 'takeout and plain')


def listing(server, tmp, ours):
    """`tgdata chats` names the chats as Telethon does."""
    with open(os.path.join(tmp, 'theirs-code', 'chats.json'), encoding='utf-8') as file:
        theirs = {chat['id']: chat for chat in json.load(file)}
    listed = {chat['id']: chat for chat in json.loads(ours.command('chats', '--json'))}
    for chat_id, chat in theirs.items():
        for key in ('title', 'username'):
            if chat_id in listed and (listed[chat_id].get(key) or None) != (chat[key] or None):
                harness.fail(f'chat {chat_id} {key}: tgdata {listed[chat_id].get(key)!r}, '
                             f'Telethon {chat[key]!r}')
    if not set(listed) <= set(theirs):
        harness.fail(f'Telethon does not list {sorted(set(listed) - set(theirs))}')
    print(f'{len(listed)} chats listed alike')


def comments(tmp):
    """On posts of two channels: one's group is read, the other's is asked for post by post."""
    with harness.sim(os.path.join(tmp, 'discussions'), *WORLD, '--discussions', 'mixed') as server:
        account = people(server, False)[0]
        channels = [c for c in server.load('world.json')['chats'] if c['kind'] == 'channel']
        ours = harness.Account(os.path.join(tmp, 'commenting'), server.path('datacenter.json'))
        ours.login(account)
        rows = ours.extract('comments', '--include-replies', *(f'@{c["username"]}'
                                                               for c in channels))
        chosen = [option for c in channels for option in ('--chat', str(c['id']))]
        theirs = telethon(server, os.path.join(tmp, 'their-comments'), '--phone',
                          account['phone'], '--comments', *chosen)
        groups = [c['linked'] for c in channels]
        said = {group: {i: row for i, row in rows[group].items() if 'comment_of_id' in row}
                for group in groups}
        for channel, group in zip(channels, groups):  # the group's copies of posts are no comments
            posts = rows[channel['id']]
            for i in [i for i, row in said[group].items()
                      if row['sender_id'] == channel['id'] or row['comment_of_id'] not in posts]:
                del said[group][i]
        compare(said, theirs, 'comments')


def files(tmp):
    """Both fetch the files of a chat, from two DCs: the same bytes, and the world's."""
    world = '--seed', '8', '--chats', '2', '--messages', '150', '--faults', 'short=0', \
        '--file-max', '2MiB', '--truth-files'
    with harness.sim(os.path.join(tmp, 'files'), *world) as server:
        account = people(server, False)[0]
        ours = harness.Account(os.path.join(tmp, 'fetching'), server.path('datacenter.json'))
        ours.login(account)
        rows = ours.extract('files', '--all', '--media', os.path.join(tmp, 'media'))
        fetched = 0
        for chat, messages in rows.items():
            with open(server.path(f'files-{chat}.txt'), encoding='ascii') as file:
                truth = {int(line.split()[0]): line.split()[3] for line in file}
            for i, row in messages.items():
                if row.pop('media_path', None):
                    fetched += 1
                if row.get('media_sha256') != truth.get(i):
                    harness.fail(f'chat {chat}, message {i}: not the file of the world')
        theirs = telethon(server, os.path.join(tmp, 'their-files'), '--phone', account['phone'],
                          '--files', *(o for chat in rows for o in ('--chat', str(chat))))
        compare(rows, theirs, f'{fetched} files')


# Telethon takes a page that is shorter than asked for as the end of a chat, so none is cut here.
WORLD = '--seed', '7', '--chats', '9', '--messages', '730', '--faults', 'short=0'


def main():
    harness.install('telethon')
    with harness.scratch() as tmp:
        with harness.sim(os.path.join(tmp, 'sim'), *WORLD) as server:
            ours, rows = both_logins(server, tmp)
            listing(server, tmp, ours)
            transports(server, tmp, rows)
            sessions(server, tmp, ours, rows)
            takeout(server, tmp, ours, rows)
        comments(tmp)
        files(tmp)


if __name__ == '__main__':
    main()
