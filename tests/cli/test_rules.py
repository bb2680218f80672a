#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows that rules set aside: each is kept once, with its reason and its row, before the commit that
passes it, however often runs and replays are killed; it is shown, written again, dropped."""
import collections
import os
import random
import signal
import time

import kit

SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "20"))
RULE = "validate?field=text&max-length=20&severity=quarantine&name=short"


def key(row):
    return row["chat_id"], row["id"]


def long(row):
    return len(row.get("text", "")) > 20


class Rules(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
        self.archive = self.top / "archive"
        if type(self).rows is None:
            done = kit.tgdata("extract", "--all", *self.account_args(self.session()), "--to",
                              f"ndjson:{self.archive}", "--state", f"sqlite:{self.top}/state.db")
            self.assertEqual(done.code, 0, done)
            type(self).rows = kit.rows(self.archive)
        self.state = ["--state", f"sqlite:{self.dir}/state.db"]

    def words(self, *stages, job="clean", more=()):
        return ["transform", f"ndjson:{self.archive}", "--to", f"ndjson:{self.dir}/{job}",
                *self.state, "--job", job, "--progress", "none",
                *[w for s in stages for w in ("--stage", s)], *more]

    def transform(self, *stages, job="clean", more=()):
        return kit.tgdata(*self.words(*stages, job=job, more=more))

    def letters(self, *words):
        done = kit.tgdata("dlq", "list", "--json", *self.state, *words)
        self.assertEqual(done.code, 0, done)
        return done.json()


class Quarantine(Rules):
    def test_kept_shown_written_again_and_dropped(self):
        broken = {key(r): r for r in self.rows if long(r)}
        self.assertGreater(len(broken), 10)
        done = self.transform(RULE, more=["--json"])
        self.assertEqual(done.code, 0, done)
        told = done.json()
        self.assertEqual((told["set_aside"], told["dropped"], told["refused"]),
                         (len(broken), 0, 0))
        self.assertEqual(told["rows"], len(self.rows) - len(broken))
        rule, = told["quality"]["rules"]
        self.assertEqual((rule["severity"], rule["broken"]), ("quarantine", len(broken)))
        self.assertFalse(any(long(r) for r in kit.rows(self.dir / "clean")))

        found = self.letters("--rule", "short")
        self.assertEqual(len(found), len(broken))
        for f in found:
            letter = f["letter"]
            self.assertEqual((letter["rule"], letter["reason"]),
                             ("short", "breaks the rule 'short'"))
            self.assertEqual(letter["row"], broken[key(letter["row"])])
        self.assertEqual(self.letters("--rule", "other"), [])
        shown = kit.tgdata("dlq", "list", *self.state)
        self.assertIn("breaks the rule 'short'", shown.out)

        done = kit.tgdata("dlq", "drop", found[0]["key"], *self.state)
        self.assertEqual(done.code, 0, done)
        done = kit.tgdata("dlq", "replay", *self.state, "--rule", "short", "--json")
        self.assertEqual((done.code, done.json()),
                         (0, {"replayed": len(broken) - 1, "refused": 0}), done)
        self.assertEqual(self.letters(), [])
        there = collections.Counter(map(key, kit.rows(self.dir / "clean")))
        self.assertEqual(there, collections.Counter(
            key(r) for r in self.rows if key(r) != key(found[0]["letter"]["row"])))

    def test_an_expression_that_fails_tells_why(self):
        done = self.transform("validate?expr=views > 3&severity=quarantine")
        if "lua5.4" not in kit.tgdata("version").out:
            self.skipTest("without Lua")
        self.assertEqual(done.code, 0, done)
        reasons = {f["letter"]["reason"] for f in self.letters() if "views" not in
                   f["letter"]["row"]}
        self.assertTrue(reasons and all("compare" in r for r in reasons), reasons)

    def killed(self, words, dice, n):
        """Runs it, killed at random moments so often, then to its end."""
        while n:
            process = kit.start(*words, stdout=-3, stderr=-3)
            time.sleep(dice.uniform(0, 0.4))
            if process.poll() is not None: # all was done
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            n -= 1
        done = kit.tgdata(*words)
        self.assertEqual(done.code, 0, done)

    def test_killed_at_random_moments(self):
        dice = random.Random(SEED)
        self.killed(self.words(RULE, "replies?severity=quarantine",
                               more=["--batch-size", 20, "--checkpoint-interval", 40]), dice,
                    KILLS // 2)
        broken = sorted(key(r) for r in self.rows if long(r))
        self.assertEqual(sorted(key(f["letter"]["row"]) for f in self.letters("--rule", "short")),
                         broken)
        aside = [key(f["letter"]["row"]) for f in self.letters()]
        there = [key(r) for r in kit.rows(self.dir / "clean")]
        self.assertEqual(sorted(aside + there), sorted(map(key, self.rows)), "each in one place")
        self.killed(["dlq", "replay", *self.state], dice, KILLS // 4)
        self.assertEqual(self.letters(), [])
        self.assertEqual(sorted(key(r) for r in kit.rows(self.dir / "clean")),
                         sorted(map(key, self.rows)))

    def test_changes_of_a_delta(self):
        """On several threads, and from one taker."""
        chat = collections.Counter(r["chat_id"] for r in self.rows).most_common(1)[0][0]
        done = kit.tgdata("delta", chat, *self.account_args(self.session()), "--to",
                          f"ndjson:{self.dir}/log", *self.state, "--job", "delta", "--batch-size",
                          10, "--progress", "none", "--json", "--stage", RULE)
        self.assertEqual(done.code, 0, done)
        rows = [r for r in self.rows if r["chat_id"] == chat]
        broken = {r["id"] for r in rows if long(r)}
        self.assertGreater(len(broken), 3)
        self.assertEqual(done.json()["set_aside"], len(broken))
        self.assertEqual({f["letter"]["row"]["id"] for f in self.letters()}, broken)
        self.assertEqual({r["id"] for r in kit.rows(self.dir / "log")},
                         {r["id"] for r in rows} - broken)


if __name__ == "__main__":
    kit.main()
