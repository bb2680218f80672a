#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tg_batch_commit reported as committed is never delivered again and never lost: a program
that embeds the library is killed at random moments, over and over, until it reaches the end."""
import os
import pathlib
import random
import subprocess

from kit import Case, clean_env, main, rows

KILLS = 60
SEED = int(os.environ.get("TG_SEED", "1"))


class Commit(Case):
    sim_args = ("--chats", "6", "--messages", "3000", "--seed", "9", "--latency-ms", "25")

    def begin(self, session, to, chats):
        program = pathlib.Path(os.environ["TG_BUILD"]) / "tests" / "commit_client"
        words = [program, session, self.sim.file, f"sqlite:{self.dir}/state.db",
                 self.dir / "journal", to, *chats]
        return subprocess.Popen([str(w) for w in words], env=clean_env(),
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def journal(self):
        text = (self.dir / "journal").read_text(encoding="ascii")
        return [(k, int(c), int(i)) for k, c, i in (line.split() for line in text.splitlines())]

    def check_journal(self, chats):
        """Delivered: every id of the world. Committed: never delivered again."""
        delivered, committed, again = set(), {}, 0
        for kind, chat, i in self.journal():
            if kind == "C":
                committed[chat] = i
                continue
            self.assertGreater(i, committed.get(chat, 0), f"chat {chat}, seed {SEED}")
            again += (chat, i) in delivered
            delivered.add((chat, i))
        self.assertEqual(sorted(delivered), sorted(self.sim.truth(chats)))
        return again

    def run_until_the_end(self, to, chats):
        session, draw, kills = self.session(), random.Random(SEED), 0
        while True:
            process = self.begin(session, to, [c["id"] for c in chats])
            try:
                wait = draw.uniform(0.02, 0.3) if kills < KILLS else 120
                err = process.communicate(timeout=wait)[1].decode()
                self.assertEqual(process.returncode, 0, err)
                return kills
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1

    def test_a_callback_alone(self):
        chats = [c for c in self.sim.chats(self.sim.account()) if not c["migrated_from"]][:3]
        kills = self.run_until_the_end("-", chats)
        again = self.check_journal(chats)
        print(f"{kills} kills, {again} rows delivered again", flush=True)
        self.assertGreater(kills, 5)

    def test_a_callback_and_files(self):
        chats = [c for c in self.sim.chats(self.sim.account()) if not c["migrated_from"]][:2]
        kills = self.run_until_the_end(f"ndjson:{self.dir}/out", chats)
        self.check_journal(chats)
        self.check_whole(chats)
        self.assertEqual(self.verify().code, 0)
        self.assertGreater(kills, 5)
        written = {(r["chat_id"], r["id"]) for r in rows(self.dir / "out")}
        self.assertEqual(written, {(c, i) for kind, c, i in self.journal() if kind == "D"})


if __name__ == "__main__":
    main()
