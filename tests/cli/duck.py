# SPDX-License-Identifier: MIT
"""A reader of files beside the program: DuckDB in the Python that tests/interop/setup makes."""
import json
import os
import pathlib
import subprocess

DEPS = pathlib.Path(os.environ.get(
    "TG_DEPS", pathlib.Path(__file__).resolve().parents[2] / ".deps"))
READERS = DEPS / "readers/bin/python"
LIBRARY = DEPS / "duckdb/libduckdb.so"

# Answers each line {"db": FILE or "", "sql": ...} with a line of rows; it holds no file in between.
SERVE = """
import datetime, duckdb, json, sys
def plain(v):
    if isinstance(v, datetime.datetime):
        return v.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return v
for line in sys.stdin:
    ask = json.loads(line)
    try:
        with duckdb.connect(ask["db"] or ":memory:", read_only=bool(ask["db"])) as db:
            db.sql("set timezone = 'UTC'")
            found = db.sql(ask["sql"])
            answer = [{k: plain(v) for k, v in zip(found.columns, r)} for r in found.fetchall()]
    except duckdb.Error as e:
        answer = str(e)
    print(json.dumps(answer), flush=True)
"""


def there():
    return READERS.exists()


class Duck:
    """Starts Python once: reading a file again and again is then cheap."""

    process = None

    @classmethod
    def ask(cls, sql, db=""):
        if cls.process is None:
            cls.process = subprocess.Popen([READERS, "-c", SERVE], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, text=True)
        print(json.dumps({"db": str(db), "sql": sql}), file=cls.process.stdin, flush=True)
        answer = json.loads(cls.process.stdout.readline())
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer

    @classmethod
    def end(cls):
        if cls.process:
            cls.process.stdin.close()
            cls.process.wait()
            cls.process.stdout.close()
            cls.process = None


def run(script, *args):
    """Runs a script, given as text, in the readers' Python."""
    return subprocess.run([READERS, "-c", script, *map(str, args)], check=True, timeout=240,
                          stdout=subprocess.PIPE, text=True)
