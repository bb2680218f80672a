#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spark_read.py ARCHIVE - files that tgdata wrote, with Spark

ARCHIVE is a directory of parts (ndjson:, csv:, parquet:). Prints messages, views and writers of each
day as CSV.
"""
import pathlib
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

SCHEMA = "date TIMESTAMP, sender_id BIGINT, views BIGINT"


def read(spark, archive):
    archive = pathlib.Path(archive)
    suffix = next(p.suffix for p in sorted(archive.glob("chat_*/part-*")) if p.suffix != ".json")
    files = f"{archive}/chat_*/*{suffix}"  # manifests stand beside the parts
    if suffix == ".parquet":
        return spark.read.option("mergeSchema", True).parquet(files)
    if suffix == ".csv":
        # RFC 4180: quotes are doubled, texts may hold line ends
        rows = spark.read.options(header=True, multiLine=True, quote='"', escape='"').csv(files)
        return rows.selectExpr("to_timestamp(date) AS date", "CAST(sender_id AS BIGINT)",
                               "CAST(views AS BIGINT)")
    return spark.read.schema(SCHEMA).json(files)


def by_day(rows):
    return rows.groupBy(f.to_date("date").alias("day")).agg(
        f.count("*").alias("messages"), f.coalesce(f.sum("views"), f.lit(0)).alias("views"),
        f.countDistinct("sender_id").alias("writers")).orderBy("day")


if __name__ == "__main__":
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False).config(
        "spark.sql.session.timeZone", "UTC").getOrCreate()
    print("day,messages,views,writers")
    for row in by_day(read(session, sys.argv[1])).collect():
        print(*row, sep=",")
    session.stop()
