#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Manual pages hold what help, version and schema tell, and man's own programs take them;
completion in real shells, asked as a terminal asks them."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess

from kit import Case, TGDATA, clean_env, main, tgdata

DAY = {"SOURCE_DATE_EPOCH": "1700000000"}


def page(name):
    done = tgdata("man", name, env=DAY)
    assert done.code == 0, done
    return done.out


def plain(roff):
    """The words of a page as they are read."""
    text = re.sub(r"\\f[BIR]", "", roff).replace("\\&", "").replace("\\:", "")
    for roff_char, char in [("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"),
                            ("\\(ti", "~"), ("\\(dq", '"'), ("\\e", "\\")]:
        text = text.replace(roff_char, char)
    return " ".join(re.sub(r"(?m)^\.[A-Z]+", "", text).split())


def commands():
    return re.findall(r"(?m)^  ([a-z-]+) +\S", tgdata("help").out.split("Commands:")[1]
                      .split("First steps:")[0])


class Man(Case):
    sim_args = None

    def test_a_page_for_each_command(self):
        pages = tgdata("man").out.split()
        self.assertEqual(sorted(pages), sorted(
            ["tgdata.1", "tgdata-config.5", "tgdata-drivers.7",
             *(f"tgdata-{c}.1" for c in commands())]))

    def test_a_page_holds_its_help(self):
        words = 0
        for command in commands():
            text, told = plain(page(f"tgdata-{command}.1")), tgdata(command, "--help").out
            about = told.split("\n\n")[1]
            self.assertIn(" ".join(about.split()), text)
            for name in re.findall(r"(?m)^  (--[a-z0-9-]+)", told):
                self.assertRegex(text, rf"(?<!\S){name}\b", command)
                words += 1
            for meaning in re.findall(r"(?m)^ +\d+  (.*)", told):
                self.assertIn(meaning, text)
            for line in told.split("Examples:\n")[1].splitlines():
                self.assertIn(" ".join(line.split()), text)
        self.assertGreater(words, 300)

    def test_drivers_and_keys(self):
        text = plain(page("tgdata-drivers.7"))
        for _, name in re.findall(r"(?m)^  (sink|store) (\S+)$", tgdata("version").out):
            self.assertIn(f" {name}: ", text)
        schema = tgdata("config", "schema").json()
        text = plain(page("tgdata-config.5"))
        job = schema["properties"]["jobs"]["items"]["properties"]
        names = {n.replace("-", "_") for n in [*schema["properties"], *job, *schema["$defs"]]}
        self.assertGreater(len(names), 80)
        for name in sorted(names):
            self.assertRegex(text, rf"(?<!\S){name}[ :,]")

    def test_a_day_that_is_set_makes_a_page_of_that_day(self):
        self.assertIn(" 2023-11-14 ", page("tgdata.1").splitlines()[0])
        self.assertEqual(page("tgdata-extract"), page("tgdata-extract.1"))
        self.assertEqual(page("extract"), page("tgdata-extract.1"))

    def test_mistakes(self):
        self.check_fails(tgdata("man", "tgdata-nothing.1"), 3, "tgdata-nothing.1")
        self.check_fails(tgdata("completion", "csh"), 2, "bash, zsh and fish")

    def test_programs_of_man_take_them(self):
        programs = [["groff", "-man", "-ww", "-b", "-Tutf8"],
                    ["mandoc", "-T", "lint", "-W", "warning"]]
        programs = [p for p in programs if shutil.which(p[0])]
        if not programs:
            self.skipTest("neither groff nor mandoc is there")
        files = []
        for name in tgdata("man").out.split():
            files.append(self.dir / name)
            files[-1].write_text(page(name), encoding="utf-8")
        for program in programs:
            for file in files:
                done = subprocess.run([*program, file], capture_output=True, check=False,
                                      text=True, env=clean_env())
                said = done.stderr + (done.stdout if program[0] == "mandoc" else "")
                self.assertEqual((done.returncode, said), (0, ""), file.name)


