#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
telethon_read.py - reads the newest N messages of a chat with Telethon and drops them

Its own pacing is off (wait_time=0) and cryptg does the encryption. Prints one JSON object: messages,
and the wall and CPU seconds from the first request to the last message, without start and login.
"""
import argparse
import asyncio
import json
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tests/interop'))

import telethon_client  # noqa: E402


async def main():
    arg = argparse.ArgumentParser()
    arg.add_argument('--datacenter', required=True)
    arg.add_argument('--transport', default='abridged')
    arg.add_argument('--phone', required=True)
    arg.add_argument('--username', required=True)
    arg.add_argument('--messages', type=int, required=True)
    args = arg.parse_args()
    args.session = args.secret = None
    client = await telethon_client.login(args)
    chat = await client.get_input_entity(args.username)
    n = 0
    wall, cpu = time.monotonic(), time.process_time()
    async for _ in client.iter_messages(chat, limit=args.messages, wait_time=0):
        n += 1
    result = {'messages': n, 'wall_s': time.monotonic() - wall,
              'cpu_s': time.process_time() - cpu,
              'rss_kib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    await client.disconnect()
    print(json.dumps(result))


asyncio.run(main())
