#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tgdata delta`: what has changed since the last run, at the cost of a difference as long as the
server has one, and of a history that is compared after that."""
import collections
import math
import sqlite3
import time

import change_model
from kit import main, start, tgdata, wait_for
from live_kit import PAGE, SLICE, LiveCase, NdjsonOut, SqliteOut

KINDS = ("new", "edited", "reactions", "deleted")


class Delta(LiveCase):
    def since(self, n_before):
        """The changes behind the first n, of the chats that are watched."""
        chats = set(self.sim.watchable())
        return [c for c in change_model.Truth(self.sim).changes()[n_before:] if c.chat in chats]

    def happen(self, n):
        before = self.sim.n_changes()
        self.sim.burst(n)
        return self.since(before)

    def test_first_all_then_nothing_then_what_changed(self):
        self.world("0/burst=300,mass=3")
        out = NdjsonOut(self.dir)
        first = self.delta(out)
        chats = self.sim.watchable()
        there = [k for k, s in self.sim.truth().state(chats).items() if not s.gone]
        self.assertEqual(first["read"], len(there))
        self.assertEqual(first["changes_detected"], len(there))
        again = self.delta(out)
        self.assertEqual(again["changes_detected"], 0)
        self.assertEqual(again["requests"]["history"], 0)
        n_rows = len(out.rows())

        changes = self.happen(300)
        told = self.delta(out)
        rows = out.rows()[n_rows:]
        self.assertEqual(told["requests"]["history"], 0)
        self.assertEqual(told["read"], 0)
        self.assertEqual(told["changes_detected"], len(rows))
        self.check_costs(told, changes)
        self.check_kinds(told, changes, rows)
        state = self.check_is_world(out)
        self.check_is_read(state)
        self.verified()
        offline = tgdata("verify", "--offline", "--state", f"sqlite:{self.dir}/state.db", "--job",
                         "job")
        self.check_fails(offline, 4, "is a job of changes")

    def check_costs(self, told, changes):
        """At most changes/limit + 1 questions of each box."""
        boxes = collections.Counter(c.chat if c.chat < -10**12 else 0 for c in changes
                                    for _ in c.ids)
        most = sum(math.ceil(n / SLICE) + 1 for chat, n in boxes.items() if chat)
        quiet = len(self.sim.watchable()) - len([c for c in boxes if c])
        self.assertLessEqual(told["requests"]["channel_difference"], most + quiet)
        self.assertLessEqual(told["requests"]["difference"], math.ceil(boxes[0] / SLICE) + 2)

    def check_kinds(self, told, changes, rows):
        """A message that changed several times is told once or more, as it then was."""
        self.assertEqual({(r["chat_id"], r["id"]) for r in rows} - {
            (c.chat, i) for c in changes for i in c.ids}, set())
        for kind in KINDS:
            self.assertEqual(told[kind], sum(r.get("change") == kind for r in rows), kind)
        gone = {(c.chat, i) for c in changes if c.kind == "deleted" for i in c.ids}
        posted = {(c.chat, i) for c in changes if c.kind == "posted" for i in c.ids}
        told_gone = {(r["chat_id"], r["id"]) for r in rows if r["change"] == "deleted"}
        self.assertEqual(told_gone | posted, gone | posted)

    def test_too_long_ago(self):
        """New messages cost new/100, the others a history that is read again and confirmations."""
        self.world("0/burst=400,keep=20,early=1,mass=10,deletes=10,reach=0")
        out = SqliteOut(self.dir)
        self.delta(out)
        changes = self.happen(400)
        told = self.delta(out)
        self.check_is_world(out)
        chats = {c.chat for c in changes}
        top = {c["id"]: c["top_id"] for c in self.sim.world["chats"]}
        pages = sum(math.ceil(max([top[chat]] + [i for c in changes if c.chat == chat
                                                 for i in c.ids]) / PAGE) + 3 for chat in chats)
        print(f"{len(changes)} changes too long ago: {told['requests']}", flush=True)
        self.assertLessEqual(told["requests"]["history"], 2 * pages)
        gone = sum(len(c.ids) for c in changes if c.kind == "deleted")
        self.assertLessEqual(told["requests"]["confirm"], gone)
        self.verified()

    def test_killed_at_random_moments(self):
        self.world("0/burst=200,mass=5,deletes=10", "--latency-ms", "5")
        for out in SqliteOut(self.dir), NdjsonOut(self.dir):
            job = type(out).__name__
            kills, longest = 0, 0.6
            while kills < 8:
                self.sim.burst(200)
                process = start(*self.words("delta", out, "--progress", "none", job=job))
                self.running.append(process)
                time.sleep(self.random.uniform(0.02, longest))
                if process.poll() is None:
                    kills += 1
                else:
                    longest = max(0.05, longest * 0.8)  # it is faster here
                process.kill()
                process.wait()
            self.delta(out, job=job)
            self.check_is_world(out)
            self.verified(job)

    def test_what_is_remembered_is_lost(self):
        """It is found, and what the destination has is compared with the server's."""
        self.world("0/burst=200,mass=5,deletes=10")
        out = SqliteOut(self.dir)
        for how in ("DELETE FROM log WHERE kind = 'changes'",
                    "DELETE FROM doc WHERE kind NOT IN ('checkpoint', 'job')",
                    "UPDATE doc SET bytes = substr(bytes, 1, length(bytes) - 3) || x'000000' "
                    "WHERE kind NOT IN ('checkpoint', 'job')"):
            self.delta(out)
            self.sim.burst(200)
            with sqlite3.connect(self.dir / "state.db") as db:
                db.execute(how)
            db.close()
            self.delta(out)
            self.check_is_world(out)
            self.verified()

    def test_an_older_state_is_put_back(self):
        self.world("0/burst=200,mass=5,deletes=10")
        out = SqliteOut(self.dir)
        self.delta(out)
        old = (self.dir / "state.db").read_bytes()
        self.sim.burst(200)
        self.delta(out)
        self.sim.burst(200)
        for name in ("state.db-wal", "state.db-shm"):
            (self.dir / name).unlink(missing_ok=True)
        (self.dir / "state.db").write_bytes(old)
        self.delta(out)
        self.check_is_world(out)

    def test_one_at_a_time(self):
        self.world("0/burst=200")
        out = SqliteOut(self.dir)
        second = self.dir / "second.session"
        self.login(second)
        process = self.begin(out, "--history")
        self.assertTrue(wait_for(out.rows))
        first, self.session_file = self.session_file, second
        refused = self.delta(out, code=9)
        self.check_fails(refused, 9, "'job/job' is in use")
        self.session_file = first
        self.end(process)
        self.delta(out)

    def test_delta_and_stream_go_on_with_each_other(self):
        self.world("0/burst=200,mass=5")
        out = NdjsonOut(self.dir)
        self.delta(out)
        self.sim.burst(200)
        self.catch_up(out)
        self.sim.burst(200)
        told = self.delta(out)
        self.assertEqual(told["requests"]["history"], 0)
        self.check_is_world(out)

    def test_verify_finds_what_is_wrong(self):
        self.world("0/burst=200")
        out = SqliteOut(self.dir)
        self.delta(out)
        self.sim.burst(200)
        self.delta(out)
        self.verified()
        db = out.db()
        keys = db.execute("SELECT chat_id, id FROM messages WHERE content_hash IS NOT NULL AND "
                          "chat_id = (SELECT max(chat_id) FROM messages) LIMIT 3").fetchall()
        db.execute("DELETE FROM messages WHERE chat_id = ? AND id = ?", keys[0])
        db.execute("UPDATE messages SET content_hash = '0000' || substr(content_hash, 5) "
                   "WHERE chat_id = ? AND id = ?", keys[1])
        db.execute("UPDATE messages SET id = 1000000 WHERE chat_id = ? AND id = ?", keys[2])
        db.close()
        proof = self.verified(code=10)
        chat = next(c for c in proof["chats"] if c["chat_id"] == keys[0][0])
        self.assertEqual((chat["missing"], chat["stale"], chat["undeleted"]), (2, 1, 1))
        self.assertEqual([c["chat_id"] for c in proof["chats"] if not c["complete"]],
                         [keys[0][0]])


if __name__ == "__main__":
    main()
