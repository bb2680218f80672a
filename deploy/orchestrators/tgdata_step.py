# SPDX-License-Identifier: MIT
"""One command of tgdata as a step of somebody's workflow.

The exit code says what to do: 6 (network, server), 7 (destination), 8 (state), 9 (somebody else has
that job) and an end by a signal are worth another try, which goes on behind the last commit; all
others are not. TGDATA names the program (default: tgdata).
"""
import json
import os
import subprocess

TRY_AGAIN = {6, 7, 8, 9, 130}


class TryAgain(Exception):
    """Worth another try."""


class Failed(Exception):
    """Not worth one."""


def step(*words):
    """Runs a command; returns what it printed, as an object if it was JSON."""
    done = subprocess.run([os.environ.get("TGDATA", "tgdata"), *map(str, words)], check=False,
                          capture_output=True, text=True)
    if done.returncode:
        error = TryAgain if done.returncode in TRY_AGAIN or done.returncode < 0 else Failed
        raise error(f"tgdata {words[0]}: exit code {done.returncode}: {done.stderr.strip()}")
    print(done.stderr, end="")
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout
