#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
messages.py pika|boto3 NDJSON TARGET - each line a message, as a plain program sends it

TARGET: "URL QUEUE" of RabbitMQ, persistent messages, each confirmed before the next (pika's
BlockingConnection); "ENDPOINT STREAM" of Kinesis, 500 records a call. Prints one JSON object: wall
and CPU seconds from the first line read to the last confirmation, without the start of Python and
its imports; peak RSS.
"""
import json
import resource
import sys
import time


def pika_messages(rows, url, queue):
    import pika
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()

    def run():
        with open(rows, 'rb') as lines:
            for line in lines:
                row = json.loads(line)
                channel.basic_publish('', queue, line.rstrip(b'\n'), pika.BasicProperties(
                    delivery_mode=2, content_type='application/json',
                    message_id=f'{row["owner"]}:{row["chat_id"]}:{row["id"]}'), mandatory=True)

    return run


def boto3_records(rows, endpoint, stream):
    import boto3
    client = boto3.client('kinesis', endpoint_url=endpoint)

    def put(records):
        if client.put_records(StreamName=stream, Records=records)['FailedRecordCount']:
            raise SystemExit('messages.py: not all records were taken')

    def run():
        records = []
        with open(rows, 'rb') as lines:
            for line in lines:
                records.append({'Data': line.rstrip(b'\n'),
                                'PartitionKey': str(json.loads(line)['chat_id'])})
                if len(records) == 500:
                    put(records)
                    records = []
        if records:
            put(records)

    return run


def main():
    mode, rows, target = sys.argv[1:]
    run = {'pika': pika_messages, 'boto3': boto3_records}[mode](rows, *target.split())
    wall, cpu = time.monotonic(), time.process_time()
    run()
    print(json.dumps({
        'wall_s': time.monotonic() - wall, 'cpu_s': time.process_time() - cpu,
        'rss_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == '__main__':
    main()
