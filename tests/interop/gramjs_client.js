#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/*
 * gramjs_client.js - reads chats with GramJS and writes them in tgdata's rows
 *
 * A witness: everything below is GramJS's own doing (keys, transport, login, paging, decoding); this
 * file only names what it got as include/tgdata/row.h and docs/internals/rows.md say. Written from
 * those pages, not from our C code.
 *
 *     NODE_PATH=.deps/node/node_modules gramjs_client.js --datacenter FILE --transport full
 *         --phone N --out DIR [--chat ID]...
 *
 * OUT gets chats.json and one ID.ndjson per chat, oldest message first.
 */
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const bigInt = require('big-integer');
const { Api, TelegramClient, utils } = require('telegram');
const { Logger } = require('telegram/extensions');
const { ConnectionTCPAbridged, ConnectionTCPFull, ConnectionTCPObfuscated } =
    require('telegram/network');
const serverKeys = require('telegram/crypto/RSA')._serverKeys;
const { MemorySession } = require('telegram/sessions');

const TRANSPORTS = {
    full: ConnectionTCPFull,
    abridged: ConnectionTCPAbridged,
    obfuscated: ConnectionTCPObfuscated,
    'mtproxy-abridged': ConnectionTCPAbridged, // GramJS chooses its own when a proxy is set
};

// ---- names and values ----

const snake = (name) =>
    name.replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, (all, low, high, run) =>
        low ? `${low}_${high}` : `${run}_`).toLowerCase();

const isLong = (value) => bigInt.isInstance(value);
const number = (value) => (isLong(value) ? BigInt(value.toString()) : value);
const time = (s) => (s ? new Date(s * 1000).toISOString().replace('.000Z', 'Z') : undefined);
const base64 = (bytes) => Buffer.from(bytes).toString('base64');
const marked = (peer) => (peer ? BigInt(utils.getPeerId(peer)) : undefined);

/** JSON.stringify that writes BigInt as a number. */
function json(value) {
    if (typeof value === 'bigint') return value.toString();
    if (Array.isArray(value)) return `[${value.map(json).join(',')}]`;
    if (value && typeof value === 'object') {
        return `{${Object.keys(value).filter((k) => value[k] !== undefined)
            .map((k) => `${JSON.stringify(k)}:${json(value[k])}`).join(',')}}`;
    }
    return JSON.stringify(value);
}

/** The fields of an object under their names in the schema; GramJS makes them camelCase. */
function fieldsOf(object) {
    const out = {};
    for (const [key, value] of Object.entries(object.originalArgs || {})) {
        if (value === null || value === undefined || value === false) continue;
        if (key === 'flags' || key === 'flags2') continue;
        out[snake(key)] = plain(value);
    }
    return out;
}

function plain(value) {
    if (isLong(value)) return number(value);
    if (Buffer.isBuffer(value)) return base64(value);
    if (Array.isArray(value)) return value.map(plain);
    if (value && value.className) {
        const name = value.className.split('.').pop();
        return { _: name[0].toLowerCase() + name.slice(1), ...fieldsOf(value) };
    }
    return value;
}

/** None and false are not written, neither are empty texts and lists inside JSON. */
function tidy(value) {
    if (Array.isArray(value)) return value.map(tidy);
    if (!value || typeof value !== 'object') return value;
    const out = {};
    for (const [key, item] of Object.entries(value)) {
        const t = tidy(item);
        if (t === undefined || t === null || t === false || t === '') continue;
        if (typeof t === 'object' && Object.keys(t).length === 0) continue;
        out[key] = t;
    }
    return out;
}

// ---- parts of a row ----

const entity = (e) => ({ type: snake(e.className.slice('MessageEntity'.length)), ...fieldsOf(e) });

function reaction(r) {
    if (r instanceof Api.ReactionEmoji) return r.emoticon;
    if (r instanceof Api.ReactionCustomEmoji) return r.documentId.toString();
    return r instanceof Api.ReactionPaid ? 'paid' : null;
}

function username(peer) {
    if (peer.username) return peer.username;
    const other = (peer.usernames || []).find((u) => u.active);
    return other && other.username;
}

