# SPDX-License-Identifier: MIT
"""Temporal: a workflow that extracts a chat and proves it, and the worker that runs it.

  python temporal_worker.py                                      a worker of the queue "tgdata"
  temporal workflow start --task-queue tgdata --type ExtractChat --input '"@somechannel"'

An activity that is cancelled, or whose worker dies, is tried again and goes on behind its last
commit: that is all the state that is needed. Heartbeats tell the server that it lives.
TGDATA_SESSION, TGDATA_STATE and TGDATA_TO are as for the program's options.
"""
import asyncio
import os
import re
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from tgdata_step import Failed, step

BEAT_S = 10


async def beating(*words):
    """A step in a thread, with heartbeats while it runs."""
    running = asyncio.ensure_future(asyncio.to_thread(step, *words))
    while not running.done():
        activity.heartbeat()
        await asyncio.wait([running], timeout=BEAT_S)
    try:
        return running.result()
    except Failed as failed:
        raise ApplicationError(str(failed), non_retryable=True) from failed


def job_of(chat):
    return "chat." + re.sub(r"[^A-Za-z0-9._-]", ".", str(chat))[:50]


@activity.defn
async def extract(chat: str) -> int:
    done = await beating("extract", "--to", os.environ["TGDATA_TO"], "--job", job_of(chat), "--json",
                         "--progress", "none", "--quiet", "--", chat)
    return done["rows"]


@activity.defn
async def verify(chat: str) -> None:
    await beating("verify", "--job", job_of(chat), "--json", "--quiet")


@workflow.defn
class ExtractChat:
    @workflow.run
    async def run(self, chat: str) -> int:
        often = {"start_to_close_timeout": timedelta(days=2),
                 "heartbeat_timeout": timedelta(seconds=6 * BEAT_S),
                 "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=10),
                                             maximum_interval=timedelta(hours=1))}
        rows = await workflow.execute_activity(extract, chat, **often)
        await workflow.execute_activity(verify, chat, **often)
        return rows


async def main():
    client = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"))
    # a session is used by one process at a time
    worker = Worker(client, task_queue="tgdata", workflows=[ExtractChat],
                    activities=[extract, verify], max_concurrent_activities=1)
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
