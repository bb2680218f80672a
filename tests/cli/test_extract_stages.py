#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stages between Telegram and the destination: what an extraction with them delivers is what a
transformation of a plain one does; what is read counts, for the cursor, for commits, for --limit;
runs that are killed end up where one that was not does, with what stages remember."""
import collections
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import time
import unittest

import kit
import test_comments
import test_fallback
from test_alerts import Receiver

SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "12"))
SHORT = "validate?field=text&max-length=400&severity=quarantine&name=short"
LUA = "lua5.4" in kit.tgdata("version").out


def key(row):
    return row["chat_id"], row["id"]


def long(row):
    return len(row.get("text", "")) > 400


def without_time(rows):
    return [{k: v for k, v in r.items() if k != "extracted_timestamp"} for r in rows]


class Stages(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
        self.archive = self.top / "archive"
        if type(self).rows is None:
            done = kit.tgdata("extract", "--all", *self.account_args(self.session()), "--to",
                              f"ndjson:{self.archive}", "--state", f"sqlite:{self.top}/state.db",
                              "--allow-protected")
            self.assertEqual(done.code, 0, done)
            type(self).rows = kit.rows(self.archive)
        self.me = self.session()
        self.state = ["--state", f"sqlite:{self.dir}/state.db"]

    def words(self, *stages, chats=("--all",), to=None, job="job", more=()):
        """@param stages: "NAME?..." for --stage, or ("--filter", ...)"""
        words = []
        for s in stages:
            words += [s] if s == "--enrich" else ["--stage", s] if isinstance(s, str) else s
        return self.extract_args(*chats, session=self.me, job=job,
                                 to=to or f"ndjson:{self.dir}/{job}",
                                 more=["--allow-protected", *words, *more])

    def extract(self, *stages, more=(), **how):
        return kit.tgdata(*self.words(*stages, more=["--json", *more], **how))

    def letters(self, *words):
        done = kit.tgdata("dlq", "list", "--json", *self.state, *words)
        self.assertEqual(done.code, 0, done)
        return done.json()

    def check_complete(self, job="job", code=0):
        proof = self.verify(self.me, job)
        self.assertEqual(proof.code, code, proof)
        return proof.json()["chats"]

    def biggest(self):
        return collections.Counter(r["chat_id"] for r in self.rows).most_common(1)[0][0]


class Rows(Stages):
    def test_as_a_transformation_of_a_plain_run(self):
        """Groups that have moved, private chats, channels: each stage, and all that is told."""
        stages = ["validate?field=sender_id&required", SHORT, "validate?field=text&max-length=120&"
                  "severity=drop", "filter?kind=message", "dedup?keys=chat_id,text",
                  "replies?severity=drop", "fields?drop=content_hash"]
        if LUA:
            stages += ["where?expr=id %25 7 > 0",
                       "lua?code=row.text = (row.text or ''):upper()"]
        stages += ["enrich", f"profile?to={self.dir}/p.json&html={self.dir}/p.html&"
                             f"expectations={self.dir}/e.json"]
        done = self.extract(*stages, more=["--batch-size", 70, "--checkpoint-interval", 150])
        self.assertEqual(done.code, 0, done)
        model = kit.tgdata("transform", f"ndjson:{self.archive}", "--to",
                           f"ndjson:{self.dir}/model", *self.state, "--job", "model", "--json",
                           "--progress", "none", *[w for s in stages for w in (
                               "--stage", s.replace("/p.", "/m."))])
        self.assertEqual(model.code, 0, model)
        wanted, found = kit.rows(self.dir / "model"), kit.rows(self.dir / "job")
        self.assertTrue(0 < len(wanted) < len(self.rows))
        self.assertEqual(without_time(found), without_time(wanted))
        self.assertTrue(all("extracted_timestamp" in r for r in found))
        a, b = done.json(), model.json()
        for name in "rows", "dropped", "set_aside", "failed":
            self.assertEqual(a[name], b[name], name)
        self.assertEqual(self.plain(a["quality"]), self.plain(b["quality"]))
        self.assertEqual({f["letter"]["row"]["id"] for f in self.letters("--job", "job")},
                         {f["letter"]["row"]["id"] for f in self.letters("--job", "model")})
        for chat in self.check_complete():
            self.assertEqual(chat["covered_to"], chat["server_top"])
        profile = json.loads((self.dir / "p.json").read_text("utf-8"))
        self.assertEqual((profile["rows"], profile["quality"]), (len(found), a["quality"]))
        self.assertIn("</html>", (self.dir / "p.html").read_text("utf-8"))
        self.assertIn("statistics", json.loads((self.dir / "e.json").read_text("utf-8")))

    def plain(self, quality):
        """But for examples: chats come in another order."""
        return quality | {"rules": [{k: v for k, v in r.items() if k != "examples"}
                                    for r in quality["rules"]]}

    @unittest.skipUnless(LUA, "without Lua")
    def test_filter_transform_enrich(self):
        done = self.extract(["--filter", "word_count > 2"], ["--transform", "row.text = nil"],
                            "--enrich")
        self.assertEqual(done.code, 0, done)
        found = kit.rows(self.dir / "job")
        self.assertEqual(sorted(map(key, found)), sorted(
            key(r) for r in self.rows if len(r.get("text", "").split()) > 2))
        self.assertFalse(any("text" in r for r in found))
        self.assertEqual(done.json()["dropped"], len(self.rows) - len(found))
        said = kit.tgdata(*self.words(["--filter", "word_count > 2"], "--enrich", job="said"))
        self.assertIn(f"{len(self.rows) - len(found):,} dropped", said.out)

    def test_all_dropped_moves_the_checkpoints(self):
        """What is read is covered: the next run has nothing to read, and verify knows."""
        done = self.extract("filter?min-id=100000000", more=["--checkpoint-interval", 100])
        self.assertEqual((done.code, done.json()["rows"]), (0, 0), done)
        self.assertEqual(done.json()["dropped"], len(self.rows))
        self.assertGreater(done.json()["checkpoints"], len(self.rows) / 200)
        self.check_complete()
        before = self.sim.stats()["messages"]
        done = self.extract("filter?min-id=100000000")
        self.assertEqual((done.code, done.json()["dropped"]), (0, 0), done)
        self.assertLess(self.sim.stats()["messages"] - before, 50)

    def test_severities(self):
        """A rule that ends the run: what came before is there; one that was mended is another."""
        chat = self.biggest()
        mine = [r for r in self.rows if r["chat_id"] == chat]
        first = next(i for i, r in enumerate(mine) if i > 30 and long(r))
        rule = f"validate?field=id&max={mine[first]['id'] - 1}&name=low&severity="
        done = self.extract(rule + "fail", chats=[chat], more=["--batch-size", 10])
        self.check_fails(done, 7, "breaks the rule 'low'", str(mine[first]["id"]))
        told = done.json()
        self.assertEqual(told["status"], "DATA")
        self.assertEqual(told["quality"]["rules"][0]["broken"], 1)
        found = kit.rows(self.dir / "job")
        self.assertEqual(found, mine[:len(found)])
        self.assertGreaterEqual(len(found), first // 10 * 10)
        done = self.extract(rule + "drop", chats=[chat])
        self.check_fails(done, 2, "started with another stage")
        for severity, kept in ("warn", mine), ("drop", mine[:first]):
            done = self.extract(rule + severity, chats=[chat], job=severity)
            self.assertEqual(done.code, 0, done)
            self.assertEqual(kit.rows(self.dir / severity), kept)
            self.assertEqual(done.json()["quality"]["rules"][0]["broken"], len(mine) - first)

    @unittest.skipUnless(LUA, "without Lua")
    def test_a_mistake_in_the_first_row_binds_nothing(self):
        done = self.extract("where?expr=viewz > 3&on-error=fail", chats=[self.biggest()])
        self.check_fails(done, 2, "there is no 'viewz'")
        done = self.extract("where?expr=(views or 0) > 3", chats=[self.biggest()])
        self.assertEqual(done.code, 0, done)

    def test_what_makes_no_sense_is_refused(self):
        self.check_fails(self.extract("decode"), 2, "has nothing to do here", "tgdata transform")
        self.check_fails(self.extract("filtre?kind=message"), 2, "there is no stage 'filtre'")
        self.check_fails(self.extract(*["dedup?keys=id"] * 9), 2, "8 at most")
        self.assertFalse((self.dir / "state.db").exists())

    def test_steps_belong_to_the_job(self):
        """By what is in a file of rules; where a profile goes is another matter."""
        rules = self.dir / "rules.yaml"
        chat, file = [self.biggest()], f"validate?rules={rules}"
        rules.write_text("rules: [{field: text, max_length: 20}]\n", encoding="utf-8")
        self.assertEqual(self.extract(file, f"profile?to={self.dir}/a", chats=chat).code, 0)
        for _ in range(2):
            done = self.extract(file, f"profile?to={self.dir}/b", chats=chat)
            self.assertEqual(done.code, 0, done)
        self.check_fails(self.extract(chats=chat), 2, "started with another stage")
        rules.write_text("rules: [{field: text, max_length: 21}]\n", encoding="utf-8")
        self.check_fails(self.extract(file, chats=chat), 2, "started with another stage")

    def test_several_destinations(self):
        """Each gets what is left; a row that was set aside is a letter of each."""
        chat = self.biggest()
        mine = [r for r in self.rows if r["chat_id"] == chat]
        done = self.extract(SHORT, chats=[chat], more=["--to", f"ndjson:{self.dir}/other"])
        self.assertEqual(done.code, 0, done)
        broken = [key(r) for r in mine if long(r)]
        self.assertEqual(done.json()["set_aside"], len(broken))
        for out in "job", "other":
            self.assertEqual(kit.rows(self.dir / out), [r for r in mine if not long(r)])
        self.assertEqual(collections.Counter(key(f["letter"]["row"]) for f in self.letters()),
                         {k: 2 for k in broken})
        self.check_complete()
        self.assertEqual(kit.tgdata("dlq", "replay", *self.state).code, 0)
        for out in "job", "other":
            self.assertEqual(sorted(kit.rows(self.dir / out), key=key), mine)
        self.check_complete()

    def test_a_limit_counts_what_was_read(self):
        chat = self.biggest()
        mine = [r for r in self.rows if r["chat_id"] == chat][:150]
        more = ["--limit", 150, "--batch-size", 20, "--checkpoint-interval", 40]
        for _ in range(2):
            done = self.extract("validate?field=text&max-length=400&severity=drop", chats=[chat],
                                more=more)
            self.assertEqual(done.code, 0, done)
            self.assertEqual(kit.rows(self.dir / "job"), [r for r in mine if not long(r)])

    def test_files_of_rows_that_stay(self):
        done = self.extract("filter?media=photo", "fields?keep=media_kind,media_path",
                            chats=[self.biggest()], more=[
                                "--media", self.dir / "files", "--media-types", "photo",
                                "--media-max-size", "100KiB", "--limit", 100])
        self.assertEqual(done.code, 0, done)
        found = kit.rows(self.dir / "job")
        self.assertTrue(found)
        there = [row for row in found if "media_path" in row]
        self.assertTrue(there)
        for row in there:
            self.assertTrue((self.dir / "files" / row["media_path"]).exists(), row)

    def test_drift_fires_an_alert(self):
        """A chat more than in the run before: its posts have no senders. No other threshold is
        needed."""
        by_chat = collections.Counter(r["chat_id"] for r in self.rows)
        sent = collections.Counter(r["chat_id"] for r in self.rows if "sender_id" in r)
        group = max(sent, key=sent.get)
        channel = max((c for c in by_chat if sent[c] < 0.2 * by_chat[c]), key=by_chat.get)
        hook = Receiver()
        self.addCleanup(hook.close)
        for chats in [group], [group, channel]:
            done = self.extract(f"profile?to={self.dir}/p.json", chats=chats,
                                more=["--alert-webhook", hook.url])
            if done.code == 4 and "this build" in done.err:
                self.skipTest("without an HTTP client")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(len(hook.told("profile_drift", "firing")), len(chats) - 1, done)
        self.assertIn("alert: profile_drift: ", done.err)
        self.assertIn("warning: other than in the run before: ", done.err)
        self.assertTrue(done.json()["quality"]["drift"]["fields"])

    def test_what_rules_find_is_counted(self):
        """Told while it runs, as of streams."""
        heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(heard.close)
        heard.bind(("127.0.0.1", 0))
        done = self.extract(SHORT, more=["--statsd", heard.getsockname()[1]])
        self.assertEqual(done.code, 0, done)
        heard.setblocking(False)
        told = collections.Counter()
        with contextlib.suppress(BlockingIOError):
            while True:
                for name, n in re.findall(r"(?m)^tgdata\.([\w.]+):(\d+)\|c",
                                          heard.recv(65536).decode()):
                    told[name.rpartition(".")[2]] += int(n)
        broken = sum(map(long, self.rows))
        names = "rows_judged_total", "rows_invalid_total", "rows_set_aside_total"
        self.assertEqual([told[n] for n in names],
                         [len(self.rows), broken, broken], told)


class Files(Stages):
    """Jobs of a configuration file."""

    def write(self, quality, jobs=""):
        file = self.dir / "etl.yaml"
        file.write_text(
            f"defaults: {{session: {self.me}, datacenter: {self.sim.file}, allow_protected: yes, "
            f"state: 'sqlite:{self.dir}/state.db'}}\n"
            f"jobs:\n  - {{name: job, chats: all, to: 'ndjson:{self.dir}/job'}}\n{jobs}{quality}",
            encoding="utf-8")
        return file

    def test_the_rules_of_the_design(self):
        """Pattern 7 of the ETL design: validate, profile, quarantine, enrich, deduplicate."""
        file = self.write(
            "quality:\n  severity: quarantine\n  validation_rules:\n"
            "    completeness: [id, date, sender_id]\n"
            "    format: {date: datetime, id: positive_integer}\n" +
            ("    business_rules: [\"date <= now\", \"len(text or '') < 401\"]\n" if LUA else
             "  rules: [{field: text, max_length: 400}]\n") +
            f"  profile: {{to: {self.dir}/p.json}}\n  enrich_metadata: yes\n"
            "  deduplicate: {keys: [id, content_hash]}\n")
        done = kit.tgdata("config", "check", file)
        self.assertEqual(done.code, 0, done)
        self.assertNotIn("no job here", done.err)
        self.assertIn("posts of channels have no sender_id", done.err)
        done = kit.tgdata("run", file, "--json", "--progress", "none")
        self.assertEqual(done.code, 0, done)
        good = [r for r in self.rows if "sender_id" in r and not long(r)]
        kept = {(r["id"], r["content_hash"]) for r in good}
        found = kit.rows(self.dir / "job")
        self.assertEqual({(r["id"], r["content_hash"]) for r in found}, kept)
        self.assertEqual(len(found), len(kept))
        self.assertTrue(all("word_count" in r for r in found))
        told = done.json()
        self.assertEqual(told["set_aside"], len(self.rows) - len(good))
        self.assertEqual(told["quality"]["duplicate_count"], len(good) - len(kept))
        self.assertEqual(json.loads((self.dir / "p.json").read_text("utf-8"))["rows"], len(kept))
        self.check_complete()

    def test_stop_on_error(self):
        file = self.write("quality: {stop_on_error: yes, rules: [{field: text, max_length: 20}]}\n")
        self.check_fails(kit.tgdata("run", file), 7, "breaks the rule")

    def test_mistakes_are_told_by_check(self):
        file = self.write("quality: {rules: [{unique: id}]}\n", "    stage: filtre\n".replace(
            "    ", "  - {name: two, chats: all, to: 'ndjson:x', ", 1).replace("\n", "}\n"))
        done = kit.tgdata("config", "check", file)
        self.assertEqual(done.code, 2, done)
        self.assertRegex(done.err, r"etl\.yaml:4:\d+: .*'filtre'")
        self.assertNotIn("must see all rows", done.err)
        file = self.write("quality: {rules: [{unique: id}]}\n",
                          "  - {name: two, pattern: delta, chats: [me], to: 'ndjson:x'}\n")
        self.check_fails(kit.tgdata("run", file), 2, "must see all rows of a run, and a delta")

    def test_shown_as_stages(self):
        file = self.write("quality: {rules: [{field: text, max_length: 20}]}\n")
        shown = kit.tgdata("config", "show", file).out
        self.assertIn('stage: ["validate?field=text&max-length=20"]', shown)


class Killed(Stages):
    sim_args = ("--chats", "4", "--messages", "1500", "--seed", "11", "--latency-ms", "5")
    stages = (SHORT, "dedup?keys=text", "replies?severity=drop", "enrich")

    def args(self, job):
        return self.words(*self.stages, job=job, more=[
            "--batch-size", 50, "--checkpoint-interval", 70, "--in-flight", 2])

    def test_as_if_it_had_not_been(self):
        """Of texts that come again the first stays, whichever run has seen it; replies find what
        runs before have delivered."""
        whole = kit.tgdata(*self.args("whole"))
        self.assertEqual(whole.code, 0, whole)
        wanted = without_time(kit.rows(self.dir / "whole"))
        draw, ends = random.Random(SEED), 0
        for _ in range(KILLS):
            run = kit.start(*self.args("job"), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
            time.sleep(draw.uniform(0.05, 0.35))
            ends += run.poll() is not None
            run.send_signal(signal.SIGKILL)
            run.wait()
        done = kit.tgdata(*self.args("job"))
        self.assertEqual(done.code, 0, done)
        print(f"{KILLS} kills, {ends} after the end", flush=True)
        self.assertLess(ends, KILLS)
        self.assertEqual(without_time(kit.rows(self.dir / "job")), wanted)
        for job in "whole", "job":
            self.check_complete(job)
        kept = [collections.Counter(key(f["letter"]["row"]) for f in self.letters("--job", job))
                for job in ("whole", "job")]
        self.assertEqual(*kept)
        self.assertEqual(set(kept[1].values()), {1})

    def test_a_rollback_forgets_what_was_taken_back(self):
        chat = self.biggest()
        for _ in range(2):
            done = self.extract("dedup?keys=id", chats=[chat], more=["--checkpoint-interval", 200])
            self.assertEqual(done.code, 0, done)
            self.assertEqual([key(r) for r in kit.rows(self.dir / "job")],
                             [key(r) for r in self.rows if r["chat_id"] == chat])
            done = kit.tgdata("checkpoints", "rollback", "--number", 3, "--job", "job",
                              *self.state, "--", chat)
            self.assertEqual(done.code, 0, done)


class Comments(test_comments.Run):
    def test_of_a_group_that_is_read_post_by_post(self):
        channel, _ = self.channel(1)
        rows = {}
        for job, more in ("plain", ()), ("job", (
                "--stage", "validate?field=text&max-length=100&severity=drop", "--stage",
                "dedup?keys=chat_id,id", "--batch-size", 20, "--checkpoint-interval", 30)):
            done = kit.tgdata(*self.words(channel["username"], "--include-replies", job=job,
                                          more=map(str, more)))
            self.assertEqual(done.code, 0, done)
            rows[job] = self.rows(job)
        kept = [r for r in rows["plain"] if len(r.get("text", "")) <= 100]
        self.assertTrue(any("comment_of_id" in r for r in kept) and len(kept) < len(rows["plain"]))
        self.assertEqual(rows["job"], kept)


class Beside(test_fallback.Fallback):
    def test_rows_of_fallbacks(self):
        """They go through the stages, and are no duplicates of what Telegram delivers later."""
        self.learn()
        self.restart(*test_fallback.STORM)
        export = self.write(test_fallback.export_of(self.chat, range(1, 21)))
        stages = ["--stage", "dedup?keys=chat_id,id", "--stage",
                  "validate?field=id&min=6&severity=drop"]
        done = self.extract(f"export:{export}", more=stages)
        self.check_fell_back(done, 15, 20)
        self.assertEqual([r["id"] for r in test_fallback.fallback_rows(self.dir / "out")],
                         list(range(6, 21)))
        self.assertEqual([r["broken"] for r in done.json()["quality"]["rules"]], [0, 5])
        self.restart()
        time.sleep(2.2) # the breaker's
        done = kit.tgdata(*self.extract_args(self.chat, session=self.mine, more=stages))
        self.assertEqual(done.code, 0, done)
        self.assertEqual([r["id"] for r in kit.rows(self.dir / "out")],
                         [i for i in self.sim.ids(self.chat) if i >= 6])
        self.assertEqual(self.verify(self.mine).code, 0)


@unittest.skipUnless("hiredis" in kit.tgdata("version").out, "without Redis")
class Worker(Stages):
    def test_rows_of_a_worker(self):
        redis = kit.Redis(self.dir / "redis")
        self.addCleanup(redis.stop)
        chats = [c["id"] for c in self.sim.chats(self.sim.account())
                 if c["kind"] in ("supergroup", "channel") and not c["migrated_from"]][:3]
        done = kit.tgdata("enqueue", "--queue", redis.url(), "--", *chats)
        self.assertEqual(done.code, 0, done)
        done = kit.tgdata("worker", "--queue", redis.url(), "--until-empty", *self.words(
            SHORT, more=["--json", "--workers", 3], chats=())[1:])
        self.assertEqual(done.code, 0, done)
        mine = [r for r in self.rows if r["chat_id"] in chats]
        self.assertEqual(sorted(map(key, kit.rows(self.dir / "job"))),
                         sorted(key(r) for r in mine if not long(r)))
        self.assertEqual(done.json()["set_aside"], sum(map(long, mine)))
        self.assertEqual(len(self.letters()), sum(map(long, mine)))


for name in dir(test_fallback.Fallback): # these run where they stand
    if name.startswith("test_"):
        setattr(Beside, name, None)


if __name__ == "__main__":
    kit.main()
