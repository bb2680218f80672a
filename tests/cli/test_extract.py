#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Extraction, kills and signals, checkpoints, verification, as scripts use them."""
import contextlib
import json
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import time

from kit import Case, Sim, main, rows, start, tgdata, wait_for


class Extract(Case):
    def test_everything_arrives_once(self):
        chats = self.sim.chats(self.sim.account())
        session = self.session()
        done = tgdata(*self.extract_args("--all", session=session, more=["--json"]))
        self.assertEqual(done.code, 0, done)
        summary = done.json()
        self.assertEqual(summary["status"], "OK")
        self.check_whole(chats)
        self.assertEqual(summary["rows"], len(rows(self.dir / "out")))
        again = tgdata(*self.extract_args("--all", session=session, more=["--json"]))
        self.assertEqual((again.code, again.json()["rows"]), (0, 0), again)
        self.check_whole(chats)
        proof = self.verify(session)
        self.assertEqual(proof.code, 0, proof)
        table = proof.json()
        self.assertTrue(table["complete"])
        self.assertEqual(table["rows"], summary["rows"])
        for chat in table["chats"]:
            for key in ["chat_id", "title", "covered_from", "covered_to", "server_count", "rows",
                        "gaps", "duplicates", "complete"]:
                self.assertIn(key, chat)

    def test_chats_by_name_link_and_id(self):
        named = next(c for c in self.sim.chats(self.sim.account()) if c["username"])
        names = [str(named["id"]), "@" + named["username"], named["username"],
                 "https://t.me/" + named["username"]]
        session = self.session()
        for i, name in enumerate(names):
            done = tgdata("extract", name, *self.account_args(session), "--to",
                          f"ndjson:{self.dir}/{i}", "--state", f"sqlite:{self.dir}/{i}.db")
            self.assertEqual(done.code, 0, done)
            self.check_whole([named], self.dir / str(i))

    def test_a_username_is_resolved_once(self):
        """It is the most strictly limited method: once for all runs, however it is written."""
        named = next(c for c in self.sim.chats(self.sim.account()) if c["username"])
        session = self.dir / "new.session"
        self.login(session)

        def resolved():
            calls = self.sim.stats()["methods"].get("contacts.resolveUsername", {})
            return calls.get("calls", 0)
        before = resolved()
        for i, name in enumerate(["@" + named["username"], named["username"].upper(),
                                  "https://t.me/" + named["username"]]):
            done = tgdata(*self.extract_args(name, session=session, job=f"j{i}"))
            self.assertEqual(done.code, 0, done)
            self.check_whole([named])
            shutil.rmtree(self.dir / "out")
        self.assertEqual(resolved() - before, 1)

    def test_chats_list(self):
        done = tgdata("chats", *self.account_args(), "--json")
        self.assertEqual(done.code, 0, done)
        for chat in done.json():
            for key in ["id", "title", "kind", "username"]:
                self.assertIn(key, chat)
        text = tgdata("chats", *self.account_args()).out
        for chat in done.json():
            self.assertIn(str(chat["id"]), text)

    def test_limit_and_id_bounds(self):
        chat = self.sim.chat("supergroup")
        ids = self.sim.ids(chat["id"])
        table = [(["--limit", "70"], ids[:70]),
                 (["--min-id", ids[100]], ids[100:]),
                 (["--max-id", ids[150]], ids[:151]),
                 (["--min-id", ids[20], "--max-id", ids[180]], ids[20:181])]
        for i, (words, want) in enumerate(table):
            with self.subTest(words):
                done = tgdata(*self.extract_args(chat["id"], job=f"j{i}", more=words))
                self.assertEqual(done.code, 0, done)
                self.assertEqual([r["id"] for r in rows(self.dir / "out")], want)
                shutil.rmtree(self.dir / "out")

    def test_ranges_that_no_message_can_be_in(self):
        chat, session = self.sim.chat("supergroup"), self.session()
        table = [["--since", "2024-02-01", "--until", "2024-01-01"],
                 ["--since", "2024-02-01", "--until", "2024-02-01"],
                 ["--until", "1970-01-01"], ["--min-id", "9", "--max-id", "8"], ["--limit", "0"],
                 ["--limit", "-3"], ["--min-id", "0"], ["--max-id", "0"], ["--max-id", "-1"],
                 ["--min-id", str(2**31)], ["--since", "2039-01-01"]]
        for words in table:
            with self.subTest(words):
                done = tgdata(*self.extract_args(chat["id"], session=session, more=words))
                self.check_fails(done, 2, words[-2].strip("-"))
                self.assertFalse((self.dir / "state.db").exists())
                self.assertFalse((self.dir / "out").exists())

    def test_a_range_without_messages_is_told(self):
        chat, session = self.sim.chat("supergroup"), self.session()
        top = self.sim.ids(chat["id"])[-1]
        for i, words in enumerate([["--min-id", top + 1], ["--until", "1990-01-01"],
                                   ["--since", "2037-01-01"]]):
            with self.subTest(words):
                for _ in range(2):
                    done = tgdata(*self.extract_args(chat["id"], session=session, job=f"j{i}",
                                                     more=words))
                    self.assertEqual(done.code, 0, done)
                    self.assertIn("There is no message in that range.", done.out)
                    self.assertIn("no message in that range", done.err)
                    shutil.rmtree(self.dir / "out")
                    (self.dir / "state.db").unlink()
        words = self.extract_args(chat["id"], session=session, more=["--min-id", top])
        for _ in range(2):  # the second finds nothing new, which is something else
            done = tgdata(*words, "--json")
            self.assertEqual((done.code, done.json()["empty"]), (0, 0), done)

    def test_progress_as_json_and_as_lines(self):
        args = self.extract_args("--all")
        args[args.index("none")] = "json"
        done = tgdata(*args, "--json")
        self.assertEqual(done.code, 0, done)
        events = [json.loads(line) for line in done.err.splitlines()]
        self.assertEqual(events[-1]["event"], "done")
        self.assertEqual(events[-1]["rows_total"], done.json()["rows"])
        args[args.index("json")] = "plain"
        done = tgdata(*args)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")
        self.assertNotIn("\r", done.err)
        self.assertNotIn("\x1b", done.err)


