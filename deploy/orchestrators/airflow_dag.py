# SPDX-License-Identifier: MIT
"""Airflow 3: nightly, the steps of the ETL design. Put this file and tgdata_step.py into the dags
folder. Where it works is told by its environment:

  TGDATA_CHAT       the chat
  TGDATA_SESSION    a session file that is logged in
  TGDATA_DIR        where rows, state and archived checkpoints are kept
  TGDATA_WAREHOUSE  the destination that is loaded (default: a SQLite file there)
"""
import os
import pathlib
import shutil
from datetime import timedelta

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException
from tgdata_step import Failed, step

HOME = pathlib.Path(os.environ.get("TGDATA_DIR", "/var/lib/tgdata"))
CHAT = os.environ.get("TGDATA_CHAT", "@somechannel")
WAREHOUSE = os.environ.get("TGDATA_WAREHOUSE", f"sqlite:{HOME}/warehouse.db")
STATE = f"sqlite:{HOME}/tgdata.state"
FREE_BYTES = 1 << 30


def hopeless(*words):
    """A step; what no other try can help ends the run instead of using its retries up."""
    try:
        return step(*words)
    except Failed as failed:
        raise AirflowFailException(str(failed)) from failed


@dag(schedule="30 2 * * *", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False,
     max_active_runs=1, dagrun_timeout=timedelta(hours=8), tags=["tgdata"],
     default_args={"retries": 5, "retry_delay": timedelta(minutes=5),
                   "retry_exponential_backoff": True})
def tgdata_nightly():
    @task
    def check_prerequisites():
        """The login holds, the chat is there, and so is room."""
        HOME.mkdir(parents=True, exist_ok=True)
        chats = hopeless("chats", "--json", "--quiet")
        if shutil.disk_usage(HOME).free < FREE_BYTES:
            raise RuntimeError(f"less than {FREE_BYTES} bytes are free in {HOME}")
        return len(chats["chats"] if isinstance(chats, dict) else chats)

    @task
    def extract_messages(_):
        """Goes on where the run before, or the try before, has committed."""
        done = hopeless("extract", CHAT, "--to", f"ndjson:{HOME}/raw", "--state", STATE, "--job",
                        "nightly", "--json", "--progress", "none", "--quiet")
        return {name: done[name] for name in ("status", "rows")}

    @task
    def validate_data(_):
        """Nothing is missing or doubled; what breaks a rule is counted."""
        hopeless("verify", "--state", STATE, "--job", "nightly", "--json", "--quiet")

    @task
    def load_to_warehouse(_):
        """From the files, without asking Telegram again; what breaks a rule stays out."""
        done = hopeless("transform", f"ndjson:{HOME}/raw", "--to", WAREHOUSE, "--state", STATE,
                        "--job", "load", "--stage", "enrich", "--stage",
                        "validate?field=text&max-length=4096&severity=drop", "--json", "--quiet")
        return done["rows"]

    @task
    def cleanup(_):
        """The checkpoints are archived."""
        hopeless("state", "backup", STATE, f"{HOME}/checkpoints-{pendulum.now('UTC'):%Y%m%dT%H%M%S}",
                 "--quiet")

    cleanup(load_to_warehouse(validate_data(extract_messages(check_prerequisites()))))


tgdata_nightly()
