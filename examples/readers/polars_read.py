#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""polars_read.py ARCHIVE - what tgdata wrote, with polars

ARCHIVE is a directory of parts (ndjson:, csv:, parquet:) or the file of an SQLite or DuckDB
database. Files are scanned lazily: only the columns that are asked for are read. Prints messages,
views and writers of each day as CSV.
"""
import pathlib
import sys

import polars as pl

TYPES = {"date": pl.String, "sender_id": pl.Int64, "views": pl.Int64}


def of_text(frame):
    """Times of JSON, CSV and SQLite: 2024-01-15T10:30:00Z."""
    return frame.with_columns(pl.col("date").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))


def read_ndjson(path):
    return of_text(pl.scan_ndjson(path, schema=TYPES))


def read_csv(path):
    # columns that are not asked for stay texts, whatever their first rows look like
    return of_text(pl.scan_csv(path, infer_schema=False).select(
        pl.col(name).cast(kind) for name, kind in TYPES.items()))


def read_parquet(path):
    return pl.scan_parquet(path).select(*TYPES)


def read_sqlite(path):
    import sqlite3
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        found = pl.read_database(f"SELECT {', '.join(TYPES)} FROM messages", db,
                                 schema_overrides=TYPES)
    return of_text(found.lazy())


def read_duckdb(path):
    import duckdb
    with duckdb.connect(path, read_only=True) as db:
        return db.sql(f"SELECT {', '.join(TYPES)} FROM messages").pl().lazy()


READ = {".ndjson": read_ndjson, ".csv": read_csv, ".parquet": read_parquet}


def read(archive):
    archive = pathlib.Path(archive)
    if archive.is_file():
        with archive.open("rb") as file:
            sqlite = file.read(6) == b"SQLite"
        return (read_sqlite if sqlite else read_duckdb)(archive)
    parts = sorted(p for p in archive.glob("chat_*/part-*") if p.suffix in READ)
    return pl.concat([READ[p.suffix](p) for p in parts])


def by_day(rows):
    day = pl.col("date").dt.convert_time_zone("UTC").dt.date().alias("day")
    return rows.group_by(day).agg(
        messages=pl.len(), views=pl.col("views").sum(),
        writers=pl.col("sender_id").drop_nulls().n_unique()).sort("day").collect()


if __name__ == "__main__":
    by_day(read(sys.argv[1])).write_csv(sys.stdout)
