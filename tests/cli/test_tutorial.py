#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/tutorial.md is run as it stands: its blocks of shell one after the other in one shell, and
what each prints is what the block of text behind it shows; '...' is whatever it may be."""
import os
import pathlib
import re
import signal
import subprocess

from kit import Case, TGDATA, clean_env, main

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
END = "the block has ended with"


def steps():
    """Each block of shell with the block of text that follows it before the next one, or None."""
    fences = re.split(r"^```(.*)\n", PAGE.read_text(encoding="utf-8"), flags=re.M)
    found = []
    for kind, text in zip(fences[1::4], fences[2::4]):
        if kind == "sh":
            found.append([text, None])
        else:
            assert kind == "text" and found and found[-1][1] is None, kind
            found[-1][1] = text
    return found


def pattern(shown):
    """A line '...' is any number of lines; '...' in a line the rest of what stands there."""
    text = "".join(r"(?:.*\n)*" if line == "..." else
                   ".*".join(re.escape(part) for part in line.split("...")) + r"\s*\n"
                   for line in shown.splitlines())
    return re.compile(text)


class Tutorial(Case):
    sim_args = None

    def test_it_works(self):
        path = os.pathsep.join([str(pathlib.Path(TGDATA).resolve().parent), os.environ["PATH"]])
        with open(self.dir / "errors.txt", "wb") as errors:
            shell = subprocess.Popen(["bash", "-eu", "-o", "pipefail"], cwd=self.dir, text=True,
                                     env=clean_env(PATH=path), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
        try:
            self.assertGreater(len(steps()), 10)
            for block, shown in steps():
                shell.stdin.write(f"{block}echo; echo '{END}' $?\n")
                shell.stdin.flush()
                lines = []
                for line in shell.stdout:
                    if line.startswith(END):
                        break
                    lines.append(line)
                else:
                    self.fail(f"{block}\n{''.join(lines)}\n"
                              + (self.dir / "errors.txt").read_text(encoding="utf-8"))
                said = "".join(lines[:-1]) if lines[-1] == "\n" else "".join(lines)
                if shown is not None:
                    self.assertTrue(pattern(shown).fullmatch(said),
                                    f"{block}shown:\n{shown}said:\n{said}")
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            shell.stdin.close()
            shell.stdout.close()
            shell.wait()


if __name__ == "__main__":
    main()
