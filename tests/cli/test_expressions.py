#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Expressions: each example of docs/expressions.md does what a model of it does; failures are told;
a program in a file; a run that is killed goes on with it."""
import datetime
import json
import pathlib
import re

import kit

LAST_WEEK = (datetime.datetime.now(datetime.timezone.utc)
             - datetime.timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%SZ")
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "expressions.md"


def text(row):
    return row.get("text", "")


def size(row):
    return len(text(row).encode())


def without(row, *names):
    return {k: v for k, v in row.items() if k not in names}


def ascii_upper(s):
    return re.sub("[a-z]+", lambda m: m[0].upper(), s)


def ascii_lower(s):
    return re.sub("[A-Z]+", lambda m: m[0].lower(), s)


def extra(row, **members):
    return {**row, "extra": members}


# What becomes of a row; None: it goes.
MODEL = {
    "where?expr=word_count > 3 and not post":
        lambda r: r if r["word_count"] > 3 and not r.get("post") else None,
    "where?expr=media_kind and (media_size or 0) < 100000":
        lambda r: r if "media_kind" in r and r.get("media_size", 0) < 100000 else None,
    'where?expr=date >= time("2024-03-01") and date < time("2024-04-01")':
        lambda r: r if "2024-03" <= r["date"] < "2024-04" else None,
    "where?expr=date > now - 7 * 24 * 3600":
        lambda r: r if r["date"] > LAST_WEEK else None,
    'where?expr=text:lower():find("hello", 1, true)':
        lambda r: r if "hello" in ascii_lower(text(r)) else None,
    'where?expr=text:find("%25d%25d+")':
        lambda r: r if re.search("[0-9][0-9]+", text(r)) else None,
    "where?expr=reactions and reactions[1].count >= 2":
        lambda r: r if r.get("reactions") and r["reactions"][0]["count"] >= 2 else None,
    "where?expr=id %25 10 == 0":
        lambda r: r if r["id"] % 10 == 0 else None,
    "lua?code=row.text = text:upper()":
        lambda r: {**r, "text": ascii_upper(text(r))} if "text" in r else r,
    "lua?code=row.sender_name = nil; row.sender_username = nil":
        lambda r: without(r, "sender_name", "sender_username"),
    "lua?code=row.day = utc(date):sub(1, 10)":
        lambda r: extra(r, day=r["date"][:10]),
    "lua?code=if #text == 0 then return false end row.size = #text":
        lambda r: extra(r, size=size(r)) if size(r) else None,
    'lua?code=local n = 0; for w in text:gmatch("%25S+") do n = n + #w end; row.letters = n':
        lambda r: extra(r, letters=sum(map(len, re.findall(rb"[^ \t-\r]+", text(r).encode())))),
}


class Expressions(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
        version = kit.tgdata("version")
        if "lua5.4" not in version.out:
            self.skipTest("built without Lua")
        self.archive = self.top / "archive"
        if type(self).rows is None:
            done = kit.tgdata("extract", "--all", *self.account_args(self.session()), "--to",
                              f"ndjson:{self.archive}", "--state", f"sqlite:{self.top}/state.db")
            self.assertEqual(done.code, 0, done)
            type(self).rows = kit.rows(self.archive)

    def transform(self, *stages, job="clean", more=()):
        return kit.tgdata("transform", f"ndjson:{self.archive}", "--to", f"ndjson:{self.dir}/{job}",
                          "--state", f"sqlite:{self.dir}/state.db", "--job", job, "--progress",
                          "none", *[w for s in stages for w in ("--stage", s)], *more)

    def out(self, job="clean"):
        return [without(r, "extracted_timestamp") for r in kit.rows(self.dir / job)]

    def test_the_examples_of_the_manual(self):
        done = self.transform("enrich", job="enriched")
        self.assertEqual(done.code, 0, done)
        enriched = self.out("enriched")
        examples = re.findall(r"^\| `((?:where|lua)\?\w+=.+?)` \| [^\d]", DOCS.read_text("utf-8"),
                              re.M)
        self.assertEqual(sorted(examples), sorted(MODEL))
        some = 0
        for i, example in enumerate(examples):
            done = self.transform("enrich", example, job=f"job{i}", more=["--json"])
            self.assertEqual(done.code, 0, (example, done))
            wanted = [r for r in map(MODEL[example], enriched) if r is not None]
            found = self.out(f"job{i}")
            self.assertEqual(sorted(found, key=json.dumps), sorted(wanted, key=json.dumps), example)
            self.assertEqual(done.json()["dropped"], len(enriched) - len(wanted), example)
            some += 0 < len(wanted) < len(enriched)
        self.assertGreater(some, 4, "most filters keep all or nothing")

    def test_failures_are_told(self):
        done = self.transform("where?expr=forwards > 3")
        self.assertEqual(done.code, 7, done)
        self.assertRegex(done.err, r"where\?expr=forwards > 3: message \d+ of chat -?\d+: attempt "
                                   r"to compare number with nil")
        self.assertIn("the field forwards has no value there", done.err)
        done = self.transform("where?expr=viewz > 3")
        self.assertEqual(done.code, 2, done)
        self.assertIn("there is no 'viewz'", done.err)
        done = self.transform("lua?code=while true do end")
        self.assertEqual(done.code, 7, done)
        self.assertIn("it takes more than 1000000 steps", done.err)
        done = self.transform("where?expr=1 >")
        self.assertEqual(done.code, 2, done)

    def test_rows_that_fail_are_kept_or_dropped_and_counted(self):
        none = sum("forwards" not in r for r in self.rows)
        for choice, kept in ("keep", none), ("drop", 0):
            done = self.transform(f"where?on-error={choice}&expr=forwards > 1000000", job=choice,
                                  more=["--json"])
            self.assertEqual(done.code, 0, done)
            self.assertEqual(done.json()["failed"], none)
            self.assertIn("attempt to compare", done.json()["failed_why"])
            self.assertEqual(len(self.out(choice)), kept)
        done = self.transform("where?on-error=keep&expr=forwards > 1000000", job="again")
        self.assertIn("a stage failed for", done.out)

    def test_changes_go_through_them(self):
        """The first delta reads what extract read; workers have programs of their own."""
        words = ["delta", "--all", *self.account_args(self.session()), "--to",
                 f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db", "--job", "d",
                 "--progress", "none", "--enrich", "--min-workers", 2, "--parallel-workers", 3,
                 "--stage", "where?on-error=drop&expr=views > 0", "--filter", "word_count > 3",
                 "--transform", "row.n = #text"]
        done = kit.tgdata(*words, "--json")
        self.assertEqual(done.code, 0, done)
        # What a supergroup was before is not watched.
        before = [c["migrated_from"] for c in self.sim.chats(self.sim.account())]
        rows = [r for r in self.rows if r["chat_id"] not in before]
        viewed = [r for r in rows if r.get("views", 0) > 0]
        found = {(r["chat_id"], r.get("owner", 0), r["id"]): r["extra"]["n"]
                 for r in kit.rows(self.dir / "out")}
        wanted = {(r["chat_id"], r.get("owner", 0), r["id"]): size(r)
                  for r in viewed if len(text(r).split()) > 3}
        self.assertEqual(found, wanted)
        self.assertEqual(done.json()["failed"], sum("views" not in r for r in rows))
        self.assertIn("attempt to compare", done.json()["failed_why"])
        self.assertEqual(done.json()["filtered"], len(rows) - len(wanted))

    def test_a_program_in_a_file(self):
        program = self.dir / "mine.lua"
        program.write_text("#!/usr/bin/env lua\n"
                           "-- what a message has, and whether it is of the first hundred\n"
                           "local function has(what) return what ~= nil end\n"
                           "row.has = { text = #text > 0, media = has(media_kind) }\n"
                           "row.tags = {}\n"
                           "local tags = row.tags\n"
                           "for tag in text:gmatch('#(%w+)') do tags[#tags + 1] = tag end\n"
                           "row.tags = tags\n"
                           "return id <= 100\n")
        done = self.transform(f"lua?file={program}", "where?expr=row.has.text or row.has.media")
        self.assertEqual(done.code, 0, done)
        for row, found in zip([r for r in self.rows if r["id"] <= 100 and
                               ("text" in r or "media_kind" in r)], self.out(), strict=True):
            self.assertEqual(found, extra(row, has={"text": "text" in row,
                                                    "media": "media_kind" in row},
                                          tags=re.findall(r"#([0-9A-Za-z]+)", text(row))))
        program.write_text("row.x = \n")
        done = self.transform(f"lua?file={program}", job="wrong")
        self.assertEqual(done.code, 2, done)
        self.assertIn("line 2: unexpected symbol near <eof>", done.err)


if __name__ == "__main__":
    kit.main()
