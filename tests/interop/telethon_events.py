#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
telethon_events.py - keeps a picture of all chats with Telethon's event handlers

A witness of updates: the chats are read once, and from then on only what Telethon's handlers for
new, edited and deleted messages tell is put in; which updates come next, and gaps, are its own
doing. Of a difference its handlers tell the new messages alone (it takes the others for seen, by
their pts), so differences are asked for by hand as well. It is led by words on its input and
answers each with "ok":

    quiet       waits until nothing has come for a while
    away        remembers where the sequences are and disconnects
    back        connects again and catches up
    ask         asks for the differences since it went away, and puts in what they tell
    end         writes OUT and ends: {chat id: {message id: text}}, how many events there were, and
                of each channel and of all other chats ("box") which, in their order
"""
import argparse
import asyncio
import collections
import contextlib
import json
import sys
import time

from telethon import TelegramClient, connection, events, functions, types, utils
from telethon.crypto import rsa
from telethon.sessions import MemorySession

QUIET_S = 2


class Picture:
    def __init__(self):
        self.chats = collections.defaultdict(dict)
        self.counts = collections.Counter()
        self.told_of = collections.defaultdict(list)
        self.last = time.monotonic()

    def note(self, kind):
        self.counts[kind] += 1
        self.last = time.monotonic()

    def tell(self, kind, chat, ids):
        where = chat if chat and chat < -10**12 else 'box'
        self.told_of[where] += [(kind, message_id) for message_id in ids]

    def tell_of(self, kind, message):
        self.tell(kind, utils.get_peer_id(message.peer_id), [message.id])

    def put(self, message):
        chat = self.chats[utils.get_peer_id(message.peer_id)]
        chat[message.id] = getattr(message, 'message', None) or ''

    async def new(self, event):
        self.note('new')
        self.tell_of('new', event.message)
        self.put(event.message)

    async def service(self, update):
        """Those that NewMessage does not tell of."""
        if isinstance(update.message, types.MessageService):
            self.note('service')
            self.tell_of('new', update.message)
            self.put(update.message)

    async def edited(self, event):
        self.note('edited')
        self.tell_of('edited', event.message)
        self.put(event.message)

    async def deleted(self, event):
        self.note('deleted')
        self.tell('deleted', event.chat_id, event.deleted_ids)
        self.remove(event.chat_id, event.deleted_ids)

    def told(self, difference):
        """What a difference holds, of the account or of a channel."""
        for message in difference.new_messages:
            self.counts['asked_new'] += 1
            self.put(message)
        for update in difference.other_updates:
            if isinstance(update, (types.UpdateEditMessage, types.UpdateEditChannelMessage)):
                self.counts['asked_edited'] += 1
                self.put(update.message)
            elif isinstance(update, types.UpdateDeleteChannelMessages):
                self.remove(utils.get_peer_id(types.PeerChannel(update.channel_id)),
                            update.messages)
            elif isinstance(update, types.UpdateDeleteMessages):
                self.remove(None, update.messages)

    def remove(self, chat, ids):
        """Private chats and basic groups share ids, and a deletion there does not say where."""
        for where in [chat] if chat else [c for c in self.chats if c > -10**12]:
            for message_id in ids:
                self.chats[where].pop(message_id, None)

    async def quiet(self):
        self.last = time.monotonic()
        while time.monotonic() - self.last < QUIET_S:
            await asyncio.sleep(0.1)


def client_of(session, picture, catch_up):
    client = TelegramClient(session, 1, 'h' * 32, connection=connection.ConnectionTcpFull,
                            catch_up=catch_up, sequential_updates=True, flood_sleep_threshold=0)
    client.add_event_handler(picture.new, events.NewMessage())
    client.add_event_handler(picture.service, events.Raw([types.UpdateNewMessage,
                                                          types.UpdateNewChannelMessage]))
    client.add_event_handler(picture.edited, events.MessageEdited())
    client.add_event_handler(picture.deleted, events.MessageDeleted())
    return client


class Since:
    """Where the sequences were."""

    async def take(self, client):
        self.state = await client(functions.updates.GetStateRequest())
        dialogs = [d async for d in client.iter_dialogs()]
        self.channels = {d.entity.id: (d.input_entity, d.dialog.pts) for d in dialogs
                         if d.dialog.pts}

    async def ask(self, client, picture):
        behind = await self.ask_account(client, picture)
        for channel_id in sorted(behind):
            await self.ask_channel(client, picture, *self.channels[channel_id])

    async def ask_account(self, client, picture):
        """@return ids of the channels in which something has happened"""
        pts, behind = self.state.pts, set()
        while True:
            d = await client(functions.updates.GetDifferenceRequest(pts, self.state.date, 0))
            if isinstance(d, types.updates.DifferenceEmpty):
                return behind
            picture.told(d)
            behind |= {u.channel_id for u in d.other_updates
                       if isinstance(u, types.UpdateChannelTooLong)}
            if isinstance(d, types.updates.Difference):
                return behind
            pts = d.intermediate_state.pts

    async def ask_channel(self, client, picture, channel, pts):
        final = False
        while not final:
            d = await client(functions.updates.GetChannelDifferenceRequest(
                channel, types.ChannelMessagesFilterEmpty(), pts, 20))
            final, pts = d.final, d.pts
            if isinstance(d, types.updates.ChannelDifference):
                picture.told(d)


async def word():
    print('ok', flush=True)
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return line.strip()


async def main(args):
    with open(args.datacenter, encoding='utf-8') as file:
        told = json.load(file)
    home = next(d for d in told['dcs'] if d['id'] == told['main_dc'])
    account = next(a for a in told['accounts'] if a['phone'] == args.phone)
    rsa.add_key(told['public_key'], old=False)
    session = MemorySession()
    session.set_dc(home['id'], home['host'], home['port'])
    picture, since = Picture(), Since()
    client = client_of(session, picture, False)
    with contextlib.redirect_stdout(sys.stderr):  # it greets
        await client.start(phone=lambda: args.phone, code_callback=lambda: account['code'])
    async for dialog in client.iter_dialogs():
        async for message in client.iter_messages(dialog.entity):
            picture.put(message)
    picture.counts.clear()
    line = await word()
    while line != 'end':
        if line == 'quiet':
            await picture.quiet()
        elif line == 'away':
            await since.take(client)
            await client.disconnect()
        elif line == 'ask':
            await since.ask(client, picture)
        elif line == 'back':
            client = client_of(session, picture, True)
            await client.connect()
        else:
            raise ValueError(line)
        line = await word()
    await client.disconnect()
    with open(args.out, 'w', encoding='utf-8') as file:
        json.dump({'chats': picture.chats, 'counts': picture.counts, 'told': picture.told_of},
                  file)


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    for name in ('datacenter', 'phone', 'out'):
        parser.add_argument('--' + name, required=True)
    asyncio.run(main(parser.parse_args()))
