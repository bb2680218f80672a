# SPDX-License-Identifier: MIT
"""Servers that speak as Amazon S3 and DynamoDB, for tests of the program."""
import json
import os
import pathlib
import socket
import subprocess

from kit import free_ports, wait_for


class S3:
    """tests/s3_server on free ports, with a bucket called so; its keys stand in the environment.
    What is in it is read by AWS's own library, which tests/interop/setup moto brings."""

    deps = pathlib.Path(os.environ.get(
        "TG_DEPS", pathlib.Path(__file__).resolve().parents[2] / ".deps"))
    env = {"AWS_ACCESS_KEY_ID": "TGKEY", "AWS_SECRET_ACCESS_KEY": "TGSECRET/all+of=it",
           "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1",
           "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    READER = """
import base64, boto3, hashlib, json, sys
from concurrent.futures import ThreadPoolExecutor
s3 = boto3.client("s3", endpoint_url=sys.argv[1])

def keys(prefix):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix)
    return [o["Key"] for page in pages for o in page.get("Contents", [])]

def text(key):
    try:
        body = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        return base64.b64encode(body).decode() if key.endswith(".parquet") else body.decode()
    except s3.exceptions.NoSuchKey:
        return None

def sha256(key):
    return hashlib.sha256(s3.get_object(Bucket="bucket", Key=key)["Body"].read()).hexdigest()

for line in sys.stdin:
    what, *words = json.loads(line)
    if what == "make":
        try:
            s3.create_bucket(Bucket="bucket")
        except s3.exceptions.ClientError:  # it is there already
            pass
        s3.put_object(Bucket="bucket", Key="is-up", Body=b"1")
    found = keys(words[0])
    while what == "read":
        with ThreadPoolExecutor(8) as pool:
            read = dict(zip(found, pool.map(text, found)))
        before, found = found, keys(words[0])
        if found == before and None not in read.values():  # nothing was written meanwhile
            found = read
            break
    if what == "hash":
        with ThreadPoolExecutor(8) as pool:
            found = dict(zip(found, pool.map(sha256, found)))
    elif what == "drop":
        s3.delete_object(Bucket="bucket", Key=words[0])
    elif what == "uploads":
        found = [u["Key"] for u in s3.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
                 if u["Key"].startswith(words[0])]
    print(json.dumps(found), flush=True)
"""

    @classmethod
    def is_installed(cls):
        return (cls.deps / "seaweed/bin/weed").exists() and (cls.deps / "moto/bin").exists()

    def __init__(self, directory):
        self.dir, self.reader = pathlib.Path(directory), None
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(self.env)
        for _ in range(5):  # another may take a port that was free
            self.port = free_ports(8)
            self.endpoint = f"http://127.0.0.1:{self.port}"
            if self.try_start():
                return
            self.end_reader()
        raise RuntimeError("the S3 server does not start")

    def try_start(self):
        self.process = subprocess.Popen(
            [pathlib.Path(__file__).parent.parent / "s3_server", self.dir, str(self.port)],
            start_new_session=True)
        return wait_for(lambda: self.process.poll() is not None or self.is_up(), 60) and \
            self.process.poll() is None

    def start(self):
        if not self.try_start():
            raise RuntimeError("the S3 server does not start")

    def is_up(self):
        try:
            return self.ask("make", "is-up") == ["is-up"]
        except RuntimeError:
            return False

    def ask(self, *words):
        if not self.reader:
            self.reader = subprocess.Popen(
                [self.deps / "moto/bin/python", "-c", self.READER, self.endpoint],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            self.reader.stdin.write(json.dumps(words) + "\n")
            self.reader.stdin.flush()
            line = self.reader.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.end_reader()
            raise RuntimeError("the S3 server cannot be read")
        return json.loads(line)

    def end_reader(self):
        if self.reader:
            self.reader.kill()
            self.reader.wait()
            self.reader.stdin.close()
            self.reader.stdout.close()
        self.reader = None

    def read(self, prefix):
        """All objects whose keys begin so: as text, those of Parquet in base64."""
        return self.ask("read", prefix)

    def hash(self, prefix):
        """The SHA-256 of all objects whose keys begin so."""
        return self.ask("hash", prefix)

    def uploads(self, prefix):
        """Keys of uploads that are not finished."""
        return self.ask("uploads", prefix)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.end_reader()
        self.kill()


class Dynamodb:
    """A moto_server, which keeps its tables in memory."""

    program = S3.deps / "moto/bin/moto_server"

    def __init__(self, _):
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(S3.env)
        self.port = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [self.program, "-H", "127.0.0.1", "-p", str(self.port)], start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not wait_for(lambda: is_open(self.port), 60):
            raise RuntimeError("moto_server does not start")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
