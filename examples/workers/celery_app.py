# SPDX-License-Identifier: MIT
"""Chats as Celery tasks.

  CELERY_BROKER=redis://127.0.0.1:6379/0 TGDATA_SESSION=1.session TGDATA_TO=ndjson:archive \\
  TGDATA_STATE=sqlite:state.db celery -A celery_app worker --pool solo -n one@%h

  python -c 'from celery_app import extract; print(extract.delay("@somechannel").get())'

A task is acknowledged when it has ended, so that the tasks of a worker that died are given to others
(`visibility_timeout`); they go on behind its last commit.
"""
import os

from celery import Celery

import tgdata_task

BROKER = os.environ["CELERY_BROKER"]
app = Celery("tgdata", broker=BROKER, backend=BROKER)
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("CELERY_VISIBILITY", "3600"))})


@app.task(bind=True, autoretry_for=(tgdata_task.TryAgain,), max_retries=8, retry_backoff=2,
          retry_backoff_max=300, retry_jitter=True)
def extract(self, chat, **options):
    """Options: since, until, limit."""
    return tgdata_task.run(chat, **options)
