#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tgdata/parallel.h as a C program uses it: five accounts, priorities, tenants, retries."""
import os
import pathlib
import subprocess

from kit import Case, main, rows, tgdata

PUBLIC = ("supergroup", "forum", "channel")
HIGH, NORMAL, LOW = 0, 1, 2


class ParallelC(Case):
    sim_args = ("--chats", "90", "--messages", "1000", "--seed", "5", "--latency-ms", "5",
                "--flood", "messages.getHistory=15/10")

    def setUp(self):
        super().setUp()
        users = [a for a in self.sim.accounts if "bot_token" not in a][:5]
        self.assertEqual(len(users), 5)
        self.sessions = [self.dir / f"{i}.session" for i in range(5)]
        for path, account in zip(self.sessions, users):
            self.login(path, account)
        self.chats = [c for c in self.sim.world["chats"] if c["username"] and c["kind"] in PUBLIC
                      and not c["migrated_from"]
                      and all(a["user_id"] in c["members"] for a in users)]

    def run_tasks(self, workers, *tasks, code=0):
        """What the program told: the lines, split into words."""
        program = pathlib.Path(os.environ["TG_BUILD"]) / "tests" / "parallel_client"
        done = subprocess.run(
            [program, f"sqlite:{self.dir}/state.db", f"ndjson:{self.dir}/out",
             ",".join(map(str, self.sessions)), str(workers), *tasks],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        self.assertEqual(done.returncode, code, done)
        return [line.split() for line in done.stdout.decode().splitlines()]

    @staticmethod
    def task(chat, priority=NORMAL, *more):
        return ",".join(map(str, (chat["username"], priority, *more)))

    def ended(self, lines):
        return [int(w[1]) for w in lines if w[0] == "T"]

    def test_tenants_get_shares_of_the_requests(self):
        n = len(self.chats) * 3 // 5
        self.assertGreater(n, 16)
        gold, iron = self.chats[:n], self.chats[n:]
        lines = self.run_tasks(4, *[self.task(c, NORMAL, "gold", 3) for c in gold],
                               *[self.task(c, NORMAL, "iron", 1) for c in iron])
        self.check_whole(self.chats)
        self.assertEqual(sorted(self.ended(lines)), list(range(1, len(self.chats) + 1)))
        names = {c["id"]: "gold" for c in gold} | {c["id"]: "iron" for c in iron}
        got, left = {"gold": 0, "iron": 0}, len(gold)
        for words in lines:
            if words[0] == "B":
                got[names[int(words[1])]] += int(words[2])
            elif words[0] == "T" and int(words[1]) <= len(gold):
                left -= 1
                if left == 3:  # the last ones are at work: gold has nothing more that waits
                    break
        share = got["gold"] / (got["gold"] + got["iron"])
        print(f"share of the tenant with three parts of four: {share:.3f} {got}")
        self.assertAlmostEqual(share, 0.75, delta=0.075)

    def test_priorities(self):
        low, normal, high = self.chats[:3]
        lines = self.run_tasks(1, self.task(low, LOW), self.task(normal), self.task(high, HIGH))
        self.assertEqual(self.ended(lines), [3, 2, 1])

    def test_steps_of_the_program(self):
        """Before its callback, which gets what they leave, and the destination."""
        chats = self.chats[:3]
        lines = self.run_tasks(3, *map(self.task, chats), "/7")
        found = rows(self.dir / "out")
        self.assertEqual(sorted((r["chat_id"], r["id"]) for r in found),
                         sorted((c, i) for c, i in self.sim.truth(chats) if i % 7 == 0))
        self.assertTrue(all(r["text"] == f"id {r['id']}" and r["word_count"] == 2 for r in found))
        self.assertEqual(sum(int(w[2]) for w in lines if w[0] == "B"), len(found))

    def with_a_late_one(self, *settings):
        """Four chats for four workers, and a fifth of high priority that comes later."""
        tasks = [self.task(c) for c in self.chats[:4]]
        lines = self.run_tasks(4, *tasks, "+" + self.chats[4]["username"], "in-flight=2",
                               *settings)
        self.check_whole(self.chats[:5])
        self.assertEqual(sorted(self.ended(lines)), [1, 2, 3, 4, 5])
        return lines

    def test_a_share_of_workers_and_requests_is_kept_for_high_priority(self):
        self.sessions = self.sessions[:1]
        chats = [int(w[1]) for w in self.with_a_late_one() if w[0] == "B"]
        first = [chats.index(c["id"]) for c in self.chats[:5]]
        self.assertEqual(max(first), first[4])  # all workers were busy
        for name in ("out", "state.db"):
            os.rename(self.dir / name, self.dir / (name + ".before"))
        ended = self.ended(self.with_a_late_one("reserved-share=30"))
        self.assertLess(ended.index(5), min(ended.index(3), ended.index(4)))

    def test_a_reserved_session_reads_chats_of_high_priority_alone(self):
        self.sessions = self.sessions[:2]
        lines = self.with_a_late_one("reserve=1.session")
        with_session = {w[1]: w[6].rsplit("/", 1)[1] for w in lines if w[0] == "T"}
        self.assertEqual(with_session, dict.fromkeys("1234", "0.session") | {"5": "1.session"})
        done = tgdata("extract", "--accounts", ",".join(map(str, self.sessions)), "--reserve",
                      "2.session", "--to", f"ndjson:{self.dir}/no", "--state",
                      f"sqlite:{self.dir}/no.db", "--all")
        self.assertEqual(done.code, 2, done)
        self.assertIn("no session '2.session' to reserve", done.err)

    def test_a_task_is_put_off_and_tried_again_from_its_result(self):
        lines = self.run_tasks(3, self.task(self.chats[0], HIGH, "", 0, "later"),
                               self.task(self.chats[1], NORMAL, "", 0, "retry"),
                               "nobody_has_this_name,1,,0,retry", self.task(self.chats[2]), code=3)
        ended = self.ended(lines)
        self.assertEqual(sorted(ended), [1, 1, 2, 2, 3, 4])
        self.assertEqual([w[2] for w in lines if w[0] == "T" and w[1] == "3"], ["0"])
        self.assertEqual(sorted(w[1] != "0" for w in lines if w[0] == "X"), [False, False, True])
        self.check_whole(self.chats[:3])

    def test_workers_change_while_it_runs(self):
        tasks = [self.task(c) for c in self.chats[:30]]
        tasks[0] = self.task(self.chats[0], HIGH, "", 0, "8")
        tasks[15] = self.task(self.chats[15], NORMAL, "", 0, "1")
        lines = self.run_tasks(2, *tasks)
        self.check_whole(self.chats[:30])
        at = [i for i, w in enumerate(lines) if w[0] == "X"]
        work = [[int(w[1]) for w in part if w[0] == "N"]
                for part in (lines[:at[0]], lines[at[0]:at[1]], lines[at[1]:])]
        self.assertLessEqual(max(work[0]), 2)
        self.assertEqual(max(work[1]), 8)
        self.assertLessEqual(min(n for n in work[2] if n), 1)

    def test_waits_are_told(self):
        lines = self.run_tasks(20, *[self.task(c) for c in self.chats])
        waits = [w for w in lines if w[0] == "W"]
        self.assertTrue(waits)
        self.assertEqual(len(waits), int(lines[-1][2]))
        for _, account, method, seconds in waits:
            self.assertIn(pathlib.Path(account), self.sessions)
            self.assertEqual(method, "messages.getHistory")
            self.assertGreater(float(seconds), 0)
        self.check_whole(self.chats)

    def test_the_example(self):
        program = pathlib.Path(os.environ["TG_BUILD"]) / "tests" / "parallel"
        names = ["@" + c["username"] for c in self.chats[:4]]
        done = subprocess.run(
            [program, ",".join(map(str, self.sessions)), names[0] + "-", names[1] + "!",
             *names[2:]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, cwd=self.dir)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn(b" rows of 4 chats", done.stderr)
        self.check_whole(self.chats[:4], self.dir / "parallel-example")


if __name__ == "__main__":
    main()
