#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows on standard output, as pipes use them: all of them, none before its checkpoint lost."""
import csv
import io
import json
import os
import random
import subprocess

from kit import Case, Sim, main, rows, start, tgdata

SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
KILLS = int(os.environ.get("TGDATA_TEST_KILLS", "8"))
PIPE, READER = 64 * 1024, io.DEFAULT_BUFFER_SIZE


def key(row):
    return row.get("owner", 0), row["chat_id"], row["id"], row["content_hash"]


def lines(text):
    """As JSON Lines have them: str.splitlines also takes what may stand within a text."""
    return [json.loads(line) for line in text.split("\n") if line]


def whole_lines(text):
    """Without the line that a kill has cut."""
    return [json.loads(line) for line in text[:text.rfind(b"\n") + 1].splitlines()]


class Stdout(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sim.stop()
        cls.sim = Sim(cls.top / "slow", "--chats", "6", "--messages", "1500", "--seed", "21",
                      "--latency-ms", "10")

    def words(self, *chats, session, to="stdout:", more=()):
        return self.extract_args(*chats, session=session, to=to, more=[
            "--batch-size", 100, "--checkpoint-interval", 200, *more])

    def files(self, session):
        done = tgdata(*self.extract_args("--all", session=session, job="files"))
        self.assertEqual(done.code, 0, done)
        return {key(r): r for r in rows(self.dir / "out")}

    def test_rows_are_those_of_the_files(self):
        session = self.session()
        done = tgdata(*self.words("--all", session=session, more=["--json"]))
        self.assertEqual(done.code, 0, done)
        found = lines(done.out)
        summary = json.loads(done.err.splitlines()[-1])
        self.assertEqual((summary["status"], summary["rows"]), ("OK", len(found)))
        self.assertEqual({key(r): r for r in found}, self.files(session))
        self.assertEqual(len({key(r) for r in found}), len(found))
        again = tgdata(*self.words("--all", session=session))
        self.assertEqual((again.code, again.out), (0, ""), again)

    def test_csv_for_pipes(self):
        session = self.session()
        done = tgdata(*self.words("--all", session=session, to="stdout:?format=csv"))
        self.assertEqual(done.code, 0, done)
        found = list(csv.DictReader(io.StringIO(done.out, newline=""), strict=True))
        self.assertEqual(sorted((int(r["chat_id"]), int(r["id"]), r["text"]) for r in found),
                         sorted((r["chat_id"], r["id"], r.get("text", ""))
                                for r in self.files(session).values()))

    def test_killed_again_and_again(self):
        """None is lost; what comes twice is the same, and of the last uncommitted rows."""
        draw, kills = random.Random(SEED), 0
        while kills < KILLS:
            kills += self.kill_until_its_end(draw, KILLS - kills)
            self.fresh_dir()

    def kill_until_its_end(self, draw, most):
        session, kills, runs, code = self.session(), 0, [], None
        while code != 0:
            process = start(*self.words("--all", session=session), stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
            try:
                out = process.communicate(
                    timeout=draw.uniform(0.1, 0.5) if kills < most else 120)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                out = process.communicate()[0]
                kills += 1
            code = process.returncode
            runs.append(whole_lines(out))
        self.check_none_lost([(number, row) for number, run in enumerate(runs) for row in run],
                             self.files(session))
        return kills

    def check_none_lost(self, found, want):
        """@param found  (run, row) of all"""
        seen, again = {}, {}
        for number, row in found:
            first, same = seen.setdefault(key(row), (number, row))
            self.assertEqual(row, same)
            chat = number, row["chat_id"]
            again[chat] = again.get(chat, 0) + (first < number)
        self.assertEqual(len({(number, key(row)) for number, row in found}), len(found),
                         "none twice in one run")
        self.assertLessEqual(max(again.values()), 200 + 100, "more than an interval and a batch")
        self.assertEqual({k: row for k, (_, row) in seen.items()}, want)

    def test_a_closed_pipe_ends_the_run(self):
        session = self.session()
        process = start(*self.words("--all", session=session), stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE)
        head = [json.loads(process.stdout.readline()) for _ in range(10)]
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(process.wait(60), 7, err)
        self.assertEqual(len([line for line in err.splitlines()
                              if line.startswith("tgdata extract:")]), 1, err)
        self.assertIn("reader of the standard output has ended", err)
        self.assertEqual(len(head), 10)
        done = tgdata(*self.words("--all", session=session))
        self.assertEqual(done.code, 0, done)
        rest = {key(r) for r in lines(done.out)}
        counted = [row for k, row in self.files(session).items() if k not in rest]
        size = sum(len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) + 1
                   for row in counted)
        self.assertLess(size, PIPE + READER, "only what went into the pipe counts as delivered")

    def test_a_full_disk_is_told(self):
        session, chat_id = self.session(), self.sim.chat("channel")["id"]
        with open("/dev/full", "wb") as full:
            process = start(*self.words(str(chat_id), session=session), stdout=full,
                            stderr=subprocess.PIPE)
            err = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, 7, err)
        self.assertIn("cannot write to the standard output: No space left", err)
        done = tgdata(*self.words(str(chat_id), session=session))
        self.assertEqual([r["id"] for r in lines(done.out)], self.sim.ids(chat_id))

    def test_what_cannot_be_is_told(self):
        session, name = self.session(), str(self.sim.chat("channel")["id"])
        state = ["--state", f"sqlite:{self.dir}/state.db", "--job", "job"]
        self.check_fails(tgdata(*self.words(name, session=session, to="stdout:x")), 2, "stdout:")
        self.check_fails(tgdata(*self.words(name, session=session, to="stdout:?format=xml")), 2,
                         "json", "csv")
        self.assertEqual(tgdata(*self.words(name, session=session)).code, 0)
        proof = tgdata("verify", *self.account_args(session), *state)
        self.assertIn("nothing to read again", proof.err + proof.out)
        self.assertNotEqual(proof.code, 0)
        for other in (f"ndjson:{self.dir}/out", "stdout:?format=csv"):
            self.check_fails(tgdata(*self.words(name, session=session, to=other)), 2,
                             "delivered chat")
        more = ["--circuit-failures", "3", "--circuit-open", "fallback", "--fallback", "archive"]
        self.assertIn("fallback apart", tgdata(*self.words(name, session=session, more=more)).err)
        done = tgdata("checkpoints", "rollback", "--number", 0, *state, "--", name)
        self.assertEqual(done.code, 0, done)
        again = tgdata(*self.words(name, session=session))
        self.assertEqual([r["id"] for r in lines(again.out)], self.sim.ids(int(name)))


if __name__ == "__main__":
    main()
