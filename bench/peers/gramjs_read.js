#!/usr/bin/env node
// SPDX-License-Identifier: MIT
/*
 * gramjs_read.js - reads the newest N messages of a chat with GramJS and drops them
 *
 * Prints one JSON object: messages, and the wall and CPU seconds from the first request to the last
 * message, without start and login. waitTime is in milliseconds despite its documentation; 0 means
 * "choose", so the least is asked for.
 */
'use strict';
const path = require('path');
const { login } = require(path.join(__dirname, '../../tests/interop/gramjs_client.js'));

async function main() {
    const args = { transport: 'abridged' };
    for (let i = 2; i < process.argv.length; i += 2)
        args[process.argv[i].replace(/^--/, '')] = process.argv[i + 1];
    const client = await login(args);
    const chat = await client.getInputEntity(args.username);
    const wall = process.hrtime.bigint();
    const cpu = process.cpuUsage();
    let n = 0;
    // It takes a page shorter than asked for the last, so it is asked to go on below what it has.
    for (let before = -1, offsetId = 0; n > before && n < args.messages;) {
        before = n;
        const more = { limit: args.messages - n, offsetId, waitTime: 1e-9 };
        for await (const m of client.iterMessages(chat, more)) {
            offsetId = m.id;
            n++;
        }
    }
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
