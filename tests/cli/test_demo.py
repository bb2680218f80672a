#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demo kills its extraction in the middle, however small the world is, and proves the rest."""
from kit import Case, main, tgdata


class Demo(Case):
    sim_args = None

    def demo(self, *words):
        done = tgdata("demo", "--dir", self.dir / "demo", *words, timeout=120)
        self.assertEqual(done.code, 0, done)
        self.assertIn(": 0 lost, 0 twice, 0 that were never there", done.out)
        return done

    def test_it_is_killed_before_its_end(self):
        for chats, messages in [(1, 1), (1, 99), (2, 130), (6, 3000), (3, 20000)]:
            with self.subTest(chats=chats, messages=messages):
                self.fresh_dir()
                done = self.demo("--chats", chats, "--messages", messages)
                self.assertIn("The process was killed with SIGKILL", done.out)
                self.assertRegex(done.out, r"Went on behind the last commit: [1-9][\d,]* messages")

    def test_groups_that_others_grew_from(self):
        """A supergroup whose earlier group only others were in is whole without that."""
        self.demo("--chats", 30, "--messages", 120)

    def test_without_a_kill(self):
        self.assertNotIn("SIGKILL", self.demo("--chats", 2, "--messages", 500, "--no-kill").out)


if __name__ == "__main__":
    main()