function putSender(row, m, account) {
    // GramJS sets fromId of messages that carry none (out, post, private chats): read what came.
    const args = m.originalArgs;
    const peer = args.peerId;
    if (args.fromId) row.sender_id = marked(args.fromId);
    else if (args.post) return;
    else if (peer instanceof Api.PeerUser) row.sender_id = args.out ? account : number(peer.userId);
    else if (peer instanceof Api.PeerChannel) row.sender_id = marked(peer);
    else return;
    const sender = m._entities.get(row.sender_id.toString());
    if (!sender) return;
    row.sender_name = sender instanceof Api.User
        ? [sender.firstName, sender.lastName].filter(Boolean).join(' ') : sender.title;
    row.sender_username = username(sender);
}

function putReply(row, m, forum) {
    const h = m.replyTo;
    const channel = m.peerId instanceof Api.PeerChannel;
    if (h instanceof Api.MessageReplyHeader) {
        row.reply_to_id = h.replyToMsgId;
        row.reply_to_chat_id = marked(h.replyToPeerId);
        let top = h.replyToTopId;
        if (!top && !h.replyToPeerId && channel) top = h.replyToMsgId;
        row.thread_id = top;
        if (top && h.forumTopic && forum) row.topic_id = top;
    }
    if (forum && !row.topic_id) {
        row.topic_id = 1;
        if (m.action instanceof Api.MessageActionTopicCreate)
            row.topic_id = row.thread_id = m.id;
    }
}

function putForward(row, m) {
    const h = m.originalArgs.fwdFrom;
    if (!h) return;
    row.forward_from_id = marked(h.fromId);
    row.forward_from_name = h.fromName;
    row.forward_message_id = h.channelPost;
    row.forward_date = time(h.date);
}

// ---- media ----

function putPhoto(row, media) {
    const { photo } = media;
    if (!(photo instanceof Api.Photo)) return;
    row.media_id = number(photo.id);
    let best = 0;
    for (const size of photo.sizes) {
        let bytes;
        if (size instanceof Api.PhotoSize) bytes = size.size;
        else if (size instanceof Api.PhotoSizeProgressive) bytes = size.sizes[size.sizes.length - 1];
        else if (size instanceof Api.PhotoCachedSize) bytes = size.bytes.length;
        else continue;
        if (size.w * size.h > best) {
            best = size.w * size.h;
            row.media_width = size.w;
            row.media_height = size.h;
            row.media_size = bytes;
        }
    }
}

function documentKind(media, find) {
    const video = find(Api.DocumentAttributeVideo);
    const audio = find(Api.DocumentAttributeAudio);
    if (find(Api.DocumentAttributeSticker)) return 'sticker';
    if (find(Api.DocumentAttributeCustomEmoji)) return 'custom_emoji';
    if (media.round || (video && video.roundMessage)) return 'round_video';
    if (find(Api.DocumentAttributeAnimated)) return 'animation';
    if (video || media.video) return 'video';
    if (media.voice || (audio && audio.voice)) return 'voice';
    return audio ? 'audio' : 'document';
}

function putDocument(row, media, extra) {
    const d = media.document;
    const known = d instanceof Api.Document;
    const find = (kind) => known && d.attributes.find((a) => a instanceof kind);
    const video = find(Api.DocumentAttributeVideo);
    const audio = find(Api.DocumentAttributeAudio);
    const box = video || find(Api.DocumentAttributeImageSize);
    const set = find(Api.DocumentAttributeSticker) || find(Api.DocumentAttributeCustomEmoji);
    const name = find(Api.DocumentAttributeFilename);
    if (known) {
        row.media_id = number(d.id);
        row.media_size = number(d.size);
        row.media_mime = d.mimeType;
    }
    row.media_kind = documentKind(media, find);
    if (box && box.w && box.h) {
        row.media_width = box.w;
        row.media_height = box.h;
    }
    if (video || audio) row.media_duration = Math.floor((video || audio).duration);
    if (name) row.media_name = name.fileName;
    if (audio) Object.assign(extra, { title: audio.title, performer: audio.performer });
    if (set) {
        extra.emoji = set.alt;
        extra.set_name = set.stickerset.shortName;
        extra.set_id = number(set.stickerset.id);
    }
}

