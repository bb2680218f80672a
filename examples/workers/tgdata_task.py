# SPDX-License-Identifier: MIT
"""One chat, extracted by a worker of any task queue.

The exit code of `tgdata extract` says what to do: 6 (network, server), 7 (destination), 8 (state),
9 (somebody else has that chat) are worth another try, 2 to 5 are not. A job of its own for each chat
makes its lease a lease of the chat: two workers that got the same task cannot both write.

Settings of a worker, from its environment:
  TGDATA          the program (default: tgdata)
  TGDATA_SESSION  its session file: one for each worker process
  TGDATA_TO       the destination, such as ndjson:archive
  TGDATA_STATE    the state store, shared by all workers
"""
import json
import os
import re
import subprocess

TRY_AGAIN = {6, 7, 8, 9}


class TryAgain(Exception):
    """Worth another try."""


class Failed(Exception):
    """Not worth one."""


def run(chat, since=None, until=None, limit=None):
    """Extracts a chat; returns the program's summary."""
    args = [os.environ.get("TGDATA", "tgdata"), "extract", "--to", os.environ["TGDATA_TO"],
            "--state", os.environ["TGDATA_STATE"], "--session", os.environ["TGDATA_SESSION"],
            "--job", "chat." + re.sub(r"[^A-Za-z0-9._-]", ".", str(chat))[:50], "--json",
            "--progress", "none", "--quiet"]
    for name, value in [("--since", since), ("--until", until), ("--limit", limit)]:
        if value is not None:
            args += [name, str(value)]
    done = subprocess.run([*args, "--", str(chat)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    error = TryAgain if done.returncode in TRY_AGAIN or done.returncode < 0 else Failed
    raise error(f"exit code {done.returncode}: {done.stderr.strip()}")
