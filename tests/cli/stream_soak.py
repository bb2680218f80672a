#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A live world for many minutes, and a stream of it, killed again and again: ./dev stream-soak

    stream_soak.py [MINUTES] [CHANGES A SECOND] [CHANNELS]      10 2000 200

The destination is a table in SQLite, which somebody locks at random for up to some seconds. About
every minute the program is killed: at any moment; between its journal's entry and the commit;
between the commit and its checkpoint. Then comes a calm minute, whose latencies are told. In the
end the destination is compared with the world, message by message, and so does `tgdata verify`.
Memory is the largest VmHWM of any of the runs. Exit code 1: something is not as it must be.
"""
import bisect
import json
import pathlib
import re
import sys
import threading
import time
import unittest

import change_model
from kit import start, wait_for
from live_kit import SEED, LiveCase, SqliteOut, World

CALM_S, MEMORY_MIB, P95_MS = 60, 128, 250
COLUMNS = "chat_id, id, change, change_seq, change_pts, text, edit_date, reactions"


class Witness(threading.Thread):
    """Sees when each commit is there, and how much memory the program has had."""

    def __init__(self, out):
        super().__init__(daemon=True)
        self.out, self.pid, self.commits, self.memory_kb, self.over = out, None, [], 0, False

    def look_at_memory(self):
        try:
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        found = re.search(r"VmHWM:\s+(\d+)", status)
        if found:
            self.memory_kb = max(self.memory_kb, int(found[1]))

    def look_at_commits(self, db):
        last = self.commits[-1][2] if self.commits else 0
        rows = db.execute("SELECT id, seq FROM messages_commits WHERE chat_id = 0 AND seq > ? "
                          "ORDER BY seq", (last,)).fetchall()
        now = time.time_ns() // 1000
        self.commits += [(place, now, seq) for place, seq in rows]

    def run(self):
        wait_for(lambda: self.over or self.out.rows_any(), 600)
        db = self.out.db(timeout=60)
        n = 0
        while not self.over:
            self.look_at_commits(db)
            if n % 20 == 0:
                self.look_at_memory()
            n += 1
            time.sleep(0.005)
        db.close()


class SoakOut(SqliteOut):
    def rows_any(self):
        if not self.file.exists():
            return False
        return bool(self.ask("SELECT 1 FROM sqlite_master WHERE name = 'messages_commits'"))

    def of_chat(self, chat):
        return self.ask(f"SELECT {COLUMNS} FROM messages WHERE chat_id = {chat} "
                        "ORDER BY change_seq")

    def newest(self, seq):
        return self.ask(f"SELECT {COLUMNS} FROM messages WHERE change_seq > {seq}")


class Soak(LiveCase):
    minutes, rate, watched = 10, 2000, 200
    more = "--allow-protected",

    def runTest(self):
        rate = self.rate * self.chats // self.watched
        spec = f"{rate}/mass=10,silent=10,timeout=1,lose=1,repeat=1,swap=1"
        World.kept_out = ("left",)
        self.world(spec, "--latency-ms", "2")
        print(f"{len(self.sim.watchable())} chats are watched, of which "
              f"{len([c for c in self.sim.watchable() if c < -10**12])} are channels", flush=True)
        self.out = SoakOut(self.dir)
        self.witness = Witness(self.out)
        self.witness.start()
        self.addCleanup(setattr, self.witness, "over", True)
        self.kills = {"anywhere": 0, "before the commit": 0, "before the checkpoint": 0}
        self.stalls = []
        begun = time.monotonic()
        self.storm(begun + 60 * self.minutes)
        calm = self.calm()
        self.finish(calm)

    def spawn(self):
        with (self.dir / "log").open("ab") as log:
            process = start(*self.words("stream", self.out, "--history", "--progress", "json",
                                        *self.more), stdout=log, stderr=log)
        self.running.append(process)
        self.witness.pid = process.pid
        return process

    def still(self, process):
        if process.poll() is not None:
            log = (self.dir / "log").read_text(encoding="utf-8").splitlines()
            self.fail(f"it ended with {process.returncode}: {log[-3:]}")

    def storm(self, until):
        process = self.spawn()
        self.assertTrue(wait_for(self.out.rows_any, 120))
        while time.monotonic() < until:
            kill_at = min(until, time.monotonic() + self.random.uniform(40, 55))
            while time.monotonic() < kill_at:
                time.sleep(self.random.uniform(2, 15))
                self.still(process)
                self.stalls.append(self.random.choice([0.2, 1, 3, 8]) * self.random.random())
                self.out.stall(self.stalls[-1])
            self.still(process)
            self.kill(process)
            process = self.spawn()
            print(f"{60 * self.minutes - (until - time.monotonic()):4.0f} s: {self.kills}, "
                  f"{len(self.stalls)} stalls, {self.witness.memory_kb // 1024} MiB", flush=True)

    def kill(self, process):
        how = self.random.choice(list(self.kills))
        self.kills[how] += 1
        if how == "anywhere":
            self.killed(process)
            return
        destination = self.out.db(timeout=60)
        destination.execute("BEGIN IMMEDIATE")
        time.sleep(1)  # its entry is written, it waits to commit
        if how == "before the commit":
            self.killed(process)
            destination.execute("ROLLBACK")
        else:
            state = SqliteOut(self.dir)
            state.file = self.dir / "state.db"
            store = state.db(timeout=60)
            store.execute("BEGIN IMMEDIATE")
            destination.execute("ROLLBACK")
            time.sleep(1)  # it has committed, and waits for its checkpoint
            self.killed(process)
            store.execute("ROLLBACK")
            store.close()
        destination.close()

    def calm(self):
        """Once it has caught up, a minute without trouble. @return when it began, in µs"""
        self.assertTrue(wait_for(lambda: self.lag() < 1, 300), "it does not catch up")
        time.sleep(5)
        begun = time.time_ns() // 1000
        time.sleep(CALM_S)
        self.still(self.running[-1])
        return begun

    def lag(self):
        """Of the last seconds the longest that it was behind."""
        with (self.dir / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 20000))
            lines = [line for line in log.read().splitlines()[1:] if b'"statistics"' in line]
        told = [json.loads(line) for line in lines[-8:]]
        if len(told) < 8 or min(t["seconds"] for t in told) < 8:
            return 999
        return max(t["lag_s"] for t in told)

    def finish(self, calm):
        ended = time.time_ns() // 1000
        self.sim.stand_still()
        time.sleep(3)
        self.end(self.running[-1], 120)
        self.catch_up(self.out, "--history", *self.more)
        self.witness.over = True
        self.witness.join()
        n, wrong = self.compare()
        took, untold = self.latencies(calm, ended)
        log = (self.dir / "log").read_text(encoding="utf-8")
        print(f"{self.sim.n_changes()} changes, {sum(self.kills.values())} kills {self.kills}, "
              f"{len(self.stalls)} stalls of {sum(self.stalls):.0f} s in all, seed {SEED}")
        print(f"{n} messages compared: {len(wrong)} wrong", *wrong[:20], sep="\n")
        print(f"VmHWM {self.witness.memory_kb / 1024:.1f} MiB (below {MEMORY_MIB})")
        print(f"the calm minute, from change to commit: {untold} changes not told one by one",
              *change_model.told(took), sep="\n")
        warned = [line for line in log.splitlines() if '"warning"' in line]
        print(f"{len(warned)} warnings", *warned[-3:], sep="\n")
        proof = self.verified()
        print(f"tgdata verify: complete {proof['complete']}, {proof['rows']} rows", flush=True)
        self.assertEqual(wrong, [])
        self.assertLess(self.witness.memory_kb, MEMORY_MIB * 1024)
        self.assertLess(change_model.percentile(took["pushed"], 95), P95_MS)

    def compare(self):
        truth, wrong, n = self.sim.truth(), [], 0
        for chat in self.sim.watchable():
            real = truth.state([chat])
            n += len(real)
            wrong += change_model.compare(change_model.state_of(self.out.of_chat(chat)), real)
        return n, wrong

    def latencies(self, calm, ended):
        """Of each message's last change: a table shows no other."""
        truth = change_model.Truth(self.sim)
        chats, last = set(self.sim.watchable()), {}
        for c in truth.changes(chats):
            for i in c.ids:
                last[c.chat, i] = c
        changes = [change_model.Change(c.us, c.chat, c.kind, c.pts, [i])
                   for (_, i), c in last.items() if calm <= c.us < ended]
        commits = [(place, us) for place, us, _ in self.witness.commits]
        first = bisect.bisect([us for _, us in commits], calm)
        rows = self.out.newest(commits[max(0, first - 1)][0])
        return change_model.latencies(changes, rows, commits, truth.silent)


def main():
    words = [int(w) for w in sys.argv[1:4]] + [10, 2000, 200][len(sys.argv[1:4]):]
    Soak.minutes, Soak.rate, Soak.watched = words
    Soak.chats = words[2] * 4 // 3  # the others are private ones of other accounts
    result = unittest.TextTestRunner(verbosity=0).run(unittest.TestSuite([Soak()]))
    raise SystemExit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
