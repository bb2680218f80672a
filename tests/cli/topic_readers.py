#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Spark and Flink read a Kafka topic as examples/readers has it: ./dev readers

The topic holds what a reader must be right about: a chat that was rolled back and came again, a
newer version of a message, an aborted transaction. Both must give the rows that ndjson: gives, once
each.
"""
import csv
import hashlib
import json
import os
import pathlib
import subprocess

import duck
from kafka_kit import KafkaServer, rows_that_count
from kit import Case, main, rows, tgdata

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples/readers"
TOPIC, VIEWS = "messages", 77000000
FIELDS = ("owner", "chat_id", "id", "date", "sender_id", "views", "text")

# Sends messages in a transaction that is aborted, with the client that Spark has.
ABORT = """
import json, sys
from pyspark.java_gateway import launch_gateway
java = launch_gateway().jvm
clients, text = java.org.apache.kafka.clients.producer, java.org.apache.kafka.common.serialization
settings = java.java.util.HashMap()
settings["bootstrap.servers"], settings["transactional.id"] = sys.argv[1], "aborts"
producer = clients.KafkaProducer(settings, text.StringSerializer(), text.StringSerializer())
producer.initTransactions()
producer.beginTransaction()
for m in map(json.loads, sys.stdin):
    record = clients.ProducerRecord(m["topic"], m["partition"], m["key"], m["payload"])
    for name, value in m["headers"].items():
        record.headers().add(name, value.encode())
    producer.send(record)
producer.flush()
producer.abortTransaction()
producer.close()
"""

# The rows that Spark's example finds in what it streamed.
ROWS = """
import sys
sys.path.insert(0, sys.argv[1])
import kafka_spark
session = kafka_spark.SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
for row in kafka_spark.rows_that_count(session, sys.argv[2]).selectExpr(
        "owner", "chat_id", "id", "date_format(date, \\"yyyy-MM-dd'T'HH:mm:ss'Z'\\") AS date",
        "sender_id", "views", "left(md5(text), 16) AS text").toJSON().toLocalIterator():
    print(row)
