#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
telethon_client.py - reads chats with Telethon and writes them in tgdata's rows

A witness: everything below is Telethon's own doing (keys, transport, login, paging, decoding); this
file only names what it got as include/tgdata/row.h and docs/internals/rows.md say. Written from
those pages, not from our C code.

    telethon_client.py --datacenter FILE --transport full --phone N --out DIR [--chat ID]...

OUT gets session (a StringSession), chats.json and one ID.ndjson per chat, oldest message first.
"""
import argparse
import asyncio
import base64
import datetime
import hashlib
import json
import os
import re

from telethon import TelegramClient, connection, functions, types, utils
from telethon.crypto import rsa
from telethon.sessions import StringSession
from telethon.tl.custom.message import Message

TRANSPORTS = {
    'full': connection.ConnectionTcpFull,
    'abridged': connection.ConnectionTcpAbridged,
    'intermediate': connection.ConnectionTcpIntermediate,
    'obfuscated': connection.ConnectionTcpObfuscated,
    'mtproxy-abridged': connection.ConnectionTcpMTProxyAbridged,
    'mtproxy-intermediate': connection.ConnectionTcpMTProxyIntermediate,
    'mtproxy-padded': connection.ConnectionTcpMTProxyRandomizedIntermediate,
}


def snake(name):
    """ChatAddUser -> chat_add_user, SetMessagesTTL -> set_messages_ttl"""
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()


def seconds(value):
    """Telethon turns times into datetime objects; 0 becomes None, as a TL int it was 0."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    return value


def iso(value):
    return value.strftime('%Y-%m-%dT%H:%M:%SZ')


def plain(value):
    """An object as JSON with the names of the schema: Telethon capitalises constructors."""
    if hasattr(value, 'to_dict'):
        out = {'_': schema_name(type(value))}
        for key, item in members(value):
            if item is not None and item is not False:
                out[key] = plain(item)
        return out
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return seconds(value)


def members(value):
    """to_dict, but one level deep: nested objects stay objects."""
    return [(key, getattr(value, key)) for key in value.to_dict() if key != '_']


def schema_name(cls):
    name = cls.__name__
    return name[0].lower() + name[1:]


def fields_of(value):
    """What tgdata writes for an action or media without a form of its own: its fields, no name."""
    out = plain(value)
    del out['_']
    return out


def peer_id(peer):
    return utils.get_peer_id(peer) if peer is not None else None


# ---- parts of a row ----

def entity(e):
    out = {'type': snake(type(e).__name__[len('MessageEntity'):])}
    for key, value in members(e):
        if value is not None and value is not False:
            out[key] = seconds(value)
    return out


def reaction(r):
    if isinstance(r, types.ReactionEmoji):
        return r.emoticon
    if isinstance(r, types.ReactionCustomEmoji):
        return str(r.document_id)
    return 'paid' if isinstance(r, types.ReactionPaid) else None


def put_sender(row, m, account):
    peer = m.peer_id
    if m.from_id:
        row['sender_id'] = peer_id(m.from_id)
    elif m.post:
        return
    elif isinstance(peer, types.PeerUser):
        row['sender_id'] = account if m.out else peer.user_id
    elif isinstance(peer, types.PeerChannel):
        row['sender_id'] = peer_id(peer)
    else:
        return
    # Message.sender falls back to the session's cache and to the chat; only whom the reply itself
    # describes has a name in a row, so look into the reply.
    sender = m._entities_of_reply.get(row['sender_id'])
    if sender is None:
        return
    if isinstance(sender, types.User):
        name = ' '.join(part for part in (sender.first_name, sender.last_name) if part)
    else:
        name = sender.title
    row['sender_name'] = name or None
    row['sender_username'] = username(sender)


def username(peer):
    plain_name = getattr(peer, 'username', None)
    if plain_name:
        return plain_name
    for other in getattr(peer, 'usernames', None) or []:
        if other.active:
            return other.username
    return None


