#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`tgdata stream` beside a world that lives: whatever is pushed, lost, late, or too long ago, and
whenever it is killed, the destination tells of the world as it is in the end."""
import json
import signal
import subprocess
import time

import change_model
from kit import main, start, wait_for
from live_kit import LiveCase, NdjsonOut, SqliteOut

KILLS = 8


class Stream(LiveCase):
    def live_through(self, out, seconds, *more):
        """Streams while the world lives, then until nothing comes any more."""
        process = self.begin(out, *more)
        time.sleep(seconds)
        self.end(process)
        self.sim.stand_still()
        return self.catch_up(out, *more)

    def test_what_happens_is_delivered_in_order(self):
        self.world("100/mass=5")
        out = NdjsonOut(self.dir)
        self.live_through(out, 4, "--history")
        state = self.check_is_world(out)
        self.check_is_read(state)
        self.verified()
        told = {r.get("change", "read") for r in out.rows()}
        self.assertEqual(told, {"read", "new", "edited", "reactions", "deleted"})
        took, lost = change_model.latencies(
            change_model.Truth(self.sim).changes(set(self.sim.watchable())), out.rows(),
            change_model.file_commits(out.dir))
        print(*change_model.told(took), f"{lost} not told one by one", sep="\n", flush=True)

    def test_without_history_only_what_happens(self):
        self.world("200/paused=1")
        out = NdjsonOut(self.dir)
        process = self.begin(out)
        self.assertTrue(wait_for(lambda: self.sim.stats()["methods"].get("updates.getDifference")
                                 or self.sim.stats()["methods"].get("updates.getState")))
        time.sleep(1)
        self.sim.go_on()
        time.sleep(2)
        self.sim.stand_still()
        time.sleep(1)
        self.end(process)
        self.catch_up(out)
        state = self.check_is_world(out, touched=self.touched())
        chats, expected, nowhere = set(self.sim.watchable()), set(), set()
        for c in change_model.Truth(self.sim).changes(chats):
            for i in c.ids:
                unknown = c.kind == "deleted" and c.chat > -10**12 and (c.chat, i) not in expected
                (nowhere if unknown else expected).add((c.chat, i))
        self.assertEqual(set(state), expected)  # the server does not tell where the others were
        self.assertTrue(nowhere)

    def test_killed_at_random_moments(self):
        self.world("200/mass=5,deletes=10")
        for out in SqliteOut(self.dir), NdjsonOut(self.dir):
            job = type(out).__name__
            self.sim.go_on()
            kills = 0
            while kills < KILLS:
                process = self.begin(out, "--history", job=job)
                time.sleep(self.random.uniform(0.1, 1.2))
                kills += self.killed(process)
            self.sim.stand_still()
            self.catch_up(out, "--history", job=job)
            self.check_is_world(out)
            self.verified(job)

    def test_pushes_are_lost_doubled_late(self):
        self.world("200/lose=10,repeat=10,swap=10,mass=5")
        out = SqliteOut(self.dir)
        self.live_through(out, 4, "--history")
        self.check_is_world(out)

    def test_channels_of_which_nothing_is_pushed(self):
        self.world("100/silent=60,timeout=1,mass=5")
        out = NdjsonOut(self.dir)
        process = self.begin(out, "--history")
        time.sleep(6)
        self.sim.stand_still()
        time.sleep(3)  # it goes on asking
        self.end(process)
        self.check_is_world(out)
        took, lost = change_model.latencies(
            change_model.Truth(self.sim).changes(set(self.sim.watchable())), out.rows(),
            change_model.file_commits(out.dir), change_model.Truth(self.sim).silent)
        self.assertTrue(took["polled"])
        print(*change_model.told(took), f"{lost} not told one by one", sep="\n", flush=True)

    def test_away_for_too_long(self):
        self.world("0/burst=900,mass=10,deletes=10,keep=60,early=1,reach=0")
        out = SqliteOut(self.dir)
        self.catch_up(out, "--history")
        self.sim.burst(900)
        told = self.catch_up(out, "--history")
        self.check_is_world(out)
        self.assertGreater(told["requests"]["history"], 0)
        self.verified()

    def test_private_chats_and_basic_groups(self):
        """Deletions of theirs do not tell where."""
        self.world("150/deletes=40,edits=20,reactions=10,reach=0")
        chats = self.sim.watchable(("private", "group"))
        self.assertGreater(len(chats), 1)
        out = SqliteOut(self.dir)
        process = self.begin(out, "--history", chats=chats)
        time.sleep(3)
        self.killed(process)
        time.sleep(0.5)
        self.sim.stand_still()
        self.catch_up(out, "--history", chats=chats)
        state = self.check_is_world(out, chats)
        self.assertTrue(any(s.gone for s in state.values()))
        self.assertTrue(all(s.row["owner"] == self.sim.account()["user_id"]
                            for s in state.values()))

    def test_reactions_alone(self):
        self.world("0/burst=200,reactions=100,edits=0,deletes=0")
        out = NdjsonOut(self.dir)
        self.catch_up(out, "--history")
        before = len(out.rows())
        process = self.begin(out, "--history")
        time.sleep(1)
        self.sim.burst(200)
        time.sleep(1)
        self.end(process)
        state = self.check_is_world(out)
        told = [r["change"] for r in out.rows()[before:]]
        self.assertEqual(set(told), {"reactions"})
        self.check_is_read(state)

    def test_packets_that_only_seq_counts(self):
        """What is lost of them nobody tells; but that it is lost is noticed, and asked about."""
        asked = {}
        for lose in 0, 30:
            self.world(f"0/burst=200,reactions=100,edits=0,deletes=0,bare=1,lose={lose}")
            out, job = NdjsonOut(self.dir / f"lose{lose}"), f"lose{lose}"
            self.catch_up(out, "--history", job=job)
            before = len(out.rows())
            process = self.begin(out, "--json", "--idle-exit", "3s", job=job)
            time.sleep(1)
            self.sim.burst(200)
            told, _ = process.communicate(timeout=60)
            asked[lose] = json.loads(told)["requests"]["difference"]
            self.assertEqual({r["change"] for r in out.rows()[before:]}, {"reactions"})
            if not lose:
                self.check_is_world(out)
            self.sim.stop()
        self.assertGreater(asked[30], asked[0])

    def test_a_destination_that_stalls(self):
        self.world("400/mass=5")
        out = SqliteOut(self.dir)
        process = self.begin(out, "--history", "--buffer-size", "500", "--batch-size", "100")
        self.assertTrue(wait_for(out.rows))
        for _ in range(4):
            out.stall(self.random.uniform(0.3, 1.5))
            time.sleep(self.random.uniform(0, 0.3))
        self.end(process)
        self.sim.stand_still()
        self.catch_up(out, "--history")
        self.check_is_world(out)
        self.verified()

    def test_killed_between_commit_and_checkpoint(self):
        """The destination has the commit, the state store does not know of it yet; and the other
        way round: the entry is there, the commit is not."""
        self.world("200/mass=5")
        out = SqliteOut(self.dir)
        state = SqliteOut(self.dir)
        state.file = self.dir / "state.db"
        for i in range(6):
            process = self.begin(out, "--history")
            self.assertTrue(wait_for(lambda: len(out.rows()) > 0))
            time.sleep(self.random.uniform(0.2, 0.5))
            destination = out.db(timeout=60)
            destination.execute("BEGIN IMMEDIATE")
            time.sleep(0.3)  # its entry is there, it waits to commit
            if i % 2:
                store = state.db(timeout=60)
                store.execute("BEGIN IMMEDIATE")
                destination.execute("ROLLBACK")
                time.sleep(0.3)  # it has committed, and waits for its checkpoint
                self.killed(process)
                store.execute("ROLLBACK")
                store.close()
            else:
                self.killed(process)
                destination.execute("ROLLBACK")
            destination.close()
        self.sim.stand_still()
        self.catch_up(out, "--history")
        self.check_is_world(out)
        self.verified()

    def test_verify_while_it_goes_on(self):
        """What changes between two looks is looked at again."""
        self.world("150/mass=3")
        out = SqliteOut(self.dir)
        process = self.begin(out, "--history")
        time.sleep(2)
        first, self.session_file = self.session_file, self.dir / "second.session"
        self.login(self.session_file)
        for _ in range(3):
            proof = self.verified()
            self.assertTrue(all(c["complete"] for c in proof["chats"]))
        self.session_file = first
        self.end(process)

    def test_its_result_and_its_progress(self):
        self.world("0/burst=300,mass=3")
        out = NdjsonOut(self.dir)
        self.catch_up(out, "--history")
        n_read = len(out.rows())
        words = self.words("stream", out, "--history", "--json", "--progress", "json")
        process = start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running.append(process)
        time.sleep(1)
        self.sim.burst(300)
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        told, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, err.decode())
        result = json.loads(told)
        rows = out.rows()[n_read:]
        self.assertEqual(result["changes_detected"], len(rows))
        for kind in ("new", "edited", "reactions", "deleted"):
            self.assertEqual(result[kind], sum(r.get("change") == kind for r in rows), kind)
        lines = [json.loads(line) for line in err.decode().splitlines() if line.startswith("{")]
        self.assertGreater(len(lines), 1)
        self.check_is_world(out)


if __name__ == "__main__":
    main()
