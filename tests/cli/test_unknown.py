#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Objects that no schema knows, in every reply that leads to a history: what is readable is kept,
the object goes to quarantine, and whoever asked for just that is told in one line."""
import base64
import json
import sqlite3

import kit

CHANNEL_MARK = 1_000_000_000_000


def bare(chat_id):
    return -chat_id - CHANNEL_MARK if chat_id < -CHANNEL_MARK else abs(chat_id)


class Unknown(kit.Case):
    """The class's data centre knows everything; each test adds one that does not."""

    def setUp(self):
        super().setUp()
        self.whole = self.sim
        self.public = next(c for c in self.sim.world["chats"]
                           if c["username"] and c["kind"] == "channel")

    def tearDown(self):
        if self.sim is not self.whole:
            self.sim.stop()

    def begin(self, faults):
        self.sim = kit.Sim(self.dir / "dc", *self.sim_args, "--faults", faults)
        self.me = self.dir / "me"
        self.login(self.me)

    def session(self):
        return self.me

    def listed(self):
        done = kit.tgdata("chats", *self.account_args(), "--json")
        self.assertEqual(done.code, 0, done)
        return {c["id"]: c for c in done.json()}, done.err

    def extract(self, *chats):
        done = kit.tgdata(*self.extract_args(*chats, more=("--json",)))
        return done, done.json()

    def quarantine(self):
        """What is in quarantine: {chat: [document]}."""
        found = {}
        with sqlite3.connect(self.dir / "state.db") as db:
            for key, body in db.execute("select key, bytes from doc where kind = 'quarantine'"):
                found.setdefault(int(key.split("/")[1]), []).append(json.loads(body))
        return found

    def names(self):
        account = self.sim.account()
        return {c["id"] for c in self.sim.chats(account)}

    def check_set_aside(self, summary, chat_id, reason):
        """One object, told of in the summary too."""
        self.assertEqual(summary["quarantined"], 1)
        found = self.quarantine()
        self.assertEqual([*found], [chat_id])
        self.assertEqual(len(found[chat_id]), 1)
        record = found[chat_id][0]
        self.assertIsNone(record["id"])
        self.assertIn(reason, record["reason"])
        self.assertGreater(len(base64.b64decode(record["bytes"])), 20)

    def test_user(self):
        person = next(c for c in self.sim.chats(self.sim.account()) if c["kind"] == "private")
        self.begin(f"unknown-user={person['id']}")
        chats, err = self.listed()
        self.assertEqual(self.names() - set(chats), set())
        self.assertEqual((chats[person["id"]]["title"], chats[person["id"]]["kind"]), ("", "user"))
        self.assertIn("unknown constructor", err)
        done, summary = self.extract("@" + self.public["username"])
        self.assertEqual(done.code, 0, done)
        self.check_whole([self.public])
        self.assertLessEqual(summary["quarantined"], 1)

    def test_another_chat(self):
        other = next(c for c in self.sim.chats(self.sim.account())
                     if c["kind"] == "supergroup" and c["id"] != self.public["id"])
        self.begin(f"unknown-chat={bare(other['id'])}")
        chats, _ = self.listed()
        self.assertEqual(self.names() - set(chats), set())
        self.assertEqual(chats[other["id"]]["kind"], "unknown")
        self.assertEqual(chats[other["id"]]["title"], "")
        done, summary = self.extract("@" + self.public["username"])
        self.assertEqual(done.code, 0, done)
        self.check_whole([self.public])
        self.check_fails(kit.tgdata(*self.extract_args(other["id"], job="other")), 4,
                         "of a kind that this version does not know")
        done, summary = self.extract("--all")
        self.assertEqual(done.code, 4, done)
        self.assertIn(f"left out '{other['id']}'", done.err)
        self.check_whole([c for c in self.sim.chats(self.sim.account()) if c["id"] != other["id"]])

    def test_the_chat_itself(self):
        self.begin(f"unknown-chat={bare(self.public['id'])}")
        done = kit.tgdata(*self.extract_args("@" + self.public["username"]))
        self.check_fails(done, 4, self.public["username"],
                         "of a kind that this version does not know")
        self.assertEqual([*self.quarantine()], [0])

    def test_message(self):
        self.begin(f"unknown-message={self.public['top_id']}")
        chats, err = self.listed()
        self.assertEqual(self.names() - set(chats), set())
        self.assertIn("unknown constructor", err)
        done, summary = self.extract("@" + self.public["username"])
        self.assertEqual(done.code, 0, done)
        ids = [r["id"] for r in kit.rows(self.dir / "out")]
        self.assertEqual(ids, self.sim.ids(self.public["id"])[:-1])
        self.check_set_aside(summary, self.public["id"], "a message with an unknown constructor")
        told = kit.tgdata("extract", "@" + self.public["username"], *self.account_args(), "--to",
                          f"ndjson:{self.dir}/told", "--state", f"sqlite:{self.dir}/told.db")
        self.assertIn(", 1 quarantined", told.out, told)

    def test_what_the_chat_tells(self):
        self.begin(f"unknown-full={bare(self.public['id'])}")
        done, summary = self.extract("@" + self.public["username"])
        self.assertEqual(done.code, 0, done)
        self.assertIn("what the chat tells about itself cannot be read to its end", done.err)
        self.check_whole([self.public])
        self.check_set_aside(summary, self.public["id"], "in messages.chatFull.full_chat")

    def test_what_a_migrated_chat_tells(self):
        grown = next(c for c in self.sim.chats(self.sim.account()) if c["migrated_from"])
        self.begin(f"unknown-full={bare(grown['id'])}")
        self.listed()
        done, _ = self.extract(grown["id"])
        self.assertEqual(done.code, 0, done)
        self.check_whole([grown])


if __name__ == "__main__":
    kit.main()