class Terminal:
    """A shell that believes that somebody types."""

    END = "no more"

    def __init__(self, words, setup):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.environ.update(clean_env(
                    PATH=f"{pathlib.Path(TGDATA).resolve().parent}:{os.environ['PATH']}",
                    PS1="$ ", HISTFILE="/dev/null", COLUMNS="200"))
                os.execvp(words[0], words)
            finally:
                os._exit(127)
        self.heard = b""
        for line in setup:
            self.type(line + "\n")

    def type(self, text):
        os.write(self.fd, text.encode())

    def completed(self, line, key):
        """The words that a line has after the key: printed by the shell itself."""
        start = len(self.heard)
        self.type(line + key + "\x01printf '<%s>\\n' \x05 '" + self.END + "'\n")
        while f"<{self.END}>".encode() not in self.heard[start:]:
            if not select.select([self.fd], [], [], 60)[0]:
                raise RuntimeError(self.heard.decode("utf-8", "replace"))
            self.heard += os.read(self.fd, 65536)
        text = self.heard[start:].decode("utf-8", "replace")
        return re.findall(r"(?m)^<([^>\n]*)>\r?$", text)[:-1]

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Completion(Case):
    """What is typed, and the words that must and must not be among those that come of it."""

    sim_args = None
    LINES = [
        ("tgdata extr", ["extract"], ["export-session"]),
        ("tgdata config ", ["check", "show", "schema"], ["--job"]),
        ("tgdata dlq ", ["list", "show", "replay", "drop"], []),
        ("tgdata help ver", ["verify", "version"], ["extract"]),
        ("tgdata completion ", ["bash", "zsh", "fish"], []),
        ("tgdata man tgdata-conf", ["tgdata-config.1", "tgdata-config.5"], []),
        ("tgdata extract --tr", ["--transport"], ["--to"]),
        ("tgdata chats --se", ["--session"], []),
        ("tgdata extract --transport ", ["obfuscated", "padded", "full"], ["--to"]),
        ("tgdata extract x --to nd", ["ndjson:"], ["csv:"]),
        ("tgdata extract x --state ", ["sqlite:", "redis:"], ["ndjson:"]),
        ("tgdata extract x --takeout --raw --lim", ["--limit"], []),
        ("tgdata chats --session ses", ["session.one", "session.two"], []),
        ("tgdata run e", ["etl.yaml"], []),
    ]

    def setUp(self):
        super().setUp()
        for name in ["session.one", "session.two", "etl.yaml"]:
            (self.dir / name).touch()

    def script(self, shell):
        if not shutil.which(shell):
            self.skipTest(f"{shell} is not there")
        file = self.dir / ("_tgdata" if shell == "zsh" else f"tgdata.{shell}")
        file.write_text(tgdata("completion", shell).out, encoding="utf-8")
        return file

    def check(self, complete):
        for line, there, not_there in self.LINES:
            with self.subTest(line):
                found = complete(line)
                self.assertLessEqual(set(there), set(found), found)
                self.assertFalse(set(not_there) & set(found), found)

    def test_bash(self):
        file = self.script("bash")
        shell = Terminal(["bash", "--norc", "--noprofile", "-i"],
                         ["bind 'set enable-bracketed-paste off'", f"cd {self.dir}",
                          f"source {file}"])
        try:
            self.check(lambda line: shell.completed(line, "\x1b*"))
            self.assertEqual(shell.completed("tgdata extract --transport=pa", "\t")[-1],
                             "--transport=padded")
            self.assertEqual(shell.completed("tgdata chats --session=session.o", "\t")[-1],
                             "--session=session.one")
            self.assertEqual(shell.completed("tgdata extract x --to sqlite:et", "\t")[-1],
                             "sqlite:etl.yaml")
        finally:
            shell.close()

    def test_zsh(self):
        file = self.script("zsh")
        shell = Terminal(["zsh", "-f", "-i"], [
            "unsetopt zle_bracketed_paste; unset zle_bracketed_paste",
            f"cd {self.dir}; fpath=({file.parent} $fpath)",
            "autoload -Uz compinit && compinit -u -D",
            "all() { _main_complete; compstate[insert]=all; compstate[list]= }",
            "zle -C all complete-word all; bindkey '^T' all"])
        try:
            self.check(lambda line: shell.completed(line, "\x14"))
        finally:
            shell.close()

    def test_fish(self):
        file = self.script("fish")
        env = clean_env(HOME=str(self.dir), PATH=f"{pathlib.Path(TGDATA).resolve().parent}:"
                                                 f"{os.environ['PATH']}")

        def complete(line):
            words = ["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]
            done = subprocess.run([*words, str(file), line], cwd=self.dir, env=env, text=True,
                                  capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return [words.split("\t")[0] for words in done.stdout.splitlines()]

        self.check(complete)


if __name__ == "__main__":
    main()
