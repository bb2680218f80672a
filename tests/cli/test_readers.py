#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/readers on what each destination wrote: all give the answer that the rows do."""
import csv
import os
import pathlib
import subprocess
import unittest

import duck
from kit import Case, Sim, main, rows, tgdata

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/readers"
SPARK = duck.DEPS / "spark/bin/python"
TO = {"ndjson": "ndjson", "csv": "csv", "parquet": "parquet", "sqlite": "a.db",
      "duckdb": "a.duckdb"}
SERVE = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).sql(sys.stdin.read()).df().to_csv())"


@unittest.skipUnless(duck.there() and duck.LIBRARY.exists(),
                     "tests/interop/setup readers duckdb installs them")
class Readers(Case):
    @classmethod
    def setUpClass(cls):
        cls.sim_args = None
        super().setUpClass()
        cls.sim = Sim(cls.top / "dc", "--chats", "6", "--messages", "2000", "--seed", "5")
        cls.out = cls.top / "written"
        cls.out.mkdir()

    def write(self, name):
        """What one destination is given, once."""
        where = self.out / TO[name]
        if not where.exists():
            words = self.extract_args("--all", to=f"{name}:{where}", job=name)
            done = tgdata(*words, env={"TGDATA_DUCKDB": str(duck.LIBRARY)})
            self.assertEqual(done.code, 0, done)
        return where

    def want(self):
        days = {}
        for row in rows(self.write("ndjson")):
            days.setdefault(row["date"][:10], []).append(row)
        return [(day, len(found), sum(r.get("views", 0) for r in found),
                 len({r["sender_id"] for r in found if "sender_id" in r}))
                for day, found in sorted(days.items())]

    def answers(self, argv, **more):
        done = subprocess.run([*map(str, argv)], timeout=240, capture_output=True, text=True,
                              check=False, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line for line in csv.reader(done.stdout.splitlines()) if len(line) >= 4]
        found = [(line[-4][:10], *map(int, line[-3:])) for line in lines if line[-1].isdigit()]
        self.assertGreater(len(found), 3)
        self.assertEqual(found, self.want())

    def sql(self, script, where, database=":memory:"):
        self.answers([duck.READERS, "-c", SERVE, database], cwd=where,
                     input=(EXAMPLES / script).read_text(encoding="utf-8"))

    def test_duckdb(self):
        for name in ("ndjson", "csv", "parquet"):
            with self.subTest(destination=name):
                self.sql(f"{name}.sql", self.write(name))
        with self.subTest(destination="duckdb"):
            self.sql("table.sql", self.out, self.write("duckdb"))

    def test_sqlite(self):
        with (EXAMPLES / "sqlite.sql").open(encoding="utf-8") as script:
            self.answers(["sqlite3", "-csv", self.write("sqlite")], stdin=script)

    def test_pandas_and_polars(self):
        for script in ("pandas_read.py", "polars_read.py"):
            for name in TO:
                with self.subTest(script=script, destination=name):
                    self.answers([duck.READERS, EXAMPLES / script, self.write(name)])

    @unittest.skipUnless(SPARK.exists(), "tests/interop/setup spark installs it")
    def test_spark(self):
        for name in ("ndjson", "csv", "parquet"):
            with self.subTest(destination=name):
                self.answers([SPARK, EXAMPLES / "spark_read.py", self.write(name)],
                             env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"})


if __name__ == "__main__":
    main()
