#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test_gramjs.py - GramJS as a witness

GramJS speaks layer 198 and logs in to the simulated data centre by phone code and by password, on
every transport it has on sockets; what it reads equals, field by field, what tgdata extracted with
layer 228.
"""
import os

import harness

SECRET = 'ffeeddccbbaa99887766554433221100'
# As for Telethon: GramJS ends at a page that was cut.
WORLD = '--seed', '11', '--chats', '9', '--messages', '730', '--faults', 'short=0'


def gramjs(server, out, account, *options):
    harness.run(['node', os.path.join(harness.HERE, 'gramjs_client.js'),
                 '--datacenter', server.path('datacenter.json'), '--out', out,
                 '--phone', account['phone'], *options],
                env=dict(os.environ, NODE_PATH=os.path.join(harness.DEPS, 'node', 'node_modules')))
    return harness.read_rows(out)


def compare(ours, theirs, what):
    comparison = harness.Comparison('GramJS')
    comparison.chats(ours, theirs)
    comparison.report(what)


def main():
    harness.install('gramjs')
    with harness.scratch() as tmp:
        with harness.sim(os.path.join(tmp, 'sim'), *WORLD) as server:
            for password in (True, False):
                account = next(a for a in server.load()['accounts'] if 'bot_token' not in a
                               and a['home_dc'] == 2 and bool(a.get('password')) == password)
                name = 'password' if password else 'code'
                ours = harness.Account(os.path.join(tmp, 'ours-' + name),
                                       server.path('datacenter.json'))
                ours.login(account)
                rows = ours.extract('all', '--all', '--allow-protected')
                theirs = gramjs(server, os.path.join(tmp, 'theirs-' + name), account)
                compare(rows, theirs, f'login by {name}, all chats')
            chat = max(rows)
            for name in ('abridged', 'obfuscated'):
                theirs = gramjs(server, os.path.join(tmp, name), account, '--transport', name,
                                '--chat', str(chat))
                compare({chat: rows[chat]}, theirs, f'GramJS on {name}')
        with harness.sim(os.path.join(tmp, 'proxied'), *WORLD, '--proxy-secret', SECRET) as server:
            theirs = gramjs(server, os.path.join(tmp, 'mtproxy'), account, '--transport',
                            'mtproxy-abridged', '--secret', SECRET, '--chat', str(chat))
            compare({chat: rows[chat]}, theirs, 'GramJS on mtproxy-abridged')


if __name__ == '__main__':
    main()
