#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tgdata transform: rows go from one destination to the next unchanged, are decoded again from
their raw objects, filtered and enriched; killed at random moments, again and again, each row is
there once; what is wrong is told in a line."""
import http.server
import json
import os
import pathlib
import random
import signal
import sqlite3
import threading
import time

import kit

KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "20"))
SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))


def key(row):
    return row["chat_id"], row.get("owner", 0), row["id"]


def by_key(found):
    rows = {key(r): r for r in found}
    assert len(rows) == len(found), "a row stands twice"
    return rows


class Transform(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
        self.archive, self.me = self.top / "archive", self.session()
        if type(self).rows is None:
            done = kit.tgdata("extract", "--all", *self.account_args(self.me), "--to",
                              f"ndjson:{self.archive}", "--state", f"sqlite:{self.top}/state.db",
                              "--raw", "--include-replies", "--checkpoint-interval", 200,
                              "--batch-size", 100)
            self.assertEqual(done.code, 0, done)
            type(self).rows = by_key(kit.rows(self.archive))

    def words(self, source, to, *stages, job="clean", more=()):
        return ["transform", source, "--to", to, "--state", f"sqlite:{self.dir}/state.db", "--job",
                job, "--lease", "1s", "--progress", "none",
                *[w for s in stages for w in ("--stage", s)], *more]

    def transform(self, *words, **more):
        done = kit.tgdata(*self.words(*words, **more))
        self.assertEqual(done.code, 0, done)
        return done

    def out(self, name="out"):
        return by_key(kit.rows(self.dir / name))

    def test_from_one_destination_to_the_next(self):
        """Through all that can be read, and back: the same rows, field by field."""
        steps = [f"ndjson:{self.archive}", f"sqlite:{self.dir}/a.db", f"csv:{self.dir}/b",
                 f"parquet:{self.dir}/c", f"sqlite:{self.dir}/a.db?table=again",
                 f"ndjson:{self.dir}/out"]
        for i, (source, to) in enumerate(zip(steps, steps[1:])):
            self.transform(source, to, "filter", job=f"step{i}")
        self.assertEqual(self.out(), self.rows)
        chats = self.sim.chats(self.sim.account())
        self.assertTrue(any(c["migrated_from"] for c in chats))
        done = kit.tgdata("verify", "--session", self.me, "--datacenter", self.sim.file, "--state",
                          f"sqlite:{self.dir}/state.db", "--job", "step4", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["rows"], len(self.rows))

    def test_decoded_again_they_are_the_same(self):
        summary = self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/out",
                                 more=["--json"]).json()
        self.assertEqual(self.out(), self.rows)
        self.assertEqual(summary["decoded"], len(self.rows))
        self.assertEqual(summary["rows"], summary["rows_read"])
        self.assertEqual(summary["undecoded"] + summary["no_raw"] + summary["dropped"], 0)
        kept = sorted(json.dumps(r) for r in self.rows.values())
        self.assertEqual(sorted(json.dumps(r) for r in self.out().values()), kept)

    def test_old_rows_learn_what_the_decoder_knows(self):
        """Rows that an older program decoded otherwise; one that no program can decode."""
        self.transform(f"ndjson:{self.archive}", f"sqlite:{self.dir}/old.db", "filter", job="old")
        worst = max(self.rows)
        with sqlite3.connect(self.dir / "old.db") as db:
            db.execute("UPDATE messages SET text = NULL, media_kind = 'unknown', views = 1")
            db.execute("UPDATE messages SET raw = json_replace(raw, '$._', 'messageOfMars')"
                       " WHERE chat_id = ? AND owner = ? AND id = ?", worst)
        db.close()
        done = self.transform(f"sqlite:{self.dir}/old.db", f"ndjson:{self.dir}/out", "decode")
        self.assertIn("1 as they stood: their raw object cannot be decoded", done.out)
        self.assertIn("no 'messageOfMars'", done.out)
        found = self.out()
        self.assertNotEqual(found.pop(worst), self.rows[worst])
        self.assertEqual(found, {k: r for k, r in self.rows.items() if k != worst})

    def test_without_raw_they_stay_as_they_stood(self):
        self.transform(f"ndjson:{self.archive}", f"csv:{self.dir}/bare", "fields?drop=raw,views",
                       job="bare")
        done = self.transform(f"csv:{self.dir}/bare", f"ndjson:{self.dir}/out", more=["--json"])
        self.assertEqual(done.json()["no_raw"], len(self.rows))
        bare = {k: {f: v for f, v in r.items() if f not in ("raw", "views")}
                for k, r in self.rows.items()}
        self.assertEqual(self.out(), bare)

    def test_filters_keep_what_they_say(self):
        dates = sorted(r["date"] for r in self.rows.values())
        since, until = dates[len(dates) // 4], dates[len(dates) // 2]
        sender = next(r["sender_id"] for r in self.rows.values() if r.get("sender_id", 0) > 0)
        word = next(r["text"] for r in self.rows.values() if r.get("text")).split()[0]
        cases = [
            (f"since={since}&until={until}", lambda r: since <= r["date"] < until),
            ("media=photo,video", lambda r: r.get("media_kind") in ("photo", "video")),
            ("media=none&kind=message",
             lambda r: "media_kind" not in r and r["kind"] == "message"),
            ("kind=service&not", lambda r: r["kind"] != "service"),
            (f"sender={sender}", lambda r: r.get("sender_id") == sender),
            (f"text={word}".replace("&", "%26"), lambda r: word in r.get("text", "")),
            ("min-id=10&max-id=20", lambda r: 10 <= r["id"] <= 20),
        ]
        for i, (condition, keeps) in enumerate(cases):
            with self.subTest(condition):
                done = self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/f{i}",
                                      f"filter?{condition}", job=f"f{i}", more=["--json"])
                want = {k: r for k, r in self.rows.items() if keeps(r)}
                self.assertTrue(want)
                self.assertEqual(self.out(f"f{i}"), want)
                self.assertEqual(done.json()["dropped"], len(self.rows) - len(want))

    def test_enriched(self):
        before = int(time.time())
        self.transform(f"ndjson:{self.archive}", f"sqlite:{self.dir}/e.db", "enrich")
        with sqlite3.connect(self.dir / "e.db") as db:
            found = db.execute("SELECT chat_id, owner, id, word_count, has_media, text,"
                               " unixepoch(extracted_timestamp) FROM messages").fetchall()
        db.close()
        self.assertEqual(len(found), len(self.rows))
        for *at, words, has_media, text, when in found:
            row = self.rows[tuple(at)]
            self.assertEqual(words, len((text or "").split()), row)
            self.assertEqual(has_media, "media_kind" in row)
            self.assertTrue(before <= when <= time.time())

    def test_chats_are_chosen(self):
        chat = str(self.sim.chat("supergroup")["id"])
        self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/out", more=["--chat", chat])
        self.assertEqual({str(r["chat_id"]) for r in self.out().values()}, {chat})
        more = self.words(f"ndjson:{self.archive}", f"ndjson:{self.dir}/out")
        self.check_fails(kit.tgdata(*more, "--chat", "7"), 3, "there is no chat 7 in")
        self.check_fails(kit.tgdata(*more, "--from-job", "other"), 3, "of job other")

    def test_what_comes_later_comes_with_a_later_run(self):
        """An archive that grows is gone on with behind what was read of it."""
        chat = self.sim.chat("channel")["id"]
        extract = ["extract", chat, "--session", self.me, "--datacenter", self.sim.file, "--to",
                   f"ndjson:{self.dir}/grows", "--state", f"sqlite:{self.dir}/grows.db",
                   "--progress", "none"]
        source, to = f"ndjson:{self.dir}/grows", f"ndjson:{self.dir}/out"
        # a first half, as a run leaves it that was stopped
        process = None
        for _ in range(20):
            process = kit.start(*extract, "--batch-size", 20, "--checkpoint-interval", 20,
                                "--in-flight", 1, "--buffer", "1MiB", stdout=-3, stderr=-3)
            kit.wait_for(lambda: list((self.dir / "grows").glob("chat_*/part-*.ndjson"))
                         or process.poll() is not None)
            process.send_signal(signal.SIGKILL)
            process.wait()
            if kit.rows(self.dir / "grows"):
                break
        first = len(kit.rows(self.dir / "grows"))
        self.transform(source, to, "decode")
        self.assertEqual(len(self.out()), first)
        done = kit.tgdata(*extract, "--lease", "1s", "--batch-size", 20, "--checkpoint-interval",
                          20)
        self.assertEqual(done.code, 0, done)
        self.transform(source, to, "decode")
        self.assertEqual(self.out(), by_key(kit.rows(self.dir / "grows")))
        again = self.transform(source, to, "decode", more=["--json"]).json()
        self.assertEqual((again["rows_read"], again["checkpoints"]), (0, 0))

    def test_killed_at_random_moments(self):
        """To files and to a database in turns."""
        dice = random.Random(SEED)
        for name, to, read in (
                ("files", f"ndjson:{self.dir}/out", self.out),
                ("sqlite", f"sqlite:{self.dir}/k.db", None)):
            words = self.words(f"ndjson:{self.archive}", to, "decode", "filter?kind=message",
                               job=name, more=["--batch-size", 20, "--checkpoint-interval", 40])
            left = KILLS // 2
            while left:
                process = kit.start(*words, stdout=-3, stderr=-3)
                time.sleep(dice.uniform(0, 0.4))
                if process.poll() is not None: # all was done
                    break
                process.send_signal(signal.SIGKILL)
                process.wait()
                left -= 1
            done = kit.tgdata(*words)
            self.assertEqual(done.code, 0, done)
            if not read:
                self.transform(to, f"ndjson:{self.dir}/back", "filter", job="back")
            want = {k: r for k, r in self.rows.items() if r["kind"] == "message"}
            self.assertEqual(read() if read else self.out("back"), want)

    def test_standard_output_has_the_rows_alone(self):
        done = self.transform(f"ndjson:{self.archive}", "stdout:", "fields?drop=raw")
        self.assertEqual(len([json.loads(line) for line in done.out.split("\n") if line]),
                         len(self.rows))
        self.assertIn("messages of", done.err)

    def test_mistakes(self):
        source, to = f"ndjson:{self.archive}", f"ndjson:{self.dir}/out"
        cases = [
            (self.words(source, source), 2, "source and destination are one"),
            (self.words(source, f"ndjson:{self.archive}/../archive/"), 2, "are one"),
            (self.words(f"ndjson:{self.dir}/nothing", to), 3, "there are no rows in"),
            (self.words(f"sqlite:{self.dir}/nothing.db", to), 3, "there are no rows in"),
            (self.words("stdout:", to), 4, "cannot be read again"),
            (self.words("floppy:a", to), 2, "there is no destination 'floppy'"),
            (self.words(source, to, "fliter"), 2, "there is no stage 'fliter'"),
            (self.words(source, to, "filter?media"), 2, "media"),
            (self.words(source, to, "filter?kind=service,mesage"), 2, "there is no kind 'mesage'"),
            (self.words(source, "ndjson:/proc/x"), 7, "could not create directory '/proc/x"),
            (["transform", source, "--to", to, "--state", f"sqlite:{self.top}/state.db"], 2,
             "job 'default' is that of an extraction"),
            (self.words(source, to, more=["--chat", "@name"]), 2, "is no id of a chat"),
            (["transform", source], 2, "no destination"),
        ]
        for words, code, message in cases:
            with self.subTest(message):
                self.check_fails(kit.tgdata(*words), code, message)
        self.assertFalse((self.dir / "out").exists())

    def test_what_belongs_to_the_job(self):
        source, to = f"ndjson:{self.archive}", f"ndjson:{self.dir}/out"
        self.transform(source, to, "filter?kind=message")
        self.check_fails(kit.tgdata(*self.words(source, to, "enrich")), 2, "another stage")
        self.transform(source, f"csv:{self.dir}/copy", "filter", job="copy")
        self.check_fails(kit.tgdata(*self.words(f"csv:{self.dir}/copy", to,
                                                "filter?kind=message")), 2, "another source")
        self.check_fails(kit.tgdata(*self.words(source, to, "filter", job="other")), 2,
                         "of job 'clean'")

    def test_steps_as_with_streams(self):
        """--enrich, --filter and --transform, in that order."""
        self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/out", more=[
            "--enrich", "--filter", "word_count > 3",
            "--transform", "row.text = 'so: ' .. row.text",
            "--stage", "filter?kind=message"])
        out = self.out()
        self.assertEqual(set(out), {k for k, r in self.rows.items() if r["kind"] == "message"
                                    and len(r.get("text", "").split()) > 3})
        self.assertEqual({k: r["text"] for k, r in out.items()},
                         {k: "so: " + self.rows[k]["text"] for k in out})

    def test_log_and_metrics(self):
        """As programs want them: a log of JSON lines, and numbers at /metrics."""
        words = self.words(f"ndjson:{self.archive}", f"ndjson:{self.dir}/out", more=[
            "--log-format", "json", "--listen", "0", "--json"])
        words[words.index("--progress") + 1] = "auto"
        done = kit.tgdata(*words)
        self.assertEqual(done.code, 0, done)
        told = [json.loads(line) for line in done.err.splitlines()]
        self.assertEqual({t["job"] for t in told}, {"clean"})
        self.assertTrue([t for t in told if t.get("event") == "progress"], told)
        self.assertTrue([t for t in told if "serves a page" in t["message"]], told)
        done = kit.tgdata(*self.words(f"ndjson:{self.archive}/none", f"ndjson:{self.dir}/out",
                                      more=["--log-format", "json"]))
        self.assertEqual(json.loads(done.err.splitlines()[-1])["code"], "NOT_FOUND", done)

        got, spans = [], []

        class Gateway(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.end_headers()

            def do_POST(self):
                spans.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Gateway) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            done = self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/again", job="again",
                                  more=["--json", "--metrics-endpoint",
                                        f"http://127.0.0.1:{server.server_port}", "--traces",
                                        f"zipkin:http://127.0.0.1:{server.server_port}/spans"])
            server.shutdown()
        for name in ["tgdata_messages_extracted_total", "tgdata_messages_committed_total"]:
            self.assertRegex(got[-1], rf"(?m)^{name}\S* {len(self.rows)}$")
        root = [s for s in spans if "parentId" not in s]
        self.assertEqual(len(root), 1, spans)
        self.assertEqual(root[0]["tags"]["tgdata.pattern"], "transform")
        self.assertEqual({s["traceId"] for s in spans}, {root[0]["traceId"]})
        self.assertLessEqual({"batch", "commit"}, {s["name"].split()[0] for s in spans}, spans)

    def test_a_damaged_source(self):
        self.transform(f"ndjson:{self.archive}", f"ndjson:{self.dir}/copy", "filter", job="copy")
        part = sorted((self.dir / "copy").glob("chat_*/part-*.ndjson"))[0]
        part.write_bytes(part.read_bytes().replace(b'"kind"', b'"kine"', 1))
        done = kit.tgdata(*self.words(f"ndjson:{self.dir}/copy", f"ndjson:{self.dir}/out"))
        self.check_fails(done, 8, pathlib.Path(part).name)


if __name__ == "__main__":
    kit.main()
