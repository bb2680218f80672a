#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
test_gotd.py - tgdata reads from a server that others wrote

The server in gotd/ is made of gotd's own transports, key exchange, cipher and types (layer 170).
tgdata logs in to it with gotd's schema on each transport and extracts its chats; each row equals
what the server says that its messages hold.
"""
import os

import harness

SERVER = os.path.join(harness.DEPS, 'gotd', 'server')
SCHEMA = os.path.join(harness.DEPS, 'gotd', 'telegram.tl')


def main():
    harness.install('gotd')
    with harness.scratch() as tmp:
        with harness.Server([SERVER, tmp], tmp, ready='datacenter-obfuscated.json') as server:
            truth = {}
            for name in os.listdir(tmp):
                if name.startswith('truth-'):
                    truth.update(harness.read_rows_of(server.path(name)))
            # not padded: gotd strips at most 3 of the up to 15 bytes that a client may append
            for transport in ('intermediate', 'abridged', 'full', 'obfuscated'):
                name = ('datacenter-obfuscated.json' if transport == 'obfuscated'
                        else 'datacenter.json')
                ours = harness.Account(os.path.join(tmp, transport), server.path(name),
                                       '--schema', SCHEMA, '--transport', transport, '--no-pfs')
                ours.login(server.load(name)['accounts'][0])
                rows = ours.extract('all', '@gotd_news', '@gotd_talk')
                comparison = harness.Comparison('gotd')
                comparison.chats(rows, truth)
                comparison.report(f'gotd on {transport}')


if __name__ == '__main__':
    main()
