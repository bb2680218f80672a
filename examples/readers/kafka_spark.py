#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kafka_spark.py SERVERS TOPIC DIR - the topic of --to kafka://SERVERS/TOPIC, with Structured Streaming

Each run streams what is new in the topic to DIR/log, exactly once, and goes on behind its checkpoint;
`trigger(processingTime="10 seconds")` would follow the topic for ever. A log cannot be taken back, so
what counts is worked out when it is read: rows_that_count(). Prints messages, views and writers of
each day as CSV. The package is org.apache.spark:spark-sql-kafka-0-10_2.13 of Spark's own version.
"""
import sys

from pyspark.sql import SparkSession

LOG = """key STRING, value STRING, partition INT, offset BIGINT, number BIGINT, rollback BIGINT"""
ROW = """owner BIGINT, chat_id BIGINT, id BIGINT, date TIMESTAMP, sender_id BIGINT, views BIGINT,
         text STRING"""


def stream(spark, servers, topic, directory):
    """Appends to DIR/log what came since the last call."""
    log = spark.readStream.format("kafka").options(**{
        "kafka.bootstrap.servers": servers, "subscribe": topic, "startingOffsets": "earliest",
        "includeHeaders": True, "kafka.isolation.level": "read_committed"}).load()
    log = log.selectExpr(
        "CAST(key AS STRING)", "CAST(value AS STRING)", "partition", "offset",
        "map_from_entries(transform(headers, h -> (h.key, CAST(h.value AS STRING)))) AS h",
    ).selectExpr("key", "value", "partition", "offset",
                 "CAST(h['tgdata.commit'] AS BIGINT) AS number",
                 "CAST(h['tgdata.rollback'] AS BIGINT) AS rollback")
    log.writeStream.format("parquet").option("checkpointLocation", f"{directory}/checkpoint").trigger(
        availableNow=True).start(f"{directory}/log").awaitTermination()


def rows_that_count(spark, directory):
    """Each message once: what a later rollback of its chat takes back is left out, the last wins."""
    spark.read.schema(LOG).parquet(f"{directory}/log").createOrReplaceTempView("log")
    return spark.sql(f"""
        SELECT row.* FROM (
            SELECT *, row_number() OVER (PARTITION BY row.owner, row.chat_id, row.id
                                         ORDER BY offset DESC) AS age
            FROM (SELECT from_json(value, '{ROW}') AS row, key, offset, number FROM log
                  WHERE value IS NOT NULL) AS message
            LEFT ANTI JOIN (SELECT key, offset, rollback FROM log WHERE rollback IS NOT NULL) AS taken
                ON taken.key = message.key AND taken.offset > message.offset
                   AND taken.rollback < message.number)
        WHERE age = 1""")


if __name__ == "__main__":
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False).config(
        "spark.sql.session.timeZone", "UTC").getOrCreate()
    stream(session, *sys.argv[1:])
    rows_that_count(session, sys.argv[3]).createOrReplaceTempView("messages")
    print("day,messages,views,writers")
    for answer in session.sql("""
            SELECT CAST(date AS DATE) AS day, count(*), coalesce(sum(views), 0),
                   count(DISTINCT sender_id)
            FROM messages GROUP BY day ORDER BY day""").collect():
        print(*answer, sep=",")
    session.stop()
