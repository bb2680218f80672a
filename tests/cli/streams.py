# SPDX-License-Identifier: MIT
"""Receivers of messages for the tests of streams: what was sent there, with its key, as a reader of
its own finds it."""
import json
import os
import pathlib
import signal
import subprocess

import brokers
from kit import wait_for

DEPS = pathlib.Path(os.environ.get("TG_DEPS", pathlib.Path(__file__).resolve().parents[2]
                                   / ".deps"))
PYTHON = DEPS / "messages" / "bin" / "python"


class Rabbit(brokers.Rabbit):
    """A rabbitmq-server; pika reads (tests/interop/setup installs it)."""

    dies = True
    client_env = {"AMQP_PASSWORD": "guest"}
    client = """
import json, sys, pika
at = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = at.channel()
"""
    made = 0

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
