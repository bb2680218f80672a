#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rules over what was extracted: each example of docs/quality.md finds what a model of it finds,
rows are dropped or end the run as is said, and the summary tells it; a profile tells what is
there."""
import bisect
import collections
import datetime
import html.parser
import json
import pathlib
import re

import kit

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "quality.md"
NOW = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(row):
    return len(row.get("text", "").encode())


# Whether a row meets the rule.
MODEL = {
    "validate?field=sender_id&required": lambda r: "sender_id" in r,
    "validate?field=id&format=positive_integer": lambda r: r["id"] > 0,
    "validate?field=views&min=1&max=1000": lambda r: 1 <= r.get("views", 1) <= 1000,
    "validate?field=date&min=2024-02-01": lambda r: r["date"] >= "2024-02-01",
    "validate?field=kind&one-of=message": lambda r: r["kind"] == "message",
    "validate?field=text&max-length=20": lambda r: len(r.get("text", "")) <= 20,
    "validate?field=text&pattern=^%25u": lambda r: bool(re.match("[A-Z]", r.get("text", "A"))),
    "validate?expr=date <= now and #text < 4096": lambda r: r["date"] <= NOW and size(r) < 4096,
}


class Tags(html.parser.HTMLParser):
    """Whether those that must be closed are, and in their order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.seen = [], [], collections.Counter()

    def handle_starttag(self, tag, attrs):
        self.seen[tag] += 1
        if tag in ("div", "span", "svg", "table", "small", "b", "main"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen[tag] += 1

    def handle_endtag(self, tag):
        if tag in ("div", "span", "svg", "table", "small", "b", "main"):
            if not self.open or self.open.pop() != tag:
                self.wrong.append((tag, self.getpos()))


class Quality(kit.Case):
    rows = None # of the archive, which is made once

    def setUp(self):
        super().setUp()
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

    def examples(self):
        found = re.findall(r"^\| `(validate\?.+?)` \| ", DOCS.read_text("utf-8"), re.M)
        if "lua5.4" not in kit.tgdata("version").out:
            found = [e for e in found if "expr" not in e and "pattern" not in e]
        return found

    def test_the_examples_of_the_manual(self):
        examples, some = self.examples(), 0
        self.assertTrue(set(examples) <= set(MODEL) and len(examples) >= len(MODEL) - 2)
        done = self.transform(*examples, more=["--json"])
        self.assertEqual(done.code, 0, done)
        quality = done.json()["quality"]
        for example, rule in zip(examples, quality["rules"]):
            broken = [r for r in self.rows if not MODEL[example](r)]
            self.assertEqual((rule["checked"], rule["broken"]), (len(self.rows), len(broken)),
                             example)
            self.assertEqual(len(rule["examples"]), min(3, len(broken)))
            keys = {(r["chat_id"], r["id"]) for r in broken}
            for one in rule["examples"]:
                self.assertIn((one["chat_id"], one["id"]), keys)
            some += 0 < len(broken) < len(self.rows)
        self.assertGreater(some, 3, "most rules find all or nothing")
        invalid = sum(not all(MODEL[e](r) for e in examples) for r in self.rows)
        self.assertEqual(quality["rows"], len(self.rows))
        self.assertEqual(quality["invalid"], invalid)
        self.assertAlmostEqual(quality["validity_rate"], 1 - invalid / len(self.rows))
        self.assertAlmostEqual(quality["completeness_score"],
                               sum("sender_id" in r for r in self.rows) / len(self.rows))
        self.assertEqual(len(kit.rows(self.dir / "clean")), len(self.rows), "warned rows stay")

    def test_severities(self):
        rule = "validate?field=text&max-length=20&severity="
        kept = sum(len(r.get("text", "")) <= 20 for r in self.rows)
        done = self.transform(rule + "drop", "validate?field=id&required", job="drop")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len(kit.rows(self.dir / "drop")), kept)
        self.assertRegex(done.out, r"Quality: \d+\.\d\d% valid: ")
        self.assertRegex(done.out, r"drop  text: length: broken by [\d,]+ of [\d,]+; such as ")
        self.assertRegex(done.out, r"warn  id: completeness: broken by 0 of ")
        done = self.transform(rule + "fail&name=short", job="fail")
        self.assertEqual(done.code, 7, done)
        self.assertRegex(done.err, r"message \d+ of chat -?\d+ breaks the rule 'short'")

    def test_of_rows_with_the_same_keys_the_first_stays(self):
        """In memory and on disk; keys that some rows lack; none is there twice at last."""
        for i, (keys, memory) in enumerate((("text", "4096"), ("text", "64MiB"),
                                            ("sender_id,kind", "4096"), ("chat_id,id", "4096"))):
            done = self.transform(f"dedup?keys={keys}&memory={memory}", job=f"one{i}",
                                  more=["--json"])
            self.assertEqual(done.code, 0, done)
            found, before, wanted = kit.rows(self.dir / f"one{i}"), set(), 0
            for r in self.rows:
                key = tuple(r.get(k) for k in keys.split(","))
                wanted += None in key or key not in before
                before.add(key)
            self.assertEqual(len(found), wanted, keys)
            alike = collections.Counter(tuple(r.get(k) for k in keys.split(",")) for r in found)
            self.assertTrue(all(n == 1 or None in k for k, n in alike.items()), keys)
            rule, = done.json()["quality"]["rules"]
            self.assertEqual((rule["kind"], rule["broken"]),
                             ("uniqueness", len(self.rows) - wanted))
            self.assertEqual(done.json()["dropped"], len(self.rows) - wanted)

    def test_replies_to_what_is_not_there(self):
        """Each as a model tells it; where the targets were dropped all are broken."""
        def answers(r):
            return "reply_to_id" in r and r.get("reply_to_chat_id", r["chat_id"]) == r["chat_id"]
        there = {(r["chat_id"], r.get("owner"), r["id"]) for r in self.rows}
        replies = [r for r in self.rows if answers(r)]
        broken = sum((r["chat_id"], r.get("owner"), r["reply_to_id"]) not in there
                     for r in replies)
        self.assertGreater(len(replies), 10)
        done = self.transform("replies?memory=4096", more=["--json"])
        self.assertEqual(done.code, 0, done)
        rule, = done.json()["quality"]["rules"]
        self.assertEqual((rule["kind"], rule["checked"], rule["broken"]),
                         ("reference", len(replies), broken))
        done = self.transform("where?expr=reply_to_id", "replies?severity=drop", job="alone",
                              more=["--json"])
        self.assertEqual(done.code, 0, done)
        rule, = done.json()["quality"]["rules"]
        chains = {(r["chat_id"], r.get("owner"), r["id"]) for r in self.rows if "reply_to_id" in r}
        self.assertEqual(rule["broken"], sum((r["chat_id"], r.get("owner"), r["reply_to_id"])
                                             not in chains for r in replies))
        self.assertEqual(done.json()["rows"], sum("reply_to_id" in r for r in self.rows)
                         - rule["broken"])

    def test_a_delta_tells_what_rules_found(self):
        """Rules over rows on several threads, told as one."""
        chat = collections.Counter(r["chat_id"] for r in self.rows).most_common(1)[0][0]
        done = kit.tgdata("delta", chat, *self.account_args(self.session()), "--to",
                          f"ndjson:{self.dir}/log", "--state", f"sqlite:{self.dir}/state.db",
                          "--job", "delta", "--batch-size", 10, "--progress", "none", "--json",
                          "--stage", "validate?field=text&max-length=20",
                          "--stage", f"profile?to={self.dir}/delta.json")
        self.assertEqual(done.code, 0, done)
        rows = kit.rows(self.dir / "log")
        self.assertGreater(len(rows), 100)
        rule, = done.json()["quality"]["rules"]
        self.assertEqual((rule["checked"], rule["broken"]),
                         (len(rows), sum(len(r.get("text", "")) > 20 for r in rows)))
        told = json.loads((self.dir / "delta.json").read_text("utf-8"))
        self.assertEqual((told["job"], told["rows"]), ("delta", len(rows)))

    def profile(self, *stages):
        names = "to", "html", "expectations"
        files = [self.dir / "found" / f"{n}.txt" for n in names]
        ask = "profile?" + "&".join(f"{n}={f}" for n, f in zip(names, files))
        done = self.transform(*stages, ask)
        self.assertEqual(done.code, 0, done)
        return [f.read_text("utf-8") for f in files]

    def test_a_profile_tells_what_is_there(self):
        told = json.loads(self.profile()[0])
        self.assertEqual((told["rows"], told["deletions"]), (len(self.rows), 0))
        for field in told["fields"]:
            values = [r[field["name"]] for r in self.rows if field["name"] in r]
            self.assertEqual(field["present"], len(values), field)
            self.assertEqual(field["nulls"], len(self.rows) - len(values), field)
            if not values:
                continue
            different = len({json.dumps(v) for v in values})
            self.assertAlmostEqual(field["distinct"], different, delta=1 + different * 0.03)
            if field["type"] in ("integer", "time"):
                self.check_numbers(field, sorted(values))
            elif field["type"] == "string":
                self.check_numbers(field["characters"], sorted(map(len, values)))
            if "top" in field:
                self.check_top(field["top"], collections.Counter(values))

    def check_numbers(self, told, values):
        self.assertEqual((told["min"], told["max"]), (values[0], values[-1]))
        for name, value in told["quantiles"].items():
            rank, share = len(values), int(name[1:]) / 100
            low, high = bisect.bisect_left(values, value), bisect.bisect_right(values, value)
            self.assertLess(low, (share + 0.02) * rank + 1, (name, told))
            self.assertGreater(high, (share - 0.02) * rank - 1, (name, told))

    def check_top(self, told, counts):
        for one in told:
            if not one.get("cut"):
                n = counts[one["value"]]
                self.assertTrue(one["at_least"] <= n <= one["at_most"], (one, n))
        if len(counts) <= 256:
            self.assertEqual([t["at_least"] for t in told],
                             [n for _, n in counts.most_common(10)])

    def test_the_form_of_great_expectations(self):
        found = json.loads(self.profile("validate?field=text&max-length=20",
                                        "validate?field=id&required")[2])
        self.assertFalse(found["success"])
        self.assertEqual(found["statistics"], {
            "evaluated_expectations": 2, "successful_expectations": 1,
            "unsuccessful_expectations": 1, "success_percent": 50})
        first, second = found["results"]
        broken = sum(len(r.get("text", "")) > 20 for r in self.rows)
        self.assertEqual(first["expectation_config"]["type"],
                         "expect_column_value_lengths_to_be_between")
        self.assertEqual(first["expectation_config"]["kwargs"], {"column": "text"})
        self.assertEqual(first["result"]["element_count"], len(self.rows))
        self.assertEqual(first["result"]["unexpected_count"], broken)
        self.assertAlmostEqual(first["result"]["unexpected_percent"],
                               100 * broken / len(self.rows))
        self.assertTrue(second["success"])

    def test_the_page_needs_nothing_beside_it(self):
        page = self.profile("lua?code=row.sender_name = '<script>x&y</script>'"
                            .replace("&", "%26"), "validate?field=text&max-length=20")[1]
        self.assertNotRegex(page, r"<script|<link|<img|src=|url\(|https?:")
        self.assertIn("&lt;script&gt;x&amp;y&lt;/script&gt;", page)
        self.assertIn("prefers-color-scheme:dark", page)
        reader = Tags()
        reader.feed(page)
        self.assertEqual(reader.wrong, [])
        self.assertGreater(reader.seen["svg"], 5)

    def test_a_file_that_cannot_be_written_is_told(self):
        (self.dir / "file").write_text("")
        done = self.transform(f"profile?to={self.dir}/file/profile.json")
        self.assertEqual(done.code, 7, done)
        self.assertIn("file", done.err)

    def test_without_a_rule_there_is_no_quality(self):
        done = self.transform("enrich", more=["--json"])
        self.assertIsNone(done.json()["quality"])

    def test_mistakes_are_told(self):
        done = self.transform("validate?field=text&max-length=3&required")
        self.assertEqual(done.code, 2, done)
        self.assertIn("more than one condition is given", done.err)


if __name__ == "__main__":
    kit.main()
