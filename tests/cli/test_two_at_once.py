#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One login on two connections at once: fatal, and said so; and no program does that by itself."""
import json
import pathlib
import shutil
import subprocess

from kit import Case, Result, Sim, main, start, tgdata, wait_for


class TwoAtOnce(Case):
    sim_args = ("--chats", "3", "--messages", "20000", "--latency-ms", "10", "--faults", "short=0")

    def extract(self, session, out, datacenter, *more):
        return start("extract", self.sim.chat("supergroup")["id"], "--session", session,
                     "--datacenter", datacenter, "--to", f"ndjson:{self.dir}/{out}", "--state",
                     f"sqlite:{self.dir}/{out}.db", "--progress", "none", *more,
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run_two(self, datacenter, *more):
        """Two programs with copies of one session, the second while the first is reading."""
        one, two = self.dir / "one", self.dir / "two"
        self.login(one)
        shutil.copy(one, two)
        runs = [self.extract(one, "a", datacenter, *more)]
        self.assertTrue(wait_for(lambda: list(pathlib.Path(self.dir).glob("a/chat_*"))))
        runs.append(self.extract(two, "b", datacenter, *more))
        done = []
        for run in runs:
            out, err = run.communicate(timeout=100)
            done.append(Result(run.returncode, out.decode(), err.decode()))
        return done

    def test_it_ends_the_login_of_both(self):
        for more in ((), ("--no-pfs",)):
            with self.subTest(more=more):
                before = self.sim.stats()["duplicated"]
                for done in self.run_two(self.sim.file, *more):
                    self.check_fails(done, 5, "AUTH_KEY_DUPLICATED", "two connections at once")
                self.assertEqual(self.sim.stats()["duplicated"], before + 1)
                done = tgdata("chats", "--session", self.dir / "one", "--datacenter",
                              self.sim.file)
                self.check_fails(done, 5, "log in")
                for path in ("a", "b"):
                    shutil.rmtree(self.dir / path, ignore_errors=True)
                    (self.dir / f"{path}.db").unlink(missing_ok=True)

    def test_a_media_dc_takes_several(self):
        before = self.sim.stats()["duplicated"]
        where = json.loads(self.sim.file.read_text(encoding="utf-8"))
        self.assertEqual([dc["id"] for dc in where["media_dcs"]], [1, 2])
        where["dcs"] = where["media_dcs"]
        media = self.dir / "media.json"
        media.write_text(json.dumps(where), encoding="utf-8")
        for done in self.run_two(media):
            self.assertEqual(done.code, 0, done)
        self.assertEqual(self.sim.stats()["duplicated"], before)


class LostConnections(Case):
    sim_args = None

    def test_a_program_alone_never_does_it(self):
        """However connections are lost and keys forgotten: one is closed, then another opened."""
        for seed, more in enumerate(((), ("--no-pfs",))):
            with self.subTest(more=more):
                self.sim = Sim(self.dir / f"dc{seed}", "--chats", "3", "--messages", "40000",
                               "--seed", str(seed), "--temp-key-loss", "1", "--faults",
                               "short=0,drop@83,reset@89,halfwrite@97,garbage@101,badsalt@61")
                try:
                    self.run_alone(seed, *more)
                finally:
                    self.sim.stop()
                    self.sim = None

    def run_alone(self, seed, *more):
        session, out = self.dir / f"session{seed}", self.dir / f"out{seed}"
        self.login(session)
        done = tgdata("extract", "--all", "--session", session, "--datacenter", self.sim.file,
                      "--to", f"ndjson:{out}", "--state", f"sqlite:{self.dir}/state{seed}",
                      "--progress", "none", "--max-backoff", "100ms", *more)
        self.assertEqual(done.code, 0, done)
        self.check_whole(self.sim.chats(self.sim.account()), out)
        stats = self.sim.stats()
        self.assertGreater(stats["connections"], 10)
        self.assertEqual(stats["duplicated"], 0)


if __name__ == "__main__":
    main()
