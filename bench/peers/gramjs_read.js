#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/*
 * gramjs_read.js - reads the newest N messages of a chat with GramJS
 *
 * It drops them, or with --out writes each as a JSON line of the fields that most scripts keep.
 * Prints one JSON object: messages, and the wall and CPU seconds from the first request to the last
 * message, without start and login. waitTime is in milliseconds despite its documentation; 0 means
 * "choose", so the least is asked for.
 */
'use strict';
const fs = require('fs');
const path = require('path');
const { login } = require(path.join(__dirname, '../../tests/interop/gramjs_client.js'));

const WRITE_AT = 1 << 20;

function iso(seconds) {
    return new Date(seconds * 1000).toISOString();
}

function putMedia(row, media) {
    row.media_kind = media.className;
    if (media.photo && media.photo.id) {
        row.media_id = media.photo.id.toString();
    } else if (media.document && media.document.id) {
        row.media_id = media.document.id.toString();
        row.media_mime = media.document.mimeType;
        row.media_size = media.document.size.toString();
        for (const a of media.document.attributes) {
            if (a.className === 'DocumentAttributeFilename') {
                row.media_name = a.fileName;
            } else if (a.className === 'DocumentAttributeVideo') {
                row.media_width = a.w;
                row.media_height = a.h;
                row.media_duration = a.duration;
            }
        }
    } else if (media.webpage && media.webpage.url) {
        const { url, title, description } = media.webpage;
        row.media = { url, title, description };
    }
}

function rowOf(m) {
    const row = { chat_id: m.chatId && m.chatId.toString(), id: m.id, date: iso(m.date),
        sender_id: m.senderId && m.senderId.toString() };
    if (m.sender) {
        row.sender_name = m.sender.title ||
            [m.sender.firstName, m.sender.lastName].filter(Boolean).join(' ');
        row.sender_username = m.sender.username;
    }
    if (m.action) {
        row.action = m.action.className;
        return row;
    }
    row.text = m.message;
    if (m.editDate)
        row.edit_date = iso(m.editDate);
    if (m.entities)
        row.entities = m.entities.map((e) => ({ type: e.className, offset: e.offset,
            length: e.length }));
    if (m.replyTo) {
        row.reply_to_id = m.replyTo.replyToMsgId;
        row.thread_id = m.replyTo.replyToTopId;
    }
    if (m.fwdFrom) {
        row.forward_from_name = m.fwdFrom.fromName;
        row.forward_date = iso(m.fwdFrom.date);
    }
    if (m.groupedId)
        row.album_id = m.groupedId.toString();
    if (m.media)
        putMedia(row, m.media);
    row.views = m.views;
    row.forwards = m.forwards;
    if (m.replies)
        row.replies = m.replies.replies;
    if (m.reactions)
        row.reactions = m.reactions.results.map((r) => ({ reaction: r.reaction.emoticon,
            count: r.count }));
    return row;
}

async function main() {
    const args = { transport: 'abridged' };
    for (let i = 2; i < process.argv.length; i += 2)
        args[process.argv[i].replace(/^--/, '')] = process.argv[i + 1];
    const client = await login(args);
    const chat = await client.getInputEntity(args.username);
    const out = args.out ? fs.openSync(args.out, 'w') : null;
    const wall = process.hrtime.bigint();
    const cpu = process.cpuUsage();
    let lines = [], bytes = 0, n = 0;
    const flush = () => {
        if (lines.length)
            fs.writeSync(out, lines.join(''));
        lines = [];
        bytes = 0;
    };
    // It takes a page shorter than asked for the last, so it is asked to go on below what it has.
    for (let before = -1, offsetId = 0; n > before && n < args.messages;) {
        before = n;
        const more = { limit: args.messages - n, offsetId, waitTime: 1e-9 };
        for await (const m of client.iterMessages(chat, more)) {
            offsetId = m.id;
            n++;
            if (out === null)
                continue;
            lines.push(JSON.stringify(rowOf(m)) + '\n');
            bytes += lines[lines.length - 1].length;
            if (bytes >= WRITE_AT)
                flush();
        }
    }
    flush();
    const used = process.cpuUsage(cpu);
    console.log(JSON.stringify({
        messages: n, wall_s: Number(process.hrtime.bigint() - wall) / 1e9,
        cpu_s: (used.user + used.system) / 1e6, rss_kib: process.resourceUsage().maxRSS,
    }));
    process.exit(0);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
