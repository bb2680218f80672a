#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""verify names every chat that a job was asked for, and whatever is wrong with each of them."""
import shutil
import signal
import subprocess

from kit import Case, Sim, main, rows, start, tgdata, wait_for


class Verify(Case):
    sim_args = ("--chats", "6", "--messages", "600", "--seed", "3")

    def slow(self, session, *chats):
        return self.extract_args(*chats, session=session, more=[
            "--batch-size", "50", "--checkpoint-interval", "50", "--rate", "3"])

    def finish(self, session, *chats):
        def ended():
            nonlocal done
            done = tgdata(*self.extract_args(*chats, session=session))
            return done.code != 9
        done = None
        wait_for(ended)
        self.assertEqual(done.code, 0, done)

    def listed(self):
        """The chats of the account; a group that became another is read as part of that one."""
        chats = self.sim.chats(self.sim.account())
        old = {c["migrated_from"] for c in chats}
        return [c for c in chats if c["id"] not in old]

    def table(self, done):
        return {c["chat_id"]: c for c in done.json()["chats"]}

    def test_chats_that_were_never_begun(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(how):
                session = self.session()
                process = start(*self.slow(session, "--all"), stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
                self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
                process.send_signal(how)
                process.wait(30)
                chats = self.listed()
                done = self.verify(session)
                self.check_fails(done, 10, f"{len(chats)} of {len(chats)} chats")
                self.assertFalse(done.json()["complete"])
                table = self.table(done)
                self.assertEqual(set(table), {c["id"] for c in chats})
                # killed between the first part and its checkpoint, not even one is known as begun
                begun = [c for c in table.values() if c["begun"]]
                self.assertLessEqual(how == signal.SIGTERM, len(begun))
                self.assertLessEqual(len(begun), 1)
                for chat in table.values():
                    self.assertFalse(chat["complete"])
                    self.assertTrue(chat["title"])
                    self.assertIsNone(chat["error"])
                    if not chat["begun"]:
                        self.assertEqual((chat["rows"], chat["covered_to"]), (0, 0))
                self.finish(session, "--all")
                self.assertEqual(self.verify(session).code, 0)
                shutil.rmtree(self.dir / "out")
                for left in self.dir.glob("state.db*"):
                    left.unlink()

    def test_a_chat_that_was_asked_for_later(self):
        session = self.session()
        first, second = self.listed()[:2]
        self.finish(session, first["id"])
        self.assertEqual(list(self.table(self.verify(session))), [first["id"]])
        process = start(*self.slow(session, first["id"], second["id"]), stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: second["id"] in self.table(self.verify_too())))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        done = self.verify(session)
        self.assertEqual(list(self.table(done)), [first["id"], second["id"]], done)
        if not self.table(done)[second["id"]]["finished"]:
            self.check_fails(done, 10)
        self.finish(session, first["id"], second["id"])
        self.assertEqual(self.verify(session).code, 0)

    def verify_too(self):
        """The session file is in use, and a copy of it would end the login: another login."""
        other = self.dir / "other.session"
        if not other.exists():
            self.login(other)
        return self.verify(other)

    def test_damage_of_one_chat_does_not_hide_the_others(self):
        session = self.session()
        self.finish(session, "--all")
        chats = [c["id"] for c in self.listed()]
        parts = {c: sorted((self.dir / "out" / f"chat_{c}").glob("part-*.ndjson")) for c in chats}
        changed, gone = chats[0], chats[-1]
        text = parts[changed][0].read_bytes()
        parts[changed][0].write_bytes(text[:-10] + b"x" + text[-9:])
        shutil.move(self.dir / "out" / f"chat_{gone}", self.dir / "kept")
        done = self.verify(session)
        self.check_fails(done, 10, f"2 of {len(chats)} chats")
        table = self.table(done)
        self.assertEqual(set(table), set(chats))
        self.assertEqual(table[changed]["error_code"], "CORRUPT")
        self.assertIn("holds 0 messages of it", table[gone]["error"])
        for chat in chats[1:-1]:
            self.assertTrue(table[chat]["complete"])
            self.assertIsNone(table[chat]["error"])
        text_form = tgdata("verify", *self.account_args(session), "--state",
                           f"sqlite:{self.dir}/state.db", "--job", "job")
        self.assertIn(f"{len(chats)} chats, 2 not proved", text_form.out)
        parts[changed][0].write_bytes(text)
        shutil.move(self.dir / "kept", self.dir / "out" / f"chat_{gone}")
        self.assertEqual(self.verify(session).code, 0)

    def test_a_group_and_what_it_grew_from_are_counted_together(self):
        chat = next(c for c in self.sim.world["chats"] if c["migrated_from"]
                    and self.sim.account()["user_id"] in c["members"])
        session = self.session()
        self.finish(session, chat["id"])
        old, new = self.sim.ids(chat["migrated_from"]), self.sim.ids(chat["id"])
        done = self.verify(session)
        self.assertEqual(done.code, 0, done)
        proof = self.table(done)[chat["id"]]
        self.assertEqual(proof["migrated_from"], chat["migrated_from"])
        self.assertEqual(proof["migrated_count"], len(old))
        self.assertEqual(proof["server_count"], len(old) + len(new))
        self.assertEqual(proof["rows"], len(old) + len(new))


class Unreachable(Case):
    """The files can be checked without the server; that it was not asked is told for each chat."""

    sim_args = None

    def test_every_chat_is_told(self):
        sim = type(self).sim = Sim(self.dir / "dc", "--chats", "3", "--messages", "60")
        session = self.dir / "me.session"
        self.login(session)
        done = tgdata(*self.extract_args("--all", session=session))
        self.assertEqual(done.code, 0, done)
        sim.stop()
        chats = sim.chats(sim.account())
        words = ["verify", *self.account_args(session), "--state", f"sqlite:{self.dir}/state.db",
                 "--job", "job", "--json", "--attempts", "2"]
        done = tgdata(*words)
        self.check_fails(done, 6, f"{len(chats)} of {len(chats)} chats could not be checked")
        table = done.json()
        self.assertFalse(table["complete"])
        self.assertEqual(len(table["chats"]), len(chats))
        for chat in table["chats"]:
            self.assertTrue(chat["error"])
            self.assertTrue(chat["finished"])
            self.assertEqual(chat["server_count"], -1)
            self.assertGreater(chat["rows"], 0)
        offline = ["verify", "--offline", "--state", f"sqlite:{self.dir}/state.db", "--job", "job"]
        done = tgdata(*offline, "--json", "--session", self.dir / "no.session")
        self.assertEqual(done.code, 0, done)
        for chat in done.json()["chats"]:
            self.assertTrue(chat["complete"] and chat["title"] and chat["error"] is None, chat)
        done = tgdata(*offline)
        self.assertIn(": complete", done.out)
        self.assertNotIn("server", done.out)
        broken = next((self.dir / "out").glob("chat_*/part-*.ndjson"))
        broken.unlink()
        self.check_fails(tgdata(*words), 10, "1 of")
        self.check_fails(tgdata(*offline), 10, "1 of")
        sim.start("--listen", "127.0.0.1:0")


if __name__ == "__main__":
    main()
