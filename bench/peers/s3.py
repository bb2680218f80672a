# SPDX-License-Identifier: MIT
"""
s3 - AWS's own library for Python puts objects, the same bytes that tgdata has put

  s3.py ENDPOINT      what stands below ours/ of the bucket is put below tool/, one by one, in pieces
                      of 8 MiB where it is larger; prints the time of that alone
"""
import io
import json
import resource
import sys
import time

import boto3

s3 = boto3.client('s3', endpoint_url=sys.argv[1])
found = {}
for page in s3.get_paginator('list_objects_v2').paginate(Bucket='bucket', Prefix='ours/'):
    for entry in page.get('Contents', []):
        found[entry['Key']] = s3.get_object(Bucket='bucket', Key=entry['Key'])['Body'].read()


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


before, start = cpu(), time.monotonic()
for key, body in found.items():
    s3.upload_fileobj(io.BytesIO(body), 'bucket', 'tool/' + key)
print(json.dumps({'wall_s': time.monotonic() - start, 'cpu_s': cpu() - before}))
