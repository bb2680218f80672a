# SPDX-License-Identifier: MIT
"""Chats as RQ jobs.

  TGDATA_SESSION=1.session TGDATA_TO=ndjson:archive TGDATA_STATE=sqlite:state.db \\
  rq worker --url redis://127.0.0.1:6379/0 tgdata

  python rq_enqueue.py redis://127.0.0.1:6379/0 @somechannel @another
"""
import sys

from redis import Redis
from rq import Queue, Retry

import tgdata_task


def main(url, *chats):
    queue = Queue("tgdata", connection=Redis.from_url(url))
    for chat in chats:
        job = queue.enqueue(tgdata_task.run, chat, job_timeout=-1, result_ttl=86400,
                            retry=Retry(max=8, interval=[2, 4, 8, 16, 32, 64, 128, 256]))
        print(job.id)


if __name__ == "__main__":
    main(*sys.argv[1:])
