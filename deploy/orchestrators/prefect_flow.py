# SPDX-License-Identifier: MIT
"""Prefect 3: chats side by side, each with retries of its own; then the proof.

  python prefect_flow.py @a @b                         now
  prefect deploy prefect_flow.py:tgdata_nightly ...    on a schedule

TGDATA_SESSION, TGDATA_STATE and TGDATA_TO are as for the program's options.
"""
import os
import re
import sys

from prefect import flow, task
from tgdata_step import TryAgain, step


def worth_it(_task, _run, state):
    """Whether a failed run is tried again."""
    try:
        state.result()
    except TryAgain:
        return True
    except Exception:  # pylint: disable=broad-except
        return False
    return False


def job_of(chat):
    """A job for each chat: its lease is a lease of the chat."""
    return "chat." + re.sub(r"[^A-Za-z0-9._-]", ".", str(chat))[:50]


@task(retries=5, retry_delay_seconds=[10, 60, 300, 900, 3600], retry_condition_fn=worth_it)
def extract(chat):
    return step("extract", "--to", os.environ["TGDATA_TO"], "--job", job_of(chat), "--json",
                "--progress", "none", "--quiet", "--", chat)


@task(retries=2, retry_delay_seconds=60, retry_condition_fn=worth_it)
def verify(chat, _):
    return step("verify", "--job", job_of(chat), "--json", "--quiet")


@flow(name="tgdata nightly")
def tgdata_nightly(chats):
    rows = 0
    for chat in chats:  # one after the other: a session is used by one process at a time
        done = extract(chat)
        verify(chat, done)
        rows += done["rows"]
    return rows


if __name__ == "__main__":
    print(tgdata_nightly(sys.argv[1:]))
