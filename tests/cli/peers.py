#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is told to others, read back from those others: ./dev peers

A journald of the test's own, in namespaces of its own, keeps records and gives them back.
"""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from kit import TGDATA, clean_env, main
from test_traces import Traced as Traces

JOURNALD = pathlib.Path("/lib/systemd/systemd-journald")


def end_with_us(process):
    """A process that would outlive a killed test, and hold open what it got from its caller, ends
    when this program does, however that comes. Returns the guard, to be ended behind it."""
    return subprocess.Popen(
        ["sh", "-c", 'read -r _; kill -9 "$1"', "guard", str(process.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True)


class Traced(Traces):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        guard = end_with_us(cls.sim.process)
        cls.addClassCleanup(guard.communicate)
        cls.addClassCleanup(guard.kill)


# With a /run of its own; the records go to stdout when the command has ended.
JOURNAL = """
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
"$JOURNALD" >&2 &
for i in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@" >&2
code=$?
journalctl --sync
journalctl --directory="$(echo /run/log/journal/*)" --output=json --no-pager $FIND
exit $code
"""


@unittest.skipIf(os.geteuid() or not JOURNALD.exists() or not shutil.which("journalctl"),
                 "root and systemd are needed")
class Journal(Traced):
    """A running journald knows the protocol best; what it took is found by journalctl."""

    def run_in_it(self, *words, find):
        done = subprocess.run(  # when it is killed, all in the namespace is
            ["unshare", "--mount-proc", "--pid", "--fork", "--kill-child", "bash", "-c", JOURNAL,
             "journal", TGDATA, *map(str, words)], env=clean_env(JOURNALD=str(JOURNALD), FIND=find),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
            check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done

    def test_records_are_read_back(self):
        words = self.extract_args("--all", more=("--log-format", "journald", "--traces",
                                                 self.otlp()))
        code, found, done = self.run_in_it(*words, find="TGDATA_JOB=job")
        self.assertEqual(code, 0, done)
        self.assertTrue(found, done)
        self.assertEqual({r["SYSLOG_IDENTIFIER"] for r in found}, {"tgdata"})
        up = next(r for r in found if r.get("TGDATA_EVENT") == "connected")
        self.assertEqual((up["PRIORITY"], up["_TRANSPORT"], up["_COMM"]),
                         ("6", "journal", "tgdata"))
        span = self.collector.spans()[up["SPAN_ID"]]
        self.assertEqual((span["name"], span["traceId"]), ("job", up["TRACE_ID"]))

    def test_a_failure_is_found(self):
        words = self.extract_args("@nobody_of_that_name", more=("--log-format", "journald"))
        code, found, done = self.run_in_it(*words, find="TGDATA_JOB=job -p err")
        self.assertEqual(code, 3, done)
        [last] = found
        self.assertEqual((last["PRIORITY"], last["TGDATA_CODE"], last["TGDATA_EVENT"]),
                         ("3", "NOT_FOUND", "failed"))
        self.assertIn("tgdata chats", last["TGDATA_HINT"])


del Traces, Traced  # are no tests
if __name__ == "__main__":
    main()
