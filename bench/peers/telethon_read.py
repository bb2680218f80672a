#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
telethon_read.py - reads the newest N messages of a chat with Telethon

It drops them, or with --out writes each as a JSON line of the fields that most scripts keep. Its own
pacing is off (wait_time=0) and cryptg does the encryption. Prints one JSON object: messages, and the
wall and CPU seconds from the first request to the last message, without start and login.
"""
import argparse
import asyncio
import json
import os
import resource
import sys
import time

from telethon.tl import types
from telethon.utils import get_display_name

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../tests/interop'))

import telethon_client  # noqa: E402


def put_media(row, media):
    row['media_kind'] = type(media).__name__
    if isinstance(media, types.MessageMediaPhoto) and isinstance(media.photo, types.Photo):
        row['media_id'] = media.photo.id
    elif isinstance(media, types.MessageMediaDocument) and isinstance(media.document,
                                                                      types.Document):
        row['media_id'] = media.document.id
        row['media_mime'] = media.document.mime_type
        row['media_size'] = media.document.size
        for a in media.document.attributes:
            if isinstance(a, types.DocumentAttributeFilename):
                row['media_name'] = a.file_name
            elif isinstance(a, types.DocumentAttributeVideo):
                row['media_width'], row['media_height'] = a.w, a.h
                row['media_duration'] = a.duration
    elif isinstance(media, types.MessageMediaWebPage) and isinstance(media.webpage, types.WebPage):
        page = media.webpage
        row['media'] = {'url': page.url, 'title': page.title, 'description': page.description}


def row_of(m):
    row = {'chat_id': m.chat_id, 'id': m.id, 'date': m.date.strftime('%Y-%m-%dT%H:%M:%SZ'),
           'sender_id': m.sender_id}
    if m.sender:
        row['sender_name'] = get_display_name(m.sender)
        row['sender_username'] = getattr(m.sender, 'username', None)
    if m.action:
        row['action'] = type(m.action).__name__
        return row
    row['text'] = m.message
    if m.edit_date:
        row['edit_date'] = m.edit_date.strftime('%Y-%m-%dT%H:%M:%SZ')
    if m.entities:
        row['entities'] = [{'type': type(e).__name__, 'offset': e.offset, 'length': e.length}
                           for e in m.entities]
    if m.reply_to:
        row['reply_to_id'] = getattr(m.reply_to, 'reply_to_msg_id', None)
        row['thread_id'] = getattr(m.reply_to, 'reply_to_top_id', None)
    if m.fwd_from:
        row['forward_from_name'] = m.fwd_from.from_name
        row['forward_date'] = m.fwd_from.date.strftime('%Y-%m-%dT%H:%M:%SZ')
    if m.grouped_id:
        row['album_id'] = m.grouped_id
    if m.media:
        put_media(row, m.media)
    row['views'], row['forwards'] = m.views, m.forwards
    if m.replies:
        row['replies'] = m.replies.replies
    if m.reactions:
        row['reactions'] = [{'reaction': getattr(r.reaction, 'emoticon', None), 'count': r.count}
                            for r in m.reactions.results]
    return row


async def main():
    arg = argparse.ArgumentParser()
    arg.add_argument('--datacenter', required=True)
    arg.add_argument('--transport', default='abridged')
    arg.add_argument('--phone', required=True)
    arg.add_argument('--username', required=True)
    arg.add_argument('--messages', type=int, required=True)
    arg.add_argument('--out')
    args = arg.parse_args()
    args.session = args.secret = None
    client = await telethon_client.login(args)
    chat = await client.get_input_entity(args.username)
    out = open(args.out, 'w', encoding='utf-8') if args.out else None
    n = 0
    wall, cpu = time.monotonic(), time.process_time()
    async for m in client.iter_messages(chat, limit=args.messages, wait_time=0):
        if out:
            out.write(json.dumps(row_of(m), ensure_ascii=False) + '\n')
        n += 1
    if out:
        out.close()
    result = {'messages': n, 'wall_s': time.monotonic() - wall,
              'cpu_s': time.process_time() - cpu,
              'rss_kib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    await client.disconnect()
    print(json.dumps(result))


asyncio.run(main())
