#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Circuit breakers: what is broken stops alone, is told and counted, and is not forgotten."""
from kit import Case, main, tgdata

BROKEN = ("--circuit-failures", "3", "--max-backoff", "200ms", "--json")


class Circuit(Case):
    """Four chats, of which the second is broken."""

    sim_args = ("--chats", "8", "--messages", "400", "--seed", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        listed = [c for c in cls.sim.chats(cls.sim.account()) if c["kind"] != "group"]
        cls.chats = [c for c in listed if not c["migrated_from"]][:4]
        cls.bad = cls.chats[1]

    def setUp(self):
        super().setUp()
        self.me = self.session()

    def break_it(self, more="", only=True):
        """The data centre goes on with faults; without arguments the chat answers nothing else."""
        self.sim.stop()
        whom = f",chat={self.bad['id']}" if only else ""
        self.sim.start("--faults", f"500=1{whom}{more}")

    def mend(self):
        self.sim.stop()
        self.sim.start()

    def extract(self, *more):
        return tgdata(*self.extract_args(*[c["id"] for c in self.chats], session=self.me,
                                         more=[*BROKEN, *more]))

    def transitions(self, done, whose):
        """What the log tells of one breaker."""
        head = f": circuit breaker of {whose}"
        lines = [line for line in done.err.splitlines() if head in line]
        return [line.split(head)[1].split(": ")[1].split(",")[0] for line in lines]

    def check_counts(self, done, **kinds):
        for kind, counts in done.json()["circuits"].items():
            wanted = kinds.get(kind, (0, 0, 0))
            self.assertEqual((counts["opened"], counts["half_opened"], counts["closed"]), wanted,
                             done)

    def others(self):
        return [c for c in self.chats if c is not self.bad]

    def test_one_broken_chat_fails_and_no_other(self):
        for workers in ("1", "3"):
            with self.subTest(workers=workers):
                self.dir = self.dir / workers
                self.dir.mkdir()
                self.break_it()
                done = self.extract("--circuit-open", "fail", "--workers", workers)
                self.assertEqual(done.code, 6, done)
                self.assertIn(f"tgdata extract: the circuit breaker of chat {self.bad['id']} is "
                              "open; the next try is in 60 s\n  hint: ", done.err)
                self.assertEqual(self.transitions(done, f"chat {self.bad['id']}"),
                                 ["closed to open"])
                self.check_counts(done, chat=(1, 0, 0))
                self.check_whole(self.others())
                self.mend()

    def test_a_broken_chat_is_waited_for_and_keeps_nobody_waiting(self):
        """It is mended after a while; meanwhile the one worker reads the others."""
        self.break_it(",most=3")
        done = self.extract("--recovery-timeout", "1s")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.transitions(done, f"chat {self.bad['id']}"),
                         ["closed to open", "open to half_open", "half_open to closed"])
        self.check_counts(done, chat=(1, 1, 1))
        self.check_whole(self.chats)
        self.mend()

    def test_a_chat_that_stays_broken_is_given_up(self):
        self.break_it()
        done = self.extract("--recovery-timeout", "200ms", "--attempts", "5")
        self.assertEqual(done.code, 6, done)
        self.assertIn("channels.getFullChannel", done.err.splitlines()[-2], done)
        self.check_whole(self.others())
        self.assertGreaterEqual(done.json()["circuits"]["chat"]["opened"], 2)
        self.mend()

    def test_an_account_that_is_refused_everything_stops_as_a_whole(self):
        self.break_it(",most=8,only=channels.getFullChannel", only=False)
        done = self.extract("--recovery-timeout", "1s", "--workers", "3")
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.chats)
        self.assertGreaterEqual(done.json()["circuits"]["account"]["opened"], 1, done)
        self.assertEqual(self.transitions(done, "the account")[0], "closed to open")
        self.mend()


if __name__ == "__main__":
    main()