function webPage(page) {
    if (page instanceof Api.WebPagePending) return { url: page.url, pending: true };
    if (!(page instanceof Api.WebPage)) return { url: page.url };
    return {
        url: page.url, type: page.type, site_name: page.siteName, title: page.title,
        description: page.description, author: page.author,
        photo_id: page.photo && number(page.photo.id),
        document_id: page.document && number(page.document.id),
    };
}

const richText = (t) => ({ text: t.text, entities: t.entities.map(entity) });

function poll({ poll: p, results }) {
    return {
        id: number(p.id),
        question: richText(p.question),
        answers: p.answers.map((a) => ({ ...richText(a.text), option: base64(a.option) })),
        quiz: p.quiz, multiple_choice: p.multipleChoice, public_voters: p.publicVoters,
        closed: p.closed, close_period: p.closePeriod, close_date: p.closeDate,
        total_voters: results.totalVoters, solution: results.solution,
        results: (results.results || []).map((r) => ({
            option: base64(r.option), voters: r.voters, correct: r.correct, chosen: r.chosen,
        })),
    };
}

function place(media) {
    const { geo } = media;
    const out = geo instanceof Api.GeoPoint
        ? { lat: geo.lat, long: geo.long, accuracy_radius: geo.accuracyRadius } : {};
    for (const key of ['heading', 'period', 'proximityNotificationRadius', 'title', 'address',
        'provider', 'venueId', 'venueType'])
        out[snake(key)] = media[key];
    return out;
}

function putMedia(row, media) {
    let extra = {};
    if (!media || media instanceof Api.MessageMediaEmpty) return;
    row.media_kind = snake(media.className.slice('MessageMedia'.length));
    if (media instanceof Api.MessageMediaPhoto) putPhoto(row, media);
    else if (media instanceof Api.MessageMediaDocument) putDocument(row, media, extra);
    else if (media instanceof Api.MessageMediaWebPage) extra = webPage(media.webpage);
    else if (media instanceof Api.MessageMediaPoll) extra = poll(media);
    else if (['geo', 'geo_live', 'venue'].includes(row.media_kind)) extra = place(media);
    else if (media instanceof Api.MessageMediaStory)
        extra = { chat_id: marked(media.peer), id: media.id };
    else if (media instanceof Api.MessageMediaGame) {
        const { id, shortName, title, description } = media.game;
        extra = { id: number(id), short_name: shortName, title, description };
    } else extra = fieldsOf(media);
    if (row.media_kind === 'photo' || media instanceof Api.MessageMediaDocument) {
        extra.expired = row.media_id === undefined;
        extra.spoiler = media.spoiler;
        extra.ttl_s = media.ttlSeconds;
    }
    row.media = extra;
}

// ---- a row ----

function toRow(m, chat) {
    const service = m.className === 'MessageService';
    const channel = m.peerId instanceof Api.PeerChannel;
    const args = m.originalArgs;
    const row = {
        chat_id: marked(m.peerId), id: m.id, kind: service ? 'service' : 'message',
        date: time(m.date), outgoing: args.out, post: args.post, silent: args.silent,
        ttl_s: args.ttlPeriod, pinned: args.pinned, protected: chat.protected || args.noforwards,
    };
    let actionData;
    putSender(row, m, chat.account);
    putReply(row, m, chat.forum);
    if (args.reactions) {
        row.reactions = args.reactions.results.map((r) =>
            ({ reaction: reaction(r.reaction), count: r.count }));
    }
    if (service) {
        row.action = snake(m.action.className.slice('MessageAction'.length));
        actionData = fieldsOf(m.action);
        if (!Object.keys(actionData).length) actionData = undefined;
    } else {
        row.edit_date = time(args.editDate);
        row.text = args.message;
        row.views = args.views;
        row.forwards = args.forwards;
        row.replies = args.replies && args.replies.replies;
        row.entities = (args.entities || []).map(entity);
        row.album_id = number(args.groupedId);
        row.via_bot_id = number(args.viaBotId);
        row.post_author = args.postAuthor;
        putForward(row, m);
        putMedia(row, args.media);
    }
    return { ...tidy(row), action_data: actionData, owner: channel ? 0 : chat.account };
}

