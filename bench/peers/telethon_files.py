#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
telethon_files.py - fetches the photos and documents of a chat with Telethon, one after the other as
its download_media does, cryptg for the encryption, into files named by message id

Prints one JSON object: files, bytes, and the wall and CPU seconds without start and login.
"""
import argparse
import asyncio
import json
import os
import sys
import time

from telethon.tl import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tests/interop'))

import telethon_client  # noqa: E402


async def main():
    arg = argparse.ArgumentParser()
    arg.add_argument('--datacenter', required=True)
    arg.add_argument('--transport', default='abridged')
    arg.add_argument('--phone', required=True)
    arg.add_argument('--username', required=True)
    arg.add_argument('--out', required=True)
    args = arg.parse_args()
    args.session = args.secret = None
    client = await telethon_client.login(args)
    chat = await client.get_input_entity(args.username)
    os.makedirs(args.out)
    files = size = 0
    wall, cpu = time.monotonic(), time.process_time()
    async for m in client.iter_messages(chat, wait_time=0):
        if isinstance(m.media, (types.MessageMediaPhoto, types.MessageMediaDocument)):
            path = os.path.join(args.out, str(m.id))
            with open(path, 'wb') as file:
                await client.download_media(m, file)
            files += 1
            size += os.path.getsize(path)
    print(json.dumps({'files': files, 'bytes': size, 'wall_s': time.monotonic() - wall,
                      'cpu_s': time.process_time() - cpu}))
    await client.disconnect()


asyncio.run(main())
