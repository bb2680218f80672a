#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Many chats at once with several accounts: everything once, and troubles kept apart."""
import json
import signal
import time

from kit import Case, main, rows, start, tgdata, wait_for

PUBLIC = ("supergroup", "forum", "channel")


class Parallel(Case):
    sim_args = ("--chats", "24", "--messages", "700", "--seed", "11")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sessions = None

    def sessions_dir(self):
        """A directory of sessions, one for each account that is no bot."""
        if type(self).sessions is None:
            made = self.top / "sessions"
            made.mkdir()
            for i, account in enumerate(self.users()):
                self.login(made / f"a{i}.session", account)
            type(self).sessions = made
        return type(self).sessions

    def users(self):
        return [a for a in self.sim.accounts if "bot_token" not in a]

    def all_chats(self):
        """What any of the accounts lists."""
        found = {c["id"]: c for a in self.users() for c in self.sim.chats(a)}
        return list(found.values())

    def parallel_args(self, *chats, accounts=None, progress="none", more=()):
        return ["extract", *chats, "--accounts", accounts or self.sessions_dir(), "--to",
                f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db", "--job", "job",
                "--lease", "1s", "--progress", progress, *more]

    def test_all_chats_of_all_accounts_arrive_once(self):
        done = tgdata(*self.parallel_args("--all", more=["--json"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.all_chats())
        self.assertEqual(done.json()["rows"], len(rows(self.dir / "out")))
        again = tgdata(*self.parallel_args("--all", more=["--json"]))
        self.assertEqual((again.code, again.json()["rows"]), (0, 0), again)

    def test_killed_again_and_again(self):
        for i in range(12):
            run = start(*self.parallel_args("--all", more=["--checkpoint-interval", "100",
                                                           "--batch-size", "50"]))
            time.sleep(0.15 + 0.02 * i)
            if run.poll() is None:
                run.kill()
            run.wait()
        done = tgdata(*self.parallel_args("--all", more=["--checkpoint-interval", "100",
                                                         "--batch-size", "50"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.all_chats())

    def test_named_chats_with_one_account_each_worker(self):
        wanted = [c for c in self.sim.chats(self.users()[0]) if c["username"]
                  and c["kind"] in PUBLIC][:6]
        done = tgdata(*self.parallel_args(*["@" + c["username"] for c in wanted],
                                          more=["--workers", "3"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(wanted)

    def test_a_private_chat_is_read_with_the_account_that_has_it(self):
        """Anybody can look its name up."""
        wanted = [c for c in self.all_chats() if c["username"] and c["kind"] == "private"]
        self.assertTrue(wanted)
        done = tgdata(*self.parallel_args(*["@" + c["username"] for c in wanted]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(wanted)

    def test_a_chat_that_cannot_be_read_touches_no_other(self):
        wanted = [c for c in self.sim.chats(self.users()[0]) if c["username"]
                  and c["kind"] in PUBLIC][:4]
        names = ["@" + c["username"] for c in wanted]
        done = tgdata(*self.parallel_args(names[0], "@nobody_has_this_name", *names[1:]))
        self.assertEqual(done.code, 3, done)
        self.assertIn("nobody_has_this_name", done.err)
        self.check_whole(wanted)

    def test_an_account_that_is_logged_out_is_set_aside(self):
        mine = self.dir / "mine"
        mine.mkdir()
        for i, account in enumerate(self.users()[:2]):
            self.login(mine / f"{i}.session", account)
        ended = tgdata("logout", "--session", mine / "0.session", "--datacenter", self.sim.file)
        self.assertEqual(ended.code, 0, ended)
        (mine / "0.session").touch()
        self.login(self.dir / "other.session", self.users()[0])
        (self.dir / "other.session").rename(mine / "0.session")
        shared = [c for c in self.sim.chats(self.users()[1]) if c["username"]
                  and self.users()[0]["user_id"] in c["members"]][:3]
        done = tgdata(*self.parallel_args(*["@" + c["username"] for c in shared], accounts=mine))
        self.assertEqual(done.code, 0, done)
        self.check_whole(shared)

    def test_a_session_in_use_is_left_out_of_a_directory(self):
        first = self.sessions_dir() / "a0.session"
        slow = start("extract", "--all", "--session", first, "--to", f"ndjson:{self.dir}/slow",
                     "--state", f"sqlite:{self.dir}/slow.db", "--rate", "2", "--progress", "none")
        self.assertTrue(wait_for(lambda: first.with_suffix(".session.lock").exists()))
        named = next(c for c in self.sim.chats(self.users()[1]) if c["username"]
                     and c["kind"] in PUBLIC)
        done = tgdata(*self.parallel_args("@" + named["username"]))
        slow.send_signal(signal.SIGTERM)
        slow.wait(30)
        self.assertEqual(done.code, 0, done)
        self.assertIn("in use", done.err)
        self.check_whole([named])

    def test_ids_of_one_account_are_not_mixed_with_anothers(self):
        """A basic group's ids are each account's own: nobody else goes on within it."""
        old = next(c for c in self.sim.world["chats"] if c["migrated_from"])
        group = next(c for c in self.sim.world["chats"] if c["id"] == old["migrated_from"])
        mine = self.dir / "mine"
        mine.mkdir()
        member = next(a for a in self.users() if a["user_id"] in group["members"])
        other = next(a for a in self.users() if a["user_id"] not in group["members"]
                     and a["user_id"] in old["members"])
        self.login(mine / "other.session", other)
        self.login(self.dir / "member.session", member)
        more = ["--batch-size", "20", "--checkpoint-interval", "20", "--in-flight", "1"]
        run = start(*self.parallel_args(str(old["id"]), accounts=self.dir / "member.session",
                                        more=[*more, "--rate", "1"]))
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        run.kill()
        run.wait()
        self.assertLess(len(rows(self.dir / "out")), len(self.sim.ids(group["id"])))
        time.sleep(1.2)
        done = tgdata(*self.parallel_args(str(old["id"]), accounts=mine, more=more))
        self.check_fails(done, 4, str(member["user_id"]))
        (self.dir / "member.session").rename(mine / "member.session")
        done = tgdata(*self.parallel_args(str(old["id"]), accounts=mine, more=more))
        self.assertEqual(done.code, 0, done)
        self.check_whole([old])

    def test_workers_change_at_sighup(self):
        number = self.dir / "workers"
        number.write_text("1\n", encoding="ascii")
        log = self.dir / "log"
        with log.open("wb") as err:
            run = start(*self.parallel_args("--all", progress="json",
                                            more=["--workers-from", number, "--rate", "8"]),
                        stderr=err)

        def at_work():
            last = 0
            for line in log.read_text(encoding="utf-8").splitlines():
                if line.startswith('{"event":"progress"'):
                    last = json.loads(line)["at_work"]
            return last
        self.assertTrue(wait_for(lambda: at_work() == 1))
        number.write_text("7\n", encoding="ascii")
        run.send_signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: at_work() >= 6), log.read_text(encoding="utf-8"))
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 130)


if __name__ == "__main__":
    main()
