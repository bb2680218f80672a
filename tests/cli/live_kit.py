# SPDX-License-Identifier: MIT
"""A live world for tests of `tgdata stream` and `tgdata delta`; checks of what they delivered."""
import os
import random
import signal
import sqlite3
import subprocess
import time

import change_model
from kit import Case, Sim, rows, start, tgdata, wait_for

SEED = int(os.environ.get("TGDATA_TEST_SEED", "1"))
SLICE, PAGE = 100, 100  # counts of a channel difference; messages of a page


class World(Sim):
    """A simulator with --live."""

    kept_out = ("left", "protected")

    def __init__(self, directory, live, *args):
        super().__init__(directory, "--live", live, *args)
        self.paused = "paused=1" in live
        self.bursts = "burst=" in live

    def poke(self):
        """Lets a burst happen, or stops the changes, or lets them go on."""
        self.process.send_signal(signal.SIGUSR2)

    def n_changes(self):
        with (self.dir / "changes.txt").open("rb") as lines:
            return sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b""))

    def burst(self, n):
        """A burst of that many changes has happened when it returns."""
        before = self.n_changes()
        self.poke()
        if not wait_for(lambda: self.n_changes() >= before + n, 60):
            raise RuntimeError(f"{self.n_changes() - before} changes of {n}")

    def stand_still(self):
        if not self.paused and not self.bursts:
            self.poke()
            self.paused = True
            time.sleep(0.2)

    def go_on(self):
        if self.paused:
            self.poke()
            self.paused = False

    def truth(self):
        """Of a world that stands still."""
        self.stats()  # writes the files, too
        return change_model.Truth(self)

    def watchable(self, kinds=None):
        """Marked ids of the chats that change and that the account may read."""
        chats = self.chats(self.account(), self.kept_out)
        grown_from = {c["migrated_from"] for c in chats}
        return [c["id"] for c in chats
                if c["id"] not in grown_from and (not kinds or c["kind"] in kinds)]


class SqliteOut:
    """A table, and how a reader of its own sees it."""

    ordered = False

    def __init__(self, directory):
        self.file = directory / "out.db"

    def url(self):
        return f"sqlite:{self.file}"

    def db(self, **more):
        return sqlite3.connect(self.file, isolation_level=None, **more)

    def ask(self, sql):
        db = self.db(timeout=60)
        db.row_factory = sqlite3.Row
        found = [dict(r) for r in db.execute(sql)]
        db.close()
        return found

    def rows(self):
        if not self.file.exists():
            return []
        made = self.ask("SELECT 1 FROM sqlite_master WHERE name = 'messages'")
        return self.ask("SELECT * FROM messages ORDER BY change_seq") if made else []

    def stall(self, seconds):
        """Nobody else can write for so long."""
        db = self.db(timeout=60)
        db.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        db.execute("ROLLBACK")
        db.close()


class NdjsonOut:
    """The log of changes, part by part."""

    ordered = True

    def __init__(self, directory):
        self.dir = directory / "out"

    def url(self):
        return f"ndjson:{self.dir}"

    def rows(self):
        return rows(self.dir)


class LiveCase(Case):
    """Each test makes a world of its own."""

    sim_args = None
    chats = 8
    messages = 200

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.running = []
        self.sim = None

    def tearDown(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if self.sim:
            self.sim.stop()
        self.sim = None

    def world(self, live, *args):
        self.sim = World(self.dir / "dc", live, "--chats", self.chats, "--messages", self.messages,
                         "--seed", "11", *args)
        self.session_file = self.dir / "me.session"
        self.login(self.session_file)
        return self.sim

    def words(self, command, out, *more, chats=None, job="job"):
        return [command, *(chats or self.sim.watchable()), *self.account_args(self.session_file),
                "--to", out.url(), "--state", f"sqlite:{self.dir}/state.db", "--job", job,
                "--lease", "1s", *more]

    def begin(self, out, *more, **how):
        process = start(*self.words("stream", out, "--progress", "none", *more, **how),
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def end(self, process, seconds=60):
        """SIGTERM ends it cleanly: all that was on its way is committed. @return its result"""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=seconds)
        self.assertEqual(process.returncode, 0, err and err.decode())
        return out and out.decode()

    def catch_up(self, out, *more, **how):
        """The run goes on until nothing comes any more. @return its result"""
        done = tgdata(*self.words("stream", out, "--progress", "none", "--json", "--idle-exit",
                                  "2s", *more, **how))
        self.assertEqual(done.code, 0, done)
        return done.json()

    def delta(self, out, *more, code=0, **how):
        done = tgdata(*self.words("delta", out, "--progress", "none", "--json", *more, **how))
        self.assertEqual(done.code, code, done)
        return done.json() if code == 0 else done

    def killed(self, process):
        """Now. @return whether it still ran"""
        ran = process.poll() is None
        process.kill()
        err = process.communicate()[1]
        if not ran:
            self.assertEqual(process.returncode, 0, err and err.decode())
        return ran

    def verified(self, job="job", code=0):
        proof = tgdata("verify", *self.account_args(self.session_file), "--state",
                       f"sqlite:{self.dir}/state.db", "--job", job, "--json")
        self.assertEqual(proof.code, code, proof)
        return proof.json()

    def check_is_world(self, out, chats=None, touched=None):
        """The destination tells of the world as it is: texts, edit dates, reactions, deletions."""
        chats = chats or self.sim.watchable()
        truth = self.sim.truth()
        state = change_model.state_of(out.rows(), out.ordered)
        wrong = change_model.compare(state, truth.state(chats), touched)
        self.assertEqual(wrong[:20], [], f"{len(wrong)} messages of {len(state)} are wrong; "
                                         f"seed {SEED}")
        return state

    def check_is_read(self, state, chats=None):
        """And as extraction reads it, column by column."""
        chats = chats or self.sim.watchable()
        done = tgdata(*self.extract_args(*chats, session=self.session_file, job="read",
                                         to=f"ndjson:{self.dir}/read"))
        self.assertEqual(done.code, 0, done)
        read = [r for r in rows(self.dir / "read") if r["chat_id"] in set(chats)]
        wrong = change_model.same_as_read(state, read)
        self.assertEqual(wrong[:20], [])

    def touched(self, since_us=0):
        """(chat, id) of all that has happened since."""
        return {(c.chat, i) for c in change_model.Truth(self.sim).changes()
                if c.us >= since_us for i in c.ids}
