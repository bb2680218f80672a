#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Schedulers that share a job through each kind of store: two are at work, killed one after the
other; each due is run once, one run after the other, and no row is lost or doubled."""
import unittest

from kit import PASSWORD, PostgresServer, Redis, main
from mongo import Mongodb
from s3 import S3, Dynamodb
from test_scheduler import Scheduled


class Contract:
    """The case; a class below gives the server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.make(cls.top / "server")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def test_each_due_once(self):
        path = self.write(("job", {"schedule": "every 1 second", "overlap": "queue"}))
        at_work = [self.begin(path), self.begin(path)]
        self.await_runs(path, "job", 2)
        for _ in range(2):
            killed = at_work.pop(0)
            killed.kill()
            killed.wait()
            at_work.append(self.begin(path))
            self.await_runs(path, "job", len(self.history(path, "job", "ok")) + 2)
        for process in at_work:
            self.end(process)
        runs = self.history(path, "job", "ok")
        dues = [r["due_ms"] for r in runs]
        self.assertEqual(dues, list(range(dues[0], dues[0] + 1000 * len(dues), 1000)))
        spans = sorted((r["started"], r["ended"]) for r in runs)
        self.assertTrue(all(a[1] <= b[1] for a, b in zip(spans, spans[1:])))
        self.check_whole(self.chats[:1], out=self.dir / "job")


class InRedis(Contract, Scheduled):
    make = Redis

    def store(self):
        return self.server.url()


class InPostgres(Contract, Scheduled):
    make, env = PostgresServer, PASSWORD

    def store(self):
        return f"postgres:{self.server.address()}?prefix=s"


@unittest.skipUnless(S3.is_installed(), "tests/interop/setup seaweed installs its server")
class InS3(Contract, Scheduled):
    make = S3

    def store(self):
        return f"s3://bucket/state?endpoint={self.server.endpoint}"


@unittest.skipUnless(Dynamodb.program.exists(), "tests/interop/setup moto installs its server")
class InDynamodb(Contract, Scheduled):
    make = Dynamodb

    def store(self):
        return f"dynamodb://state?endpoint={self.server.endpoint}&create=yes"


@unittest.skipUnless(Mongodb.jars.exists(), "tests/interop/setup mongo installs its server")
class InMongodb(Contract, Scheduled):
    make = Mongodb

    def store(self):
        return f"mongodb://127.0.0.1:{self.server.port}/state?collection=s&timeout=3s"


if __name__ == "__main__":
    main(redis=True)
