#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `cmake --install` leaves: a program, libraries and headers that others can build against."""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))
from kit import Case, main, tgdata  # noqa: E402

BUILD = os.environ["TG_BUILD"]


def output(*words, **more):
    """Output as it is: a carriage return within a text is no line's end."""
    done = subprocess.run(list(map(str, words)), check=True, stdout=subprocess.PIPE, **more)
    return done.stdout.decode()


class Install(Case):
    sim_args = ("--chats", "2", "--messages", "1200")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = pathlib.Path(tempfile.mkdtemp(dir=cls.top)) / "usr"
        output("cmake", "--install", BUILD, "--prefix", cls.prefix)
        found = sorted(cls.prefix.glob("**/tgdata.pc"))
        assert len(found) == 1, found
        cls.env = dict(os.environ, PKG_CONFIG_PATH=str(found[0].parent))
        cls.lib = found[0].parent.parent

    def flags(self, *words):
        return output("pkg-config", *words, "tgdata", env=self.env).split()

    def compile(self, name, flags):
        exe = self.dir / name
        output("cc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
               ROOT / "examples" / "extract.c", *flags, "-o", exe)
        return exe

    def check_extracts(self, exe, env):
        session = self.session()
        chat = self.sim.chat("supergroup")
        words = [exe, session, f"@{chat['username']}", self.sim.file]
        text = output(*words, env=env, cwd=self.dir, stderr=subprocess.DEVNULL)
        self.assertEqual([int(line.split("\t")[0]) for line in text.split("\n")[:-1]],
                         self.sim.ids(chat["id"]))
        again = output(*words, env=env, cwd=self.dir, stderr=subprocess.DEVNULL)
        self.assertEqual(again, "", "what was committed does not come again")

    def test_shared(self):
        exe = self.compile("shared", self.flags("--cflags", "--libs"))
        self.check_extracts(exe, dict(os.environ, LD_LIBRARY_PATH=str(self.lib)))

    def test_static(self):
        flags = [f if f != "-ltgdata" else "-l:libtgdata.a"
                 for f in self.flags("--static", "--cflags", "--libs")]
        exe = self.compile("static", flags)
        self.assertNotIn("libtgdata", output("ldd", exe))
        self.check_extracts(exe, dict(os.environ))

    def test_the_program_is_there(self):
        text = output(self.prefix / "bin" / "tgdata", "version")
        self.assertIn(self.flags("--modversion")[0], text)
        self.assertEqual(text, tgdata("version").out)

    def test_manual_pages_and_completions_are_there(self):
        share = self.prefix / "share"
        self.assertEqual(sorted(p.name for p in (share / "man").glob("man*/*")),
                         sorted(tgdata("man").out.split()))
        for shell, file in [("bash", "bash-completion/completions/tgdata"),
                            ("zsh", "zsh/site-functions/_tgdata"),
                            ("fish", "fish/vendor_completions.d/tgdata.fish")]:
            self.assertEqual((share / file).read_text(encoding="utf-8"),
                             tgdata("completion", shell).out)


if __name__ == "__main__":
    main()
