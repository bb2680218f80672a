#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the documentation tells to type works: README's run without an account, the blocks that need
no server, every option; and the maps of folders and of what was tested are whole."""
import os
import pathlib
import re
import signal
import subprocess

from kit import Case, TGDATA, clean_env, main, tgdata

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "deploy/README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(page):
    """The shell blocks of a page, their text as it stands."""
    fences = re.split(r"^```(.*)\n", page.read_text(encoding="utf-8"), flags=re.M)
    return [text for kind, text in zip(fences[1::4], fences[2::4]) if kind in ("", "sh")]


class Docs(Case):
    sim_args = None

    def test_the_lines_without_an_account(self):
        mine = [b for b in blocks(ROOT / "README.md") if "tgdata sim" in b]
        self.assertEqual(len(mine), 1)
        path = os.pathsep.join([str(pathlib.Path(TGDATA).resolve().parent), os.environ["PATH"]])
        process = subprocess.Popen(["sh", "-eu"], cwd=self.dir, env=clean_env(PATH=path),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        try:
            out, err = process.communicate(mine[0].encode(), timeout=120)
            self.assertEqual(process.returncode, 0, (out + err).decode())
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # a data centre that a failure left
            except ProcessLookupError:
                pass
        asked = int(re.search(r"--messages (\d+)", mine[0])[1])
        counts = {}
        for part in self.dir.glob("archive/chat_*/part-*.ndjson"):
            with part.open("rb") as lines:
                counts[part.parent] = counts.get(part.parent, 0) + sum(1 for _ in lines)
        self.assertGreater(sum(counts.values()), asked)
        self.assertIn(b"Logged in as", out)

    def test_every_link_leads_somewhere(self):
        seen = 0
        for page in [*PAGES, ROOT / "ARCHITECTURE.md"]:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)",
                                     page.read_text(encoding="utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page}: {target}")
                seen += 1
        self.assertGreater(seen, 3)

    def test_the_index_has_every_page(self):
        index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
        pages = {p.name for p in (ROOT / "docs").glob("*.md")} - {"README.md"}
        listed = re.findall(r"(?m)^\| \[([\w.]+)\]\(\1\) \| \S", index)
        self.assertEqual(sorted(listed), sorted(pages), "in the table of all pages, each once")

    def test_pages_of_patterns_say_what_for(self):
        for name in ("batch", "streams", "parallel", "resilience"):
            self.assertIn("| what it is for | how |",
                          (ROOT / f"docs/{name}.md").read_text(encoding="utf-8"), name)

    def test_every_anchor_is_a_heading(self):
        for page in PAGES:
            for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)",
                                             page.read_text(encoding="utf-8")):
                there = page.parent / target if target else page
                heads = re.findall(r"(?m)^#+ (.*)", there.read_text(encoding="utf-8"))
                made = [re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in heads]
                self.assertIn(anchor, made, f"{page}: {target}#{anchor}")

    def test_options_in_prose_exist(self):
        known = set()
        for command in re.findall(r"(?m)^  ([a-z-]+) +\S", tgdata("help").out):
            known |= set(re.findall(r"--([a-z][a-z0-9-]*)", tgdata(command, "--help").out))
        for name in ("README", "batch", "resilience", "streams"):
            page = ROOT / f"docs/{name}.md"
            told = page.read_text(encoding="utf-8")
            for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", told):
                self.assertIn(option, known, page)

    def test_every_command_and_option_exists(self):
        helps, seen = {}, 0
        for page in PAGES:
            for line in re.sub(r"\\\n", " ", "\n".join(blocks(page))).splitlines():
                for command, rest in re.findall(r"(?<![\w/.=-])tgdata ([a-z-]+)([^|&;]*)", line):
                    if command not in helps:
                        done = tgdata(command, "--help")
                        self.assertEqual(done.code, 0, f"{page}: {line}")
                        helps[command] = done.out
                    for name in re.findall(r"(?<!\S)--([a-z][a-z-]*)", rest):
                        self.assertRegex(helps[command], rf"--{name}\b", f"{page}: {line}")
                        seen += 1
        self.assertGreater(seen, 10)

    def test_the_map_has_every_folder(self):
        there = {p.name for p in (ROOT / "src").iterdir() if p.is_dir()}
        told = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
        self.assertEqual(set(re.findall(r"^src/(\w+)/ ", told, flags=re.M)), there)

    def test_every_driver_tells_how_it_was_tested(self):
        told = (ROOT / "docs/tested.md").read_text(encoding="utf-8")
        sections = dict(zip(("sink", "store", "queue"), told.split("\n## ")[1:]))
        built_in = re.findall(r"^  (sink|store|queue) (\S+)$", tgdata("version").out, flags=re.M)
        self.assertGreater(len(built_in), 15)
        for kind, name in built_in:
            self.assertRegex(sections[kind], rf"(?m)^\|.*`{name}:`.*\|", f"{kind} {name}")


def is_local(line):
    """Nothing but the program, a session and files are needed."""
    return re.match(r"tgdata (extract|transform|verify|chats|schema) ", line) and not re.search(
        r"://|duckdb:|kinesis:|--accounts|--fallback", line)


class Blocks(Case):
    """Blocks in which every line of tgdata is local run as they stand, in the order of their page,
    each in a directory of its own; @somechannel is one of the simulator's. Programs that are not
    among those of the tests (jq, duckdb) are left out."""

    sim_args = ("--chats", "6", "--messages", "300", "--file-max", "64KiB")

    def test_they_run(self):
        session, name = self.session(), self.sim.chat("channel")["username"]
        path = os.pathsep.join([str(pathlib.Path(TGDATA).resolve().parent), os.environ["PATH"]])
        ran = set()
        for page in PAGES:
            if page.name == "tutorial.md":
                continue  # test_tutorial.py runs it
            for number, block in enumerate(blocks(page)):
                lines = re.sub(r"\\\n\s*", "", block).splitlines()
                if not all(is_local(line) for line in lines if line.startswith("tgdata ")):
                    continue
                lines = [re.sub(r"\| jq .*", "| cat", line).replace("@somechannel", f"@{name}")
                         for line in lines if re.match("tgdata |sqlite3 ", line)]
                if not lines:
                    continue
                with self.subTest(page=page.name, lines=lines):
                    there = self.dir / f"{page.stem}{number}"
                    there.mkdir()
                    done = subprocess.run(
                        ["sh", "-eu"], input="\n".join(lines).encode(), cwd=there, check=False,
                        capture_output=True, timeout=120,
                        env=clean_env(PATH=path, TGDATA_SESSION=str(session)))
                    self.assertEqual(done.returncode, 0, done)
                    ran.add(page.name)
        self.assertLessEqual({"batch.md", "comments.md", "destinations.md", "media.md",
                              "resilience.md", "transform.md"}, ran)


if __name__ == "__main__":
    main()
