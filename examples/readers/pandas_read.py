#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""pandas_read.py ARCHIVE - what tgdata wrote, with pandas

ARCHIVE is a directory of parts (ndjson:, csv:, parquet:) or the file of an SQLite or DuckDB
database. Prints messages, views and writers of each day as CSV.
"""
import pathlib
import sys

import pandas as pd

COLUMNS = ["date", "sender_id", "views"]


def read_ndjson(path):
    # dtype=False: ids stay as they are written, and texts that look like numbers stay texts
    return pd.read_json(path, lines=True, dtype=False).reindex(columns=COLUMNS)


def read_csv(path):
    # "" and nothing at all are both NaN for pandas; Int64 has whole numbers with NaN among them
    return pd.read_csv(path, usecols=COLUMNS, dtype={"sender_id": "Int64", "views": "Int64"})


def read_parquet(path):
    return pd.read_parquet(path, columns=COLUMNS)


def read_sqlite(path):
    import sqlite3
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return pd.read_sql(f"SELECT {', '.join(COLUMNS)} FROM messages", db)


def read_duckdb(path):
    import duckdb
    with duckdb.connect(path, read_only=True) as db:
        return db.sql(f"SELECT date AT TIME ZONE 'UTC' AS date, sender_id, views FROM messages").df()


READ = {".ndjson": read_ndjson, ".csv": read_csv, ".parquet": read_parquet}


def read(archive):
    archive = pathlib.Path(archive)
    if archive.is_file():
        with archive.open("rb") as file:
            sqlite = file.read(6) == b"SQLite"
        return (read_sqlite if sqlite else read_duckdb)(archive)
    parts = sorted(p for p in archive.glob("chat_*/part-*") if p.suffix in READ)
    return pd.concat([READ[p.suffix](p) for p in parts], ignore_index=True)


def by_day(rows):
    rows["day"] = pd.to_datetime(rows["date"], utc=True).dt.date
    found = rows.groupby("day").agg(messages=("date", "size"), views=("views", "sum"),
                                    writers=("sender_id", "nunique"))
    return found.astype({"views": "int64"})


if __name__ == "__main__":
    by_day(read(sys.argv[1])).to_csv(sys.stdout)