// ---- reading ----

function parseArguments(argv) {
    const out = { transport: 'full', chat: [] };
    for (let i = 0; i < argv.length; i += 2) {
        const key = argv[i].replace(/^--/, '');
        if (key === 'chat') out.chat.push(argv[i + 1]);
        else out[key] = argv[i + 1];
    }
    return out;
}

/** As RSA.js holds its own keys: by signed 64-bit fingerprint, with modulus and exponent. */
function addKey(pem) {
    const jwk = crypto.createPublicKey(pem).export({ format: 'jwk' });
    const n = Buffer.from(jwk.n, 'base64url');
    const e = Buffer.from(jwk.e, 'base64url');
    // TL strings: n of 256 bytes has a long length, e of 3 bytes a short one
    const tl = Buffer.concat([Buffer.from([254, 0, 1, 0]), n, Buffer.from([3]), e]);
    const fingerprint = crypto.createHash('sha1').update(tl).digest().readBigInt64LE(12);
    serverKeys.set(fingerprint.toString(), {
        n: bigInt(n.toString('hex'), 16), e: Number(`0x${e.toString('hex')}`),
    });
}

async function login(args) {
    const dc = JSON.parse(fs.readFileSync(args.datacenter, 'utf8'));
    const main = dc.dcs.find((d) => d.id === dc.main_dc);
    const session = new MemorySession();
    addKey(dc.public_key);
    session.setDC(main.id, main.host, main.port);
    // GramJS dials port 80 whatever the session says
    class Local extends TRANSPORTS[args.transport] {
        constructor(options) {
            super({ ...options, ip: main.host, port: main.port });
        }
    }
    const proxy = args.secret
        ? { ip: main.host, port: main.port, secret: args.secret, MTProxy: true } : undefined;
    const client = new TelegramClient(session, 1, 'h'.repeat(32), {
        connection: Local, proxy, connectionRetries: 3, floodSleepThreshold: 60,
        baseLogger: new Logger('error'),
    });
    const account = dc.accounts.find((a) => a.phone === args.phone);
    await client.start({
        phoneNumber: async () => account.phone,
        phoneCode: async () => account.code,
        password: async () => account.password,
        onError: (error) => { throw error; },
    });
    return client;
}

/** Newest first. GramJS takes a page shorter than asked for the last, which servers do not promise:
 *  so it is asked to go on below what it has until it finds nothing. */
async function history(client, peer) {
    const all = [];
    for (let before = -1; all.length > before;) {
        const offsetId = all.length ? all[all.length - 1].id : 0;
        before = all.length;
        for await (const m of client.iterMessages(peer, { offsetId })) all.push(m);
    }
    return all;
}

async function main() {
    const args = parseArguments(process.argv.slice(2));
    const client = await login(args);
    const account = number((await client.getMe()).id);
    const dialogs = await client.getDialogs({});
    fs.mkdirSync(args.out, { recursive: true });
    fs.writeFileSync(path.join(args.out, 'chats.json'), json(dialogs.map((d) => ({
        id: number(d.id), title: d.title, username: username(d.entity),
    }))));
    for (const d of dialogs) {
        const id = d.id.toString();
        if (args.chat.length && !args.chat.includes(id)) continue;
        const chat = { account, forum: !!d.entity.forum, protected: !!d.entity.noforwards };
        const rows = (await history(client, d.inputEntity)).map((m) => json(toRow(m, chat)));
        fs.writeFileSync(path.join(args.out, `${id}.ndjson`), rows.reverse().join('\n') + '\n');
    }
    await client.destroy();
    process.exit(0); // its update loop has a timer left
}

module.exports = { login };

if (require.main === module) {
    main().catch((error) => {
        console.error(error);
        process.exit(1);
    });
}