def put_reply(row, m, forum):
    h = getattr(m, 'reply_to', None)
    action = getattr(m, 'action', None)
    here = isinstance(m.peer_id, types.PeerChannel)
    if isinstance(h, types.MessageReplyHeader):
        row['reply_to_id'] = h.reply_to_msg_id
        row['reply_to_chat_id'] = peer_id(h.reply_to_peer_id)
        top = h.reply_to_top_id
        if not top and not h.reply_to_peer_id and here:
            top = h.reply_to_msg_id
        row['thread_id'] = top
        if top and h.forum_topic and forum:
            row['topic_id'] = top
    if forum and 'topic_id' not in row:
        if isinstance(action, types.MessageActionTopicCreate):
            row['topic_id'] = row['thread_id'] = m.id
        else:
            row['topic_id'] = 1


def put_forward(row, m):
    h = getattr(m, 'fwd_from', None)
    if h is None:
        return
    row['forward_from_id'] = peer_id(h.from_id)
    row['forward_from_name'] = h.from_name
    row['forward_message_id'] = h.channel_post
    row['forward_date'] = iso(h.date)


# ---- media ----

def put_photo(row, media):
    photo = media.photo
    if not isinstance(photo, types.Photo):
        return
    row['media_id'] = photo.id
    best = None
    for size in photo.sizes:
        if isinstance(size, types.PhotoSize):
            one = (size.w * size.h, size.w, size.h, size.size)
        elif isinstance(size, types.PhotoSizeProgressive):
            one = (size.w * size.h, size.w, size.h, size.sizes[-1])
        elif isinstance(size, types.PhotoCachedSize):
            one = (size.w * size.h, size.w, size.h, len(size.bytes))
        else:
            continue
        if best is None or one[0] > best[0]:
            best = one
    if best:
        row['media_width'], row['media_height'], row['media_size'] = best[1:]


def put_document(row, media, extra):
    has = {}
    d = media.document
    if isinstance(d, types.Document):
        row.update(media_id=d.id, media_size=d.size, media_mime=d.mime_type)
        has = {type(a): a for a in d.attributes}
    sticker = has.get(types.DocumentAttributeSticker)
    emoji = has.get(types.DocumentAttributeCustomEmoji)
    video = has.get(types.DocumentAttributeVideo)
    audio = has.get(types.DocumentAttributeAudio)
    image = has.get(types.DocumentAttributeImageSize)
    if sticker:
        kind = 'sticker'
    elif emoji:
        kind = 'custom_emoji'
    elif media.round or video and video.round_message:
        kind = 'round_video'
    elif types.DocumentAttributeAnimated in has:
        kind = 'animation'
    elif video or media.video:
        kind = 'video'
    elif media.voice or audio and audio.voice:
        kind = 'voice'
    else:
        kind = 'audio' if audio else 'document'
    row['media_kind'] = kind
    box = video or image
    if box and box.w and box.h:
        row['media_width'], row['media_height'] = box.w, box.h
    timed = video or audio
    if timed:
        row['media_duration'] = int(timed.duration)
    name = has.get(types.DocumentAttributeFilename)
    row['media_name'] = name.file_name if name else None
    extra['title'] = audio and audio.title
    extra['performer'] = audio and audio.performer
    with_set = sticker or emoji
    if with_set:
        extra['emoji'] = with_set.alt
        extra['set_name'] = getattr(with_set.stickerset, 'short_name', None)
        extra['set_id'] = getattr(with_set.stickerset, 'id', None)


def web_page(media):
    page = media.webpage
    out = {'url': getattr(page, 'url', None)}
    if isinstance(page, types.WebPagePending):
        out['pending'] = True
    elif isinstance(page, types.WebPage):
        for key in ('type', 'site_name', 'title', 'description', 'author'):
            out[key] = getattr(page, key)
        out['photo_id'] = page.photo.id if page.photo else None
        out['document_id'] = page.document.id if page.document else None
    return out


def rich_text(text):
    """A text with entities; up to layer 178 polls had plain strings."""
    if isinstance(text, str):
        return {'text': text}
    return {'text': text.text, 'entities': [entity(e) for e in text.entities]}


def poll(media):
    p, results = media.poll, media.results
    out = {
        'id': p.id,
        'question': rich_text(p.question),
        'answers': [dict(rich_text(a.text), option=base64.b64encode(a.option).decode())
                    for a in p.answers],
        'close_period': p.close_period,
        'close_date': seconds(p.close_date),
        'total_voters': results.total_voters,
        'solution': results.solution,
        'results': [{
            'option': base64.b64encode(r.option).decode(), 'voters': r.voters,
            'correct': r.correct, 'chosen': r.chosen,
        } for r in results.results or []],
    }
    for key in ('quiz', 'multiple_choice', 'public_voters', 'closed'):
        out[key] = getattr(p, key)
    return out


