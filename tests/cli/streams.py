# SPDX-License-Identifier: MIT
"""Receivers of messages for the tests of streams: what was sent there, with its key, as a reader of
its own finds it."""
import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import brokers
from kit import free_ports, wait_for

DEPS = pathlib.Path(os.environ.get("TG_DEPS", pathlib.Path(__file__).resolve().parents[2]
                                   / ".deps"))
PYTHON = DEPS / "messages" / "bin" / "python"


def certificate(directory):
    """One of its own for 127.0.0.1. @return the files of certificate and key"""
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    key.chmod(0o644)
    return cert, key


class Rabbit(brokers.Rabbit):
    """A rabbitmq-server; pika reads (tests/interop/setup installs it)."""

    more = ""

    client_env = {"AMQP_PASSWORD": "guest"}
    client = """
import json, sys, pika
at = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = at.channel()
"""
    made = 0
    unwritten = 3  # seconds for which a queue that was made may be in the server's memory only

    def __init__(self, directory):
        self.tls_port = free_ports(1)
        self.cert, key = certificate(pathlib.Path(directory).parent)
        self.more_conf = self.more + (
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.cert}\nssl_options.certfile = {self.cert}\n"
            f"ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n")
        super().__init__(directory)

    def pika(self, code, *args):
        done = subprocess.run([PYTHON, "-c", self.client + code, self.url(), *args], check=False,
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def fresh(self, **options):
        """An empty place. @return its URL"""
        self.made += 1
        self.queue = f"q{self.made}"
        self.pika("channel.queue_declare(sys.argv[2], durable=True)", self.queue)
        return f"{self.address()}{brokers.query(routing_key=self.queue, **options)}"

    def address(self):
        return f"amqp://guest@127.0.0.1:{self.port}"

    def drain(self):
        """All messages so far, as (key, body) in order; they are gone then."""
        out = self.pika("""
left = channel.queue_declare(sys.argv[2], passive=True).method.message_count
for method, p, body in channel.consume(sys.argv[2], auto_ack=True) if left else ():
    assert p.delivery_mode == 2 and p.content_type == "application/json", p
    assert f":{p.headers['chat_id']}:{p.headers['id']}:" in p.message_id, p
    print(json.dumps([p.message_id, body.decode("utf-8")]))
    left -= 1
    if not left:
        break
""", self.queue)
        return [json.loads(line) for line in out.splitlines()]

    def has_some(self):
        return "True" in self.pika(
            "print(channel.queue_declare(sys.argv[2], passive=True).method.message_count > 0)",
            self.queue)

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        wait_for(lambda: not self.is_up())


class Service:
    """A service over HTTP in a thread of the test; `take` says what becomes of a post."""

    unwritten = 0

    def __init__(self, directory, tls=None):
        self.dir, self.tls = pathlib.Path(directory), tls
        self.port = free_ports(1)
        self.number, self.lock = 0, threading.Lock()
        self.start()

    def start(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                service.ends.add(self.connection)

            def finish(self):
                service.ends.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with service.lock:
                    service.number += 1
                    status, headers, said = service.take(self.path, self.headers, body)
                if status is None:  # the service dies before it answers
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        self.ends = set()
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.listener.daemon_threads = True
        self.listener.handle_error = lambda *_: None
        if self.tls:
            self.listener.socket = self.tls.wrap_socket(self.listener.socket, server_side=True)
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()

    def take(self, path, headers, body):
        """@return status, headers and body of the answer; None, ... for no answer"""
        raise NotImplementedError

    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def stop(self):
        self.listener.shutdown()
        self.listener.server_close()
        for end in list(self.ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    kill = end = stop


class Webhook(Service):
    """It checks signatures and keys, and answers as it is told to."""

    secret = "key of the test"
    client_env = {"TGDATA_WEBHOOK_SECRET": secret}

    def take(self, path, headers, body):
        stamp, mac = headers["tgdata-signature"].removeprefix("t=").split(",v1=")
        want = hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
        said = b"refused by the test"
        if not hmac.compare_digest(mac, want) or abs(int(stamp) - time.time()) > 60:
            return 401, {}, said
        assert path == "/in/x", path
        digest = hashlib.sha256(body).hexdigest()
        if self.keys.setdefault(headers["idempotency-key"], digest) != digest:
            return 409, {}, said
        status, more = self.answer(self.number, headers, body) if self.answer else (200, {})
        if status is None or status < 300:
            self.posts.append((dict(headers), body))
            said = b""
        return status, more, said

    def fresh(self, **options):
        self.posts = []     # (headers, body) of those that were taken
        self.keys = {}      # digest of the body by idempotency-key
        self.answer = None  # what decides of a post: status, headers
        self.number = 0
        return (f"webhook:{self.url()}/in/x" + (brokers.query(**options) if options else ""))

    def drain(self):
        with self.lock:
            posts, self.posts = self.posts, []
        found = []
        for headers, body in posts:
            if headers["content-type"] == "application/json":
                found += [(None, json.dumps(row)) for row in json.loads(body)]
            else:
                assert headers["content-type"] == "application/x-ndjson", headers
                assert body.endswith(b"\n"), body
                found += [(None, line) for line in body.decode("utf-8").split("\n")[:-1]]
        return found

    def has_some(self):
        return bool(self.posts)


class Kinesis(brokers.Sqs):
    """A moto_server, which checks signatures; boto3 reads, in one process for all calls: it takes
    long to load. What stops is the way to the server."""

    client_env = {}
    prepare = brokers.Sqs.prepare.replace("sqs:*", "kinesis:*")
    made = 0
    reader = """
import json, sys, boto3
k = boto3.client("kinesis", endpoint_url=sys.argv[1])
for line in sys.stdin:
    do, name = line.split()
    if do == "create":
        k.create_stream(StreamName=name, ShardCount=2)
    else:
        for shard in k.list_shards(StreamName=name)["Shards"]:
            at = k.get_shard_iterator(StreamName=name, ShardId=shard["ShardId"],
                                      ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while records := (got := k.get_records(ShardIterator=at, Limit=10000))["Records"]:
                at = got["NextShardIterator"]
                for r in records:
                    print(json.dumps([shard["ShardId"], r["PartitionKey"],
                                      r["Data"].decode("utf-8")]))
    print(flush=True)
"""

    def __init__(self, directory):
        super().__init__(directory)
        self.client_env = {name: os.environ[name] for name in os.environ
                           if name.startswith("AWS_")}
        self.asked = subprocess.Popen(
            [self.bin / "python", "-W", "ignore", "-c", self.reader, self.endpoint()], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "AWS_DEFAULT_REGION": self.region})

    def ask(self, what):
        self.asked.stdin.write(f"{what} {self.name}\n")
        self.asked.stdin.flush()
        while line := self.asked.stdout.readline().strip():
            yield json.loads(line)

    def fresh(self, **options):
        self.made += 1
        self.name, self.seen = f"s{self.made}", {}
        list(self.ask("create"))
        return self.address(self.name, **options)

    def address(self, name, **options):
        return f"kinesis:{name}" + brokers.query(endpoint=f"http://127.0.0.1:{self.port}",
                                                 **options)

    def records(self):
        return list(self.ask("records"))

    def end(self):
        self.asked.stdin.close()
        self.asked.wait(30)
        self.asked.stdout.close()
        super().end()

    def drain(self):
        found, count = [], {}
        for shard, key, body in self.records():
            count[shard] = count.get(shard, 0) + 1
            if count[shard] > self.seen.get(shard, 0):
                assert key in body, (key, body)
                found.append((None, body))
        self.seen = count
        return found

    def has_some(self):
        return bool(self.records())


class BusyKinesis(Service):
    """PutRecords of a stream that takes some of the records, and says so as Kinesis does."""

    def take(self, path, headers, body):
        assert headers["x-amz-target"] == "Kinesis_20131202.PutRecords", headers
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 "), headers
        records = json.loads(body)["Records"]
        self.sizes.append((len(records), sum(
            len(base64.b64decode(r["Data"])) + len(r["PartitionKey"]) for r in records)))
        said = []
        for record in records:
            error = self.refuses(self.number, record)
            if error:
                said.append({"ErrorCode": error, "ErrorMessage": "Rate exceeded for shard 0"})
            else:
                self.rows.append(json.loads(base64.b64decode(record["Data"])))
                said.append({"SequenceNumber": str(len(self.rows)), "ShardId": "shardId-0"})
        return 200, {"content-type": "application/x-amz-json-1.1"}, json.dumps({
            "FailedRecordCount": sum("ErrorCode" in r for r in said),
            "Records": said}).encode()

    def fresh(self, refuses, **options):
        self.rows, self.sizes, self.refuses, self.number = [], [], refuses, 0
        return f"kinesis:busy{brokers.query(endpoint=self.url(), region='eu-west-1', **options)}"


def serve(kind):
    """For tests/stream_rig.h: answers lines until its input ends. Messages may be of 1 MiB."""
    if not (PYTHON.exists() and brokers.Sqs.bin.exists() and Rabbit.bin.exists()):
        sys.exit(77)  # tests/interop/setup, and Debian's packages, bring them
    options = {"Webhook": {"tries": 2, "body": "lines"}, "Kinesis": {"tries": 2}}.get(kind, {})
    Rabbit.more = "max_message_size = 1048576\n"
    with tempfile.TemporaryDirectory(prefix="tgdata-test-") as directory:
        server = {"Rabbit": Rabbit, "Webhook": Webhook, "Kinesis": Kinesis}[kind](
            pathlib.Path(directory) / "server")
        try:
            for name, value in server.client_env.items():
                print(f"{name}={value}")
            print("ready", flush=True)
            for line in sys.stdin:
                if line == "fresh\n":
                    print(server.fresh(**options))
                    server.answer = lambda _, headers, body: (
                        413 if len(body) > 1 << 20 else 200, {})
                elif line == "drain\n":
                    for message in server.drain():
                        print(json.dumps(message))
                    print()
                else:
                    getattr(server, line.strip())()
                    print("done")
                sys.stdout.flush()
        finally:
            server.end()


if __name__ == "__main__":
    serve(sys.argv[1])
