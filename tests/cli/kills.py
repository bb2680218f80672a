#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kills a run, and the server it writes to, at N random moments for each destination: ./dev kills

    kills.py [DESTINATION|all] [N]      N: 300

The cases are those that `ctest` runs with few kills: a class with `test_killed_again_and_again`
(the program; TGDATA_TEST_KILLS times) and, if there is a server that keeps what it took, with
`test_the_server_is_killed_again_and_again` (TGDATA_TEST_SERVER_KILLS times). Each goes on with the
same job until its end, counts the rows with a reader of its own, and begins anew in an empty place,
until it has killed that often. A destination is a row below: its module, its class. The reader's
counts are taken from the two checks that these classes end with:

    check_each_once()               exactly once: the rows are the world's
    check_none_lost(found, want)    at least once: all of them, those that came twice equal
    check_whole(chats)              of NDJSON files, as check_each_once
"""
import importlib
import os
import sys
import time
import unittest

TABLE = {
    "ndjson": ("test_kill", "Kill"),
    "csv": ("test_destinations", "ToCsv"),
    "parquet": ("test_destinations", "ToParquet"),
    "sqlite": ("test_destinations", "ToSqlite"),
    "duckdb": ("test_destinations", "ToDuckdb"),
    "postgres": ("test_destinations", "ToPostgres"),
    "kafka": ("test_destinations", "ToKafka"),
    "s3": ("test_destinations", "ToS3"),
    "s3-parquet": ("test_destinations", "ToS3Parquet"),
    "stdout": ("test_stdout", "Stdout"),
    "rabbitmq": ("test_streams", "ToRabbit"),
    "kinesis": ("test_streams", "ToKinesis"),
    "webhook": ("test_streams", "ToWebhook"),
}
CASES = {
    "program": ("test_killed_again_and_again", "test_two_hundred_kills_in_one_chain"),
    "server": ("test_the_server_is_killed_again_and_again",),
}


class Counts:
    def __init__(self):
        self.filled = self.rows = self.twice = 0

    def watch(self, case):
        """Counts what the checks of a class have found to be right."""
        def once(check):
            def checked(test, *args, **more):
                check(test, *args, **more)
                self.filled += 1
                self.rows += len(test.sim.truth(args[0] if args else test.all_chats()))
            return checked

        def at_least_once(check):
            def checked(test, found, want):
                found = list(found)
                check(test, found, want)
                self.filled += 1
                self.rows += len(want)
                self.twice += len(found) - len(want)
            return checked

        for name, wrap in (("check_each_once", once), ("check_whole", once),
                           ("check_none_lost", at_least_once)):
            if hasattr(case, name):
                setattr(case, name, wrap(getattr(case, name)))


def run(name, kind, kills):
    """One line of result. @return whether it was right, or None if there is nothing to kill"""
    module, class_name = TABLE[name]
    case = getattr(importlib.import_module(module), class_name, None)
    test = next((t for t in CASES[kind] if getattr(case, t, None)), None)
    if test is None:
        return None
    counts, begun = Counts(), time.monotonic()
    watched = type(class_name, (case,), {})
    counts.watch(watched)
    result = unittest.TestResult()
    unittest.TestSuite([watched(test)]).run(result)
    bad = result.failures + result.errors
    for _, text in bad:
        print(text, file=sys.stderr)
    if result.skipped and not bad:
        print(f"{name:11} {kind:8} skipped: {result.skipped[0][1]}", flush=True)
        return None
    print(f"{name:11} {kind:8} {kills:5} kills, {counts.filled:4} times filled, "
          f"{counts.rows:8} rows: {'FAILED' if bad else '0 lost'}, {counts.twice} twice, "
          f"{time.monotonic() - begun:.0f} s", flush=True)
    return not bad


def main():
    words = sys.argv[1:]
    kills = int(words.pop()) if words and words[-1].isdigit() else 300
    names = list(TABLE) if not words or words == ["all"] else words
    unknown = [n for n in names if n not in TABLE]
    if unknown:
        raise SystemExit(f"kills: no destination '{unknown[0]}'; there are {', '.join(TABLE)}")
    os.environ["TGDATA_TEST_KILLS"] = os.environ["TGDATA_TEST_SERVER_KILLS"] = str(kills)
    done = [run(name, kind, kills) for name in names for kind in CASES]
    raise SystemExit(1 if False in done or not any(done) else 0)


if __name__ == "__main__":
    main()