def place(media):
    out = {}
    if isinstance(media.geo, types.GeoPoint):
        out.update(lat=media.geo.lat, long=media.geo.long,
                   accuracy_radius=media.geo.accuracy_radius)
    for key in ('heading', 'period', 'proximity_notification_radius', 'title', 'address',
                'provider', 'venue_id', 'venue_type'):
        out[key] = getattr(media, key, None)
    return out


def put_media(row, media):
    extra = {}
    if media is None or isinstance(media, types.MessageMediaEmpty):
        return
    row['media_kind'] = snake(type(media).__name__[len('MessageMedia'):])
    if isinstance(media, types.MessageMediaPhoto):
        put_photo(row, media)
    elif isinstance(media, types.MessageMediaDocument):
        put_document(row, media, extra)
    elif isinstance(media, types.MessageMediaWebPage):
        extra = web_page(media)
    elif isinstance(media, types.MessageMediaPoll):
        extra = poll(media)
    elif isinstance(media, (types.MessageMediaGeo, types.MessageMediaGeoLive,
                            types.MessageMediaVenue)):
        extra = place(media)
    elif isinstance(media, types.MessageMediaStory):
        extra = {'chat_id': peer_id(media.peer), 'id': media.id}
    elif isinstance(media, types.MessageMediaGame):
        extra = {key: getattr(media.game, key)
                 for key in ('id', 'short_name', 'title', 'description')}
    else:
        extra = fields_of(media)
    if isinstance(media, (types.MessageMediaPhoto, types.MessageMediaDocument)):
        extra['expired'] = 'media_id' not in row
        extra['spoiler'] = media.spoiler
        extra['ttl_s'] = media.ttl_seconds
    row['media'] = extra


# ---- a row ----

def is_absent(value):
    """None and false are not written, neither are empty texts and lists inside JSON."""
    return value is None or value is False or value == '' or value == [] or value == {}


def tidy(value):
    if isinstance(value, dict):
        return {k: tidy(v) for k, v in value.items() if not is_absent(tidy(v))}
    return [tidy(v) for v in value] if isinstance(value, list) else value


def to_row(m, chat):
    service = isinstance(m, types.MessageService)
    channel = isinstance(m.peer_id, types.PeerChannel)
    row = {
        'chat_id': peer_id(m.peer_id),
        'id': m.id,
        'owner': 0 if channel else chat['account'],
        'kind': 'service' if service else 'message',
        'date': iso(m.date),
        'outgoing': m.out, 'post': m.post, 'silent': m.silent,
        'ttl_s': m.ttl_period,
        'pinned': getattr(m, 'pinned', None),
        'protected': chat['protected'] or getattr(m, 'noforwards', None),
    }
    put_sender(row, m, chat['account'])
    put_reply(row, m, chat['forum'])
    if getattr(m, 'reactions', None):
        row['reactions'] = [{'reaction': reaction(r.reaction), 'count': r.count}
                            for r in m.reactions.results]
    if service:
        row['action'] = snake(type(m.action).__name__[len('MessageAction'):])
        row['action_data'] = fields_of(m.action)
    else:
        row.update(
            edit_date=m.edit_date and iso(m.edit_date), text=m.message, views=m.views,
            forwards=m.forwards, replies=m.replies and m.replies.replies,
            entities=[entity(e) for e in m.entities or []], album_id=m.grouped_id,
            via_bot_id=m.via_bot_id, post_author=m.post_author)
        put_forward(row, m)
        put_media(row, m.media)
    # A list may be empty inside action_data and other media, where all fields are shown.
    keep = {k: row[k] for k in ('action_data',) if row.get(k)}
    return {**tidy(row), **keep, 'owner': row['owner']}


# ---- reading ----

finish_init = Message._finish_init


def remember_peers(self, client, entities, input_chat):
    """Called for each message with the users and chats of the reply it came in."""
    self._entities_of_reply = entities
    finish_init(self, client, entities, input_chat)


Message._finish_init = remember_peers


