#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--raw: each row carries the whole object as the server sent it, as JSON that the schema knows."""
import base64
import json
import pathlib
import re

import kit

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema" / "api_228.tl"
NUMBERS = {"int": 32, "long": 64}


def constructors():
    """{predicate: (type, [(field, type, optional)])} of the schema's text."""
    found = {}
    for line in SCHEMA.read_text(encoding="utf-8").split("---functions---")[0].splitlines():
        match = re.match(r"([\w.]+)#[0-9a-f]+ (.*)= ([\w.]+);$", line)
        if not match:
            continue
        fields = []
        for word in match[2].split():
            name, kind = word.split(":", 1)
            flag = re.match(r"\w+\.\d+\?(.+)$", kind)
            if kind != "#":
                fields.append((name, flag[1] if flag else kind, bool(flag)))
        found[match[1]] = (match[3], fields)
    return found


class Checker:
    def __init__(self):
        self.known = constructors()
        self.met = set()

    def check(self, value, kind, path):
        vector = re.match(r"[Vv]ector<(.+)>$", kind)
        if vector:
            assert isinstance(value, list), path
            for i, item in enumerate(value):
                self.check(item, vector[1], f"{path}[{i}]")
        elif kind in NUMBERS:
            assert type(value) is int and -2 ** (NUMBERS[kind] - 1) <= value < 2 ** 64, path
        elif kind == "double":
            assert isinstance(value, (int, float)) and type(value) is not bool, path
        elif kind in ("true", "Bool"):
            assert type(value) is bool and (value or kind == "Bool"), path
        elif kind == "string":
            assert isinstance(value, str), path
        elif kind == "bytes":
            base64.b64decode(value, validate=True)
        else:
            self.check_object(value, kind, path)

    def check_object(self, value, kind, path):
        own, fields = self.known[value["_"]]
        assert own == kind, f"{path}: {value['_']} is a {own}, not a {kind}"
        self.met.add(value["_"])
        left = set(value) - {"_"}
        for name, field_kind, optional in fields:
            if name in value:
                self.check(value[name], field_kind, f"{path}.{name}")
                left.discard(name)
            else:
                assert optional, f"{path} lacks {name}"
        assert not left, f"{path} has {left}, which the schema does not know"


class Raw(kit.Case):
    def test_objects_beside_rows(self):
        checker = Checker()
        session = self.session()
        done = kit.tgdata(*self.extract_args("--all", session=session, more=("--raw",)))
        self.assertEqual(done.code, 0, done)
        found = kit.rows(self.dir / "out")
        self.check_whole(self.sim.chats(self.sim.account()))
        for row in found:
            raw = row["raw"]
            checker.check(raw, "Message", f"{row['chat_id']}/{row['id']}")
            self.assertEqual(raw["id"], row["id"])
            self.assertEqual(raw["_"] == "messageService", row["kind"] == "service")
            self.assertEqual(raw.get("message", "") or None, row.get("text") or None)
        for name in ("message", "messageService", "messageMediaPhoto", "document", "photoSize",
                     "messageReplyHeader", "messageReactions", "messageEntityBold"):
            self.assertIn(name, checker.met)

    def test_rows_are_the_same_without(self):
        chat = self.sim.chat("supergroup")
        session = self.session()
        both = []
        for name, more in (("with", ("--raw",)), ("without", ())):
            done = kit.tgdata("extract", chat["id"], *self.account_args(session), "--to",
                              f"ndjson:{self.dir}/{name}", "--state",
                              f"sqlite:{self.dir}/{name}.db", *more)
            self.assertEqual(done.code, 0, done)
            both.append(kit.rows(self.dir / name))
        self.assertTrue(all(row.pop("raw") for row in both[0]))
        self.assertEqual([json.dumps(row) for row in both[0]], [json.dumps(row) for row in both[1]])


if __name__ == "__main__":
    kit.main()