print(session.read.parquet(sys.argv[2] + "/log").count(), file=sys.stderr)
"""


def by_day(found):
    days = {}
    for row in found:
        days.setdefault(row["date"][:10], []).append(row)
    return [(day, len(of), sum(r.get("views", 0) for r in of),
             len({r["sender_id"] for r in of if "sender_id" in r}))
            for day, of in sorted(days.items())]


def some_fields(found):
    """In order; of a text half its digest: it may hold whatever a table is drawn with."""
    return sorted(tuple(hashlib.md5(row[f].encode()).hexdigest()[:16] if f == "text" and f in row
                        else row.get(f) for f in FIELDS) for row in found)


class Topic(Case):
    sim_args = ("--chats", "6", "--messages", "2000", "--seed", "5")
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = KafkaServer(cls.top / "kafka")
        cls.servers = f"127.0.0.1:{cls.server.port}"
        cls.spark_dir = cls.top / "spark"
        cls.spark_env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1",
                         "PYSPARK_SUBMIT_ARGS": "--driver-memory 1g "
                         f"--driver-class-path {duck.DEPS}/spark-kafka/* pyspark-shell"}

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def run_it(self, *argv, **more):
        done = subprocess.run([*map(str, argv)], timeout=600, capture_output=True, text=True,
                              check=False, **more)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:] + done.stdout[-4000:])
        return done

    def spark(self, *argv, **more):
        return self.run_it(duck.DEPS / "spark/bin/python", *argv, env=self.spark_env, **more)

    def flink(self, script):
        """What its SQL client shows, cell by cell."""
        (self.dir / "config.yaml").write_text("parallelism.default: 1\n", encoding="ascii")
        (self.dir / "script.sql").write_text(
            script.replace("localhost:9092", self.servers), encoding="utf-8")
        of_flink = next(duck.DEPS.glob("flink/lib/python3*/site-packages/pyflink"))
        opens = [f"--add-opens=java.base/java.{p}=ALL-UNNAMED"
                 for p in ("lang", "net", "time", "util", "util.concurrent")]
        done = self.run_it(
            "java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *opens, "-cp",
            f"{of_flink}/lib/*:{of_flink}/opt/*:{duck.DEPS}/flink-kafka/*",
            "org.apache.flink.table.client.SqlClient", "embedded", "-Dexecution.target=local",
            "-f", self.dir / "script.sql", env={**os.environ, "FLINK_CONF_DIR": str(self.dir)})
        found = [[cell.strip() for cell in line.split("|")[1:-1]]
                 for line in done.stdout.splitlines() if line.startswith("|")]
        self.assertGreater(len(found), 3, done.stdout[-4000:])
        return found[1:]

    def extract(self, session, to, *chats, job):
        words = self.extract_args(*chats, session=session, to=to, job=job,
                                  more=["--checkpoint-interval", 150])
        done = tgdata(*words)
        self.assertEqual(done.code, 0, done)

    def answer_of_spark(self):
        done = self.spark(EXAMPLES / "kafka_spark.py", self.servers, TOPIC, self.spark_dir)
        return [(day, *map(int, numbers)) for day, *numbers in csv.reader(
            done.stdout.splitlines()[1:])]

    def fill(self):
        """@return the rows that count"""
        session, chat = self.session(), str(self.sim.chat("supergroup")["id"])
        to = f"kafka://{self.servers}/{TOPIC}?create=3"
        self.extract(session, f"ndjson:{self.dir}/rows", "--all", job="rows")
        want = rows(self.dir / "rows")
        self.extract(session, to, chat, job="topic")
        first = rows_that_count(self.server.messages(TOPIC))
        self.assertEqual(self.answer_of_spark(), by_day(json.loads(m["payload"]) for m in first))
        done = tgdata("checkpoints", "rollback", "--number", 2, "--state",
                      f"sqlite:{self.dir}/state.db", "--job", "topic", "--", chat)
        self.assertEqual(done.code, 0, done)
        self.extract(session, to, "--all", job="topic")
        messages = self.server.messages(TOPIC)
        self.assertLess(len(rows_that_count(messages)), len(messages) - 100)

        newer, aborted = [m for m in messages if m["key"] != chat][:2]
        self.more_views(newer)
        self.server.kcat("-P", "-t", TOPIC, "-p", str(newer["partition"]), "-k", newer["key"],
                         *(f"-H{k}={v}" for k, v in newer["headers"].items()), "-l",
                         self.file(newer["payload"]))
        self.more_views(aborted)
        self.spark("-c", ABORT, self.servers, input=json.dumps(aborted))
        self.assertEqual(len(self.server.messages(TOPIC)), len(messages) + 1)
        seen = self.server.kcat("-C", "-t", TOPIC, "-e", "-q", "-f", "%o\n", "-X",
                                "isolation.level=read_uncommitted").stdout.splitlines()
        self.assertEqual(len(seen), len(messages) + 2)

        row = json.loads(newer["payload"])
        of_row = [i for i, r in enumerate(want) if all(r[f] == row[f] for f in FIELDS[:3])]
        self.assertEqual(len(of_row), 1)
        want[of_row[0]] = row
        return want

    @staticmethod
    def more_views(message):
        message["payload"] = json.dumps({**json.loads(message["payload"]), "views": VIEWS})

    def file(self, text):
        path = self.dir / "payload"
        path.write_text(text, encoding="utf-8")
        return path

    def test_both(self):
        want = self.fill()
        self.assertGreater(len(want), 10000)
        with self.subTest("Spark, a second run"):
            self.assertEqual(self.answer_of_spark(), by_day(want))
            done = self.spark("-c", ROWS, EXAMPLES, self.spark_dir)
            found = map(json.loads, done.stdout.splitlines())
            self.assertEqual(sorted(tuple(map(row.get, FIELDS)) for row in found),
                             some_fields(want))
            self.assertEqual(int(done.stderr.splitlines()[-1]), len(self.server.messages(TOPIC)))
        script = (EXAMPLES / "kafka_flink.sql").read_text(encoding="utf-8")
        with self.subTest("Flink, batch"):
            found = self.flink(script)
            self.assertEqual([(c[0], *map(int, c[1:])) for c in found], by_day(want))
        with self.subTest("Flink, batch, row by row"):
            views = script[:script.index("SELECT SUBSTRING(`date`")]
            found = self.flink(views + "SELECT owner, chat_id, id, `date`, sender_id, `views`, "
                               "SUBSTRING(MD5(text), 1, 16) FROM messages;")
            numbers = [f not in ("date", "text") for f in FIELDS]
            self.assertEqual(
                sorted(tuple(None if cell == "<NULL>" else int(cell) if number else cell
                             for cell, number in zip(cells, numbers)) for cells in found),
                some_fields(want))
        with self.subTest("Flink, streaming"):
            changes = self.flink(script.replace("'batch'", "'streaming'").replace(
                "\nORDER BY `day`", ""))
            days = {}
            for op, day, *numbers in changes:
                if op in ("+I", "+U"):
                    days[day] = tuple(map(int, numbers))
                elif days.get(day) == tuple(map(int, numbers)):
                    del days[day]
            self.assertEqual([(day, *n) for day, n in sorted(days.items())], by_day(want))
        print(f"{len(want)} messages, {len(by_day(want))} days")


if __name__ == "__main__":
    main()