async def login(args):
    with open(args.datacenter, encoding='utf-8') as file:
        dc = json.load(file)
    rsa.add_key(dc['public_key'], old=False)
    main = next(d for d in dc['dcs'] if d['id'] == dc['main_dc'])
    session = StringSession(args.session)
    if not args.session:
        session.set_dc(main['id'], main['host'], main['port'])
    proxy = (main['host'], main['port'], args.secret) if args.secret else None
    client = TelegramClient(session, 1, 'h' * 32, connection=TRANSPORTS[args.transport],
                            proxy=proxy, receive_updates=False, flood_sleep_threshold=60)
    if args.session:
        await client.connect()
        assert await client.is_user_authorized(), 'the session string is not logged in'
    else:
        account = next(a for a in dc['accounts'] if a.get('phone') == args.phone)
        await client.start(phone=account['phone'], code_callback=lambda: account['code'],
                           password=account.get('password') or (lambda: None))
    return client


async def history(client, entity):
    """All messages, oldest first, by Telethon's own paging.

    Read newest first: with reverse=True Telethon relies on what a server does when a page begins
    before the newest message, which no document tells, and stops early where it is moved back.
    """
    out = [m async for m in client.iter_messages(entity, wait_time=0)]
    out.reverse()
    return out


async def comments(client, entity, channel, group):
    """The comments on each post that has some, as rows of the group, by iter_messages(reply_to)."""
    out = []
    for post in await history(client, entity):
        if not post.replies or not post.replies.comments or not post.replies.replies:
            continue
        found = [m async for m in client.iter_messages(entity, reply_to=post.id, wait_time=0)]
        found.reverse()
        out += [to_row(m, group) | {'comment_of_chat_id': channel, 'comment_of_id': post.id}
                for m in found]
    return out


async def add_file(client, row, m):
    """The SHA-256 of the file, as Telethon's download_media fetches it."""
    if isinstance(m.media, (types.MessageMediaPhoto, types.MessageMediaDocument)):
        row['media_sha256'] = hashlib.sha256(await client.download_media(m, bytes)).hexdigest()


async def read_takeout(client, entity):
    async with client.takeout(chats=True, megagroups=True, channels=True, users=True) as takeout:
        return await history(takeout, entity)


async def main():
    arg = argparse.ArgumentParser()
    arg.add_argument('--datacenter', required=True)
    arg.add_argument('--transport', choices=TRANSPORTS, default='full')
    arg.add_argument('--secret', help='of the MTProto proxy, hex')
    arg.add_argument('--phone')
    arg.add_argument('--session', help='a session string instead of a login')
    arg.add_argument('--chat', type=int, action='append', help='marked id; default all dialogs')
    arg.add_argument('--takeout', action='store_true')
    arg.add_argument('--comments', action='store_true', help='on posts, instead of the posts')
    arg.add_argument('--files', action='store_true', help='fetch files, and tell their SHA-256')
    arg.add_argument('--out', required=True)
    args = arg.parse_args()
    os.makedirs(args.out, exist_ok=True)

    client = await login(args)
    account = (await client.get_me()).id
    dialogs = [d async for d in client.iter_dialogs()]
    with open(os.path.join(args.out, 'session'), 'w', encoding='utf-8') as file:
        file.write(StringSession.save(client.session))
    with open(os.path.join(args.out, 'chats.json'), 'w', encoding='utf-8') as file:
        json.dump([{'id': d.id, 'title': d.name, 'username': username(d.entity)}
                   for d in dialogs], file)
    for d in dialogs:
        if args.chat is not None and d.id not in args.chat:
            continue
        chat = {'account': account, 'forum': bool(getattr(d.entity, 'forum', False)),
                'protected': bool(getattr(d.entity, 'noforwards', False))}
        if args.comments:
            with open(os.path.join(args.out, 'comments.ndjson'), 'a', encoding='utf-8') as file:
                for row in await comments(client, d.input_entity, d.id, chat):
                    file.write(json.dumps(row, ensure_ascii=False) + '\n')
            continue
        read = read_takeout if args.takeout else history
        with open(os.path.join(args.out, f'{d.id}.ndjson'), 'w', encoding='utf-8') as file:
            for m in await read(client, d.input_entity):
                row = to_row(m, chat)
                if args.files:
                    await add_file(client, row, m)
                file.write(json.dumps(row, ensure_ascii=False) + '\n')
    await client.disconnect()


if __name__ == '__main__':
    asyncio.run(main())