class Kills(Case):
    sim_args = ("--chats", "4", "--messages", "4000", "--seed", "11", "--latency-ms", "15")

    def small(self, session, *more):
        return self.extract_args("--all", session=session, more=[
            "--batch-size", "200", "--checkpoint-interval", "200", "--in-flight", "2", *more])

    def run_until_killed(self, session, after_s, how):
        process = start(*self.small(session), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(after_s)
        process.send_signal(how)
        err = process.communicate(timeout=60)[1]
        return process.returncode, err.decode()

    def finish(self, session):
        """Runs to the end; a killed run's lease may have to end first."""
        done = None

        def ended():
            nonlocal done
            done = tgdata(*self.small(session))
            return done.code != 9
        wait_for(ended)
        self.assertEqual(done.code, 0, done)

    def test_killed_at_any_moment_nothing_is_lost_or_doubled(self):
        session, draw = self.session(), random.Random(5)
        for _ in range(8):
            code, err = self.run_until_killed(session, draw.uniform(0.05, 0.8), signal.SIGKILL)
            self.assertIn(code, (-signal.SIGKILL, 0, 9), err)
            time.sleep(0.9)
        self.finish(session)
        self.check_whole(self.sim.chats(self.sim.account()))
        proof = self.verify(session)
        self.assertEqual(proof.code, 0, proof)

    def test_signals_end_the_run_with_a_commit(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            session = self.session()
            code, err = self.run_until_killed(session, 0.6, how)
            self.assertEqual(code, 130, err)
            self.assertIn("stopped", err)
            kept = len(rows(self.dir / "out"))
            self.assertGreater(kept, 0)
            self.finish(session)  # and without waiting for a lease: it was given back
            self.check_whole(self.sim.chats(self.sim.account()))
            shutil.rmtree(self.dir / "out")
            (self.dir / "state.db").unlink()

    def test_a_second_signal_ends_at_once(self):
        session = self.session()
        process = start(*self.small(session), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.4)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), 130)

    def test_the_same_job_twice_is_refused(self):
        first, second = self.session(), self.dir / "second.session"
        self.login(second)
        process = start(*self.small(first), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.check_fails(tgdata(*self.small(second)), 9, "job")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    def test_the_same_session_twice_is_refused(self):
        session = self.session()
        process = start(*self.small(session), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.check_fails(tgdata("chats", *self.account_args(session)), 9, "in use",
                         f"process {process.pid}")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


class Checkpoints(Case):
    def state(self):
        return ["--state", f"sqlite:{self.dir}/state.db"]

    def test_list_show_rollback(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        done = tgdata(*self.extract_args(chat["id"], session=session, more=[
            "--batch-size", "50", "--checkpoint-interval", "50"]))
        self.assertEqual(done.code, 0, done)
        newest = tgdata("checkpoints", "list", *self.state(), "--json").json()
        self.assertEqual(len(newest), 1)
        self.assertEqual(newest[0]["group_id"], chat["id"])
        self.assertEqual(newest[0]["last_message_id"], self.sim.ids(chat["id"])[-1])
        shown = tgdata("checkpoints", "show", chat["id"], *self.state(), "--job", "job",
                       "--json").json()
        self.assertGreaterEqual(len(shown), 6)
        numbers = [c["tgdata"]["number"] for c in shown]
        self.assertEqual(numbers, sorted(numbers, reverse=True))
        text = tgdata("checkpoints", "show", chat["id"], *self.state(), "--job", "job")
        self.assertEqual(len(text.out.splitlines()), len(shown) + 1, text)
        back = shown[3]
        done = tgdata("checkpoints", "rollback", chat["id"], *self.state(), "--job", "job",
                      "--number", back["tgdata"]["number"])
        self.assertEqual(done.code, 0, done)
        left = [r["id"] for r in rows(self.dir / "out")]
        self.assertEqual(left[-1], back["last_message_id"])
        self.assertEqual(len(left), back["total_messages_processed"])
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=session, more=[
            "--batch-size", "50", "--checkpoint-interval", "50"])).code, 0)
        self.check_whole([chat])
        self.assertEqual(self.verify(session).code, 0)

    def test_what_is_not_there(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=session)).code, 0)
        which = [*self.state(), "--job", "job"]
        done = tgdata("checkpoints", "rollback", chat["id"], *which, "--number", "77")
        self.check_fails(done, 3, "77")
        self.check_fails(tgdata("checkpoints", "show", "5", *which), 3)
        done = tgdata("verify", *self.account_args(session), *self.state(), "--job", "other")
        self.check_fails(done, 3, "other")

    def test_changes_have_a_name(self):
        """The sequence of all chats' changes is no chat: it is called by what it is."""
        chat = self.sim.chat("supergroup")
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=self.session())).code, 0)
        with contextlib.closing(sqlite3.connect(f"{self.dir}/state.db")) as db, db:
            db.execute("UPDATE doc SET key = 'job/0', bytes = CAST(replace(replace(CAST(bytes AS"
                       " TEXT), ?, ?), '\"segment\":0', '\"segment\":3') AS BLOB) WHERE kind ="
                       " 'checkpoint'", (f'"group_id":{chat["id"]}', '"group_id":0'))
        listed = tgdata("checkpoints", "list", *self.state()).out.splitlines()
        self.assertEqual(listed[1].split()[:2], ["job", "changes"])
        shown = tgdata("checkpoints", "show", "changes", *self.state(), "--job", "job")
        self.assertEqual(shown.code, 0, shown)
        self.assertIn(" changes ", shown.out)
        done = tgdata("checkpoints", "rollback", "changes", *self.state(), "--job", "job")
        self.check_fails(done, 2, "--number N; tgdata checkpoints show changes")

    def test_a_job_with_other_parameters_is_refused(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=session)).code, 0)
        done = tgdata(*self.extract_args(chat["id"], session=session,
                                         more=["--since", "2020-01-01"]))
        self.check_fails(done, 2, "job")

    def test_damage_is_found(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        self.assertEqual(tgdata(*self.extract_args(chat["id"], session=session, more=[
            "--batch-size", "100", "--checkpoint-interval", "100"])).code, 0)
        parts = sorted(pathlib.Path(self.dir / "out").glob("chat_*/part-*.ndjson"))
        self.assertGreaterEqual(len(parts), 3)
        whole = parts[1].read_bytes()
        parts[1].write_bytes(whole[:-10] + b"x" + whole[-9:])
        done = self.verify(session)
        self.assertIn(done.code, (8, 10), done)
        parts[1].unlink()
        done = self.verify(session)
        self.assertIn(done.code, (8, 10), done)
        parts[1].write_bytes(whole)
        self.assertEqual(self.verify(session).code, 0)

    def test_what_is_not_read_to_its_end_is_not_complete(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        process = start(*self.extract_args(chat["id"], session=session, more=[
            "--batch-size", "50", "--checkpoint-interval", "50", "--rate", "2"]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        done = self.verify(session)
        self.check_fails(done, 10)
        self.assertFalse(done.json()["complete"])


class SavedMessages(Case):
    """`extract me` is the account's chat with itself."""
    sim_args = None
    ME = 777000111

    def world(self):
        def message(number):
            return {"id": number, "type": "message", "date_unixtime": str(1705314600 + number),
                    "from": "Ada", "from_id": f"user{self.ME}", "text": f"note {number}"}
        chat = {"name": None, "type": "saved_messages", "id": self.ME,
                "messages": [message(i) for i in (1, 2, 5, 230)]}
        other = {"name": "Bob", "type": "personal_chat", "id": 555,
                 "messages": [message(i) for i in (3, 4)]}
        path = self.dir / "result.json"
        path.write_text(json.dumps({
            "personal_information": {"user_id": self.ME, "first_name": "Ada"},
            "chats": {"list": [chat, other]}}), encoding="utf-8")
        return ["--import", path]

    def test_me(self):
        sim = Sim(self.dir / "dc", *self.world())
        type(self).sim = sim  # stopped with the class
        session = self.dir / "me.session"
        self.login(session, sim.accounts[0])
        string = tgdata("export-session", "pyrogram", "--session", session).out.strip()
        imported = ["--session", self.dir / "imported", "--session-string", string]
        for i, (how, who) in enumerate(((["--session", session], "me"), (imported, "me"),
                                        (["--session", session], str(self.ME)))):
            out, state = self.dir / f"out{i}", ["--state", f"sqlite:{self.dir}/state{i}"]
            done = tgdata("extract", who, *how, "--datacenter", sim.file, "--to", f"ndjson:{out}",
                          *state)
            self.assertEqual(done.code, 0, done)
            self.assertEqual([(r["chat_id"], r["id"], r["text"]) for r in rows(out)],
                             [(self.ME, n, f"note {n}") for n in (1, 2, 5, 230)])
            done = tgdata("verify", "--session", how[1], *state, "--json")
            self.assertEqual(done.code, 0, done)

    def test_nothing_saved_yet_and_bots(self):
        sim = Sim(self.dir / "dc", "--chats", "1", "--messages", "5")
        try:
            for a, code in ((sim.accounts[0], 0), (sim.accounts[-1], 4)):
                path = self.dir / str(a["user_id"])
                words = (["--bot-token", a["bot_token"]] if "bot_token" in a else
                         ["--phone", a["phone"], "--code", a["code"]])
                done = tgdata("login", "--session", path, "--datacenter", sim.file, "--api-id", "1",
                              "--api-hash", "aa", *words)
                self.assertEqual(done.code, 0, done)
                done = tgdata("extract", "me", "--session", path, "--to", f"ndjson:{path}.out",
                              "--state", f"sqlite:{path}.state")
                self.assertEqual(done.code, code, done)
            self.assertIn("a bot cannot read private chats", done.err)
        finally:
            sim.stop()


if __name__ == "__main__":
    main()
