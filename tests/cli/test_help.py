#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Help, malformed words, and what needs no server."""
import json
import re
import subprocess

from kit import Case, TGDATA, clean_env, main, tgdata

COMMANDS = ["login", "logout", "chats", "extract", "checkpoints", "verify", "sim", "demo",
            "schedule", "schema", "export-session", "version", "help"]


class Help(Case):
    sim_args = None

    def test_each_command_explains_itself(self):
        for command in COMMANDS:
            with self.subTest(command):
                done = tgdata(command, "--help")
                self.assertEqual(done.code, 0, done)
                self.assertEqual(done.err, "")
                for part in [f"Usage: tgdata {command} ", "Options:", "--verbose", "Exit codes:",
                             "Examples:"]:
                    self.assertIn(part, done.out)
                self.assertLessEqual(max(map(len, done.out.splitlines())), 100)
                self.assertEqual(tgdata("help", command).out, done.out)
                self.assertEqual(tgdata(command, "-h").out, done.out)

    def test_the_list_of_commands(self):
        for words in [["help"], ["--help"], ["-h"]]:
            done = tgdata(*words)
            self.assertEqual(done.code, 0)
            if words != ["help"]:
                continue
            for command in COMMANDS:
                self.assertRegex(done.out, rf"(?m)^  {command} ")

    def test_nothing_said_is_wrong_usage(self):
        done = tgdata()
        self.assertEqual(done.code, 2)
        self.assertIn("Commands:", done.err)
        self.assertEqual(done.out, "")

    def test_exit_codes_stand_in_the_help(self):
        text = tgdata("verify", "--help").out.split("Exit codes:")[1]
        codes = [int(c) for c in re.findall(r"(?m)^ +(\d+)  ", text)]
        self.assertEqual(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130])


class Malformed(Case):
    sim_args = None

    def test_words(self):
        table = [
            (["verfy"], "did you mean 'verify'?"),
            (["frobnicate"], "tgdata help lists"),
            (["help", "extrct"], "did you mean 'extract'?"),
            (["chats", "--sesion", "x"], "did you mean '--session'?"),
            (["chats", "--batch-size", "5"], "--help lists all options"),
            (["chats", "--session"], "needs a value"),
            (["chats", "--session", "--json"], "needs a value"),
            (["chats", "extra"], "usage: tgdata chats"),
            (["chats", "-x"], "--help lists all options"),
            (["chats", "--json=perhaps"], "takes yes or no"),
            (["export-session"], "usage: tgdata export-session"),
            (["checkpoints"], "usage: tgdata checkpoints"),
            (["checkpoints", "lst"], "it can list, show and rollback"),
            (["checkpoints", "show"], "checkpoints list shows the ids"),
            (["checkpoints", "show", "abc"], "checkpoints list shows the ids"),
            (["checkpoints", "rollback", "5"], "pass --number N"),
            (["extract", "x", "--batch-size", "many"], "takes a number, not 'many'"),
            (["extract", "x", "--batch-size", "0"], "must be from 1 to 100000"),
            (["extract", "x", "--since", "yesterday"], "takes a date"),
            (["extract", "x", "--lease", "soon"], "takes a time"),
            (["extract", "x", "--buffer", "big"], "takes a size"),
            (["extract", "x", "--transport", "pigeon"], "obfuscated|intermediate"),
            (["extract", "x", "--progress", "loud"], "auto|plain|json|none"),
            (["extract"], "tgdata chats lists them"),
            (["extract", "x", "--all"], "exclude each other"),
            (["sim"], "--dir DIR"),
            (["extract", "x", "--job", "a", "--job", "b"], "'--job' is given twice"),
            (["extract", "x", "--batch-size=5", "--batch_size", "5"], "is given twice"),
            (["checkpoints", "list", "--job", "a", "--job=b"], "'--job' is given twice"),
            (["login", "--code-fd", "3", "--code-fd", "4"], "'--code-fd' is given twice"),
            (["sim", "--dir", "x", "--schema", "no", "--schema", "no"], "--schema names"),
            (["login", "--code-fd", "99", "--api-id", "1"], "descriptor 99"),
        ]
        for words, says in table:
            with self.subTest(" ".join(words)):
                done = tgdata(*words, cwd=self.dir)
                self.assertEqual(done.code, 2, done)
                self.assertIn(says, done.err)
                self.assertEqual(done.out, "")
                self.assertTrue(done.err.startswith("tgdata"), done)
                self.assertLessEqual(len(done.err.splitlines()), 2, done)

    def test_a_broken_environment_variable_is_named(self):
        done = tgdata("chats", env={"TGDATA_API_ID": "many"}, cwd=self.dir)
        self.assertEqual(done.code, 2, done)
        self.assertIn("TGDATA_API_ID", done.err)

    def test_values_may_stand_behind_equals(self):
        done = tgdata("schema", "--json=yes")
        self.assertEqual(done.code, 0)
        self.assertTrue(json.loads(done.out)["fields"])


class Offline(Case):
    sim_args = None

    def test_schema(self):
        table = tgdata("schema", "--json").json()
        self.assertEqual(table["layer"], 228)
        names = [f["name"] for f in table["fields"]]
        self.assertEqual(names[:2], ["chat_id", "id"])
        self.assertEqual(len(names), len(set(names)))
        text = tgdata("schema").out
        for f in table["fields"]:
            self.assertIn(f["meaning"], text)

    def test_version(self):
        table = tgdata("version", "--json").json()
        self.assertRegex(table["version"], r"^\d+\.\d+\.\d+$")
        for part in ["sink ndjson", "store sqlite"]:
            self.assertIn(part, table["parts"])
        self.assertTrue(any(re.match(r"libuv 1\.", p) for p in table["parts"]))
        self.assertEqual(tgdata("--version").out, tgdata("version").out)

    def test_output_that_cannot_be_written_is_an_error(self):
        for command in [["schema"], ["version"], ["extract", "--help"]]:
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([TGDATA, *command], stdout=full, stderr=subprocess.PIPE,
                                      env=clean_env(), check=False)
            self.assertEqual(done.returncode, 7, command)
            self.assertIn(b"standard output", done.stderr)


if __name__ == "__main__":
    main()
