#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rows as messages of other systems, read by those systems' own libraries (tests/interop/setup
installs them): change events of Debezium, messages of Singer and Airbyte."""
import json
import os
import pathlib
import subprocess
import unittest

from kit import Case, main, rows, tgdata

PYTHON = pathlib.Path(os.environ.get("TG_DEPS", pathlib.Path(__file__).resolve().parents[2]
                                     / ".deps")) / "messages" / "bin" / "python"

# Prints the rows, and what the states tell; fails where the library, or the schema that was sent,
# does not take a message.
SINGER = """
import json, sys
import jsonschema, singer
rows, states, schema = [], [], None
for line in sys.stdin:
    m = singer.parse_message(line)
    if isinstance(m, singer.SchemaMessage):
        assert schema is None and m.key_properties == ["owner", "chat_id", "id"], line
        schema = jsonschema.Draft4Validator(m.schema, format_checker=jsonschema.FormatChecker())
        fields, keys = set(m.schema["properties"]), m.key_properties
    elif isinstance(m, singer.RecordMessage):
        schema.validate(m.record)
        assert set(m.record) <= fields and all(k in m.record for k in keys), line
        assert m.stream == "messages" and m.time_extracted, line
        singer.Transformer().transform(m.record, schema.schema)
        rows.append(json.loads(line)["record"])
    else:
        assert isinstance(m, singer.StateMessage), line
        (chat, mark), = m.value["bookmarks"]["messages"].items()
        states.append((len(rows), int(chat), mark))
print(json.dumps([rows, states]))
"""
AIRBYTE = """
import json, sys
import jsonschema
from airbyte_protocol.models import AirbyteMessage, AirbyteStateType, Type
rows, states, schema, since = [], [], None, 0
for line in sys.stdin:
    m = AirbyteMessage.parse_raw(line)
    if m.type == Type.CATALOG:
        assert schema is None, line
        stream, = m.catalog.streams
        assert stream.name == "messages", line
        assert stream.source_defined_primary_key == [["owner"], ["chat_id"], ["id"]], line
        schema = jsonschema.Draft4Validator(stream.json_schema)
    elif m.type == Type.RECORD:
        schema.validate(m.record.data)
        assert m.record.stream == "messages" and m.record.emitted_at > 1.6e12, line
        rows.append(json.loads(line)["record"]["data"])
        since += 1
    else:
        assert m.type == Type.STATE and m.state.type == AirbyteStateType.STREAM, line
        assert m.state.stream.stream_descriptor.name == "messages", line
        assert m.state.sourceStats.recordCount == since, line
        since = 0
        (chat, mark), = m.state.stream.stream_state.dict().items()
        states.append((len(rows), int(chat), mark))
print(json.dumps([rows, states]))
"""


NEEDS_LIBRARIES = unittest.skipUnless(PYTHON.exists(), "tests/interop/setup messages installs it")


class Messages(Case):
    def extract(self, to, job="job"):
        words = self.extract_args("--all", session=self.session(), to=to, job=job, more=[
            "--batch-size", 50, "--checkpoint-interval", 100])
        done = tgdata(*words)
        self.assertEqual(done.code, 0, done)
        return done.out

    def files(self):
        self.extract(f"ndjson:{self.dir}/out", job="files")
        return self.in_order(rows(self.dir / "out"))

    @staticmethod
    def in_order(found):
        return sorted(found, key=lambda r: (r["chat_id"], r["owner"], r["id"]))

    def check(self, to, reader):
        """The library takes every line; a state tells of no row that does not stand before it, and
        the last states of all rows."""
        done = subprocess.run([PYTHON, "-W", "ignore", "-c", reader], input=self.extract(to),
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        found, states = json.loads(done.stdout)
        self.assertEqual(self.in_order(found), self.files())
        last = {}
        for before, chat, mark in states:
            self.assertLessEqual(mark["rows"] + sum(m["rows"] for c, m in last.items()
                                                    if c != chat), before)
            self.assertEqual(mark["commit"], last.get(chat, {"commit": 0})["commit"] + 1)
            last[chat] = mark
        self.assertEqual(sum(m["rows"] for m in last.values()), len(found))
        self.assertTrue(all(m["complete"] for m in last.values()))

    @NEEDS_LIBRARIES
    def test_singer(self):
        self.check("stdout:?format=singer", SINGER)

    @NEEDS_LIBRARIES
    def test_airbyte(self):
        self.check("stdout:?format=airbyte", AIRBYTE)

    def test_debezium(self):
        found = [json.loads(line) for line in
                 self.extract("stdout:?format=debezium&stream=posts").split("\n") if line]
        self.assertEqual(self.in_order([e["after"] for e in found]), self.files())
        for event in found:
            self.assertEqual(list(event), ["before", "after", "source", "op", "ts_ms",
                                           "transaction"])
            self.assertEqual((event["before"], event["op"]), (None, "r"))
            source = event["source"]
            self.assertEqual((source["name"], source["table"], source["chat_id"]),
                             ("job", "posts", event["after"]["chat_id"]))
            self.assertEqual(source["snapshot"], "true")
            self.assertLess(source["ts_ms"], event["ts_ms"])


if __name__ == "__main__":
    main()
