#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers on a queue of SQS: a server that checks what AWS would, and one that answers nonsense."""
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import time

from brokers import Sqs, Workers
from kit import Case, main, start, tgdata, wait_for


class OnSqs(Workers):
    broker_class = Sqs

    def fifo_queue(self, **more):
        return self.queue(**more).replace("?", ".fifo?", 1)

    def test_a_fifo_queue(self):
        chats = self.shared()[:6]
        queue = self.fifo_queue(visibility="2s")
        told = self.enqueue(*[c["id"] for c in chats], chats[0]["id"], "@nobody_has_this_name",
                            queue=queue)
        self.assertEqual((told["waiting"], told["dead"]), (8, 0))
        done = tgdata(*self.worker_args(self.sessions()[0], queue, ["--until-empty", "--json"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        self.assertEqual(self.look(queue), {"waiting": 0, "taken": 0, "later": 0, "dead": 1})

    def test_sqs_itself_buries_what_workers_die_of(self):
        chat = self.shared()[0]
        queue = self.queue(visibility="2s", max_deliveries=1)
        self.enqueue(chat["id"], queue=queue)
        run = start(*self.worker_args(self.sessions()[0], queue, ["--rate", "1"]),
                    stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: self.look(queue)["taken"] == 1))
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(2.5)
        done = tgdata(*self.worker_args(self.sessions()[1], queue, ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.look(queue), {"waiting": 0, "taken": 0, "later": 0, "dead": 1})
        self.assertIn(str(chat["id"]), self.broker.dead(self.dir.name))

    def test_a_queue_without_redrive_policy(self):
        chat = self.shared()[0]
        name = self.dir.name
        self.broker.python("for n in sys.argv[1:]: sqs.create_queue(QueueName=n)", name,
                           name + "-dead")
        queue = self.queue(visibility="2s", max_deliveries=1).replace("&create=yes", "")
        self.enqueue(chat["id"], queue=queue)
        self.broker.python("url = sqs.get_queue_url(QueueName=sys.argv[1])['QueueUrl']\n"
                           "sqs.receive_message(QueueUrl=url, VisibilityTimeout=1)", name)
        time.sleep(1.5)
        done = tgdata(*self.worker_args(self.sessions()[1], queue, ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.look(queue), {"waiting": 0, "taken": 0, "later": 0, "dead": 1})
        self.assertIn("again and again", self.broker.dead(name))

    def test_a_message_that_is_too_long_is_dead(self):
        self.enqueue(self.shared()[0]["id"])
        self.broker.put_raw(self.dir.name, "x" * 70000)
        done = tgdata(*self.worker_args(self.sessions()[1], self.queue(visibility="2s"),
                                        ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.assertIn("too long", self.broker.dead(self.dir.name))

    def test_the_url_of_a_queue(self):
        self.enqueue(self.shared()[0]["id"])
        url = self.broker.python("print(sqs.get_queue_url(QueueName=sys.argv[1])['QueueUrl'])",
                                 self.dir.name).strip()
        self.assertEqual(self.look(f"sqs:{url}")["waiting"], 1)

    def test_a_queue_that_is_not_there(self):
        queue = self.queue().replace("&create=yes", "")
        done = tgdata(*self.worker_args(self.sessions()[0], queue))
        self.check_fails(done, 3, "there is no SQS queue", self.dir.name, "create=yes")
        self.broker.python("sqs.create_queue(QueueName=sys.argv[1])", self.dir.name)
        done = tgdata("enqueue", "@a", "--queue", queue)
        self.check_fails(done, 3, "no dead letters")

    def test_keys(self):
        key, secret = self.broker.keys
        self.addCleanup(self.broker.set_keys, key, secret)
        for keys, code, word in [((key, secret[1:] + secret[:1]), 8, "SignatureDoesNotMatch"),
                                 (("AKIANOBODY", secret), 8, "InvalidClientTokenId"),
                                 (self.broker.no_right, 8, "permission"),
                                 ((*self.broker.temporary[:2], "x"), 8, "InvalidClientTokenId"),
                                 ((key, ""), 2, "AWS_ACCESS_KEY_ID")]:
            self.broker.set_keys(*keys)
            done = tgdata("enqueue", "@a", "--queue", self.queue())
            self.check_fails(done, code, word)
            self.assertNotIn(secret, str(done))
        self.broker.set_keys(*self.broker.temporary)
        done = tgdata("enqueue", "@a", "--queue", self.queue())
        self.assertEqual(done.code, 0, done)
        env = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        done = tgdata("enqueue", "@a", "--queue", self.queue(), env=env)
        self.assertEqual(done.code, 0, done)


class Tls(Case):
    """The server's certificate is checked."""

    sim_args = None

    def test_certificates(self):
        cert, key = self.dir / "cert.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                        "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        broker = Sqs(self.dir / "sqs", "--ssl-cert", str(cert), "--ssl-key", str(key))
        self.addCleanup(broker.end)
        queue = broker.queue_url("q")
        done = tgdata("enqueue", "@a", "--queue", queue)
        self.check_fails(done, 6, "certificate")
        env = {"AWS_CA_BUNDLE": str(cert)}
        done = tgdata("enqueue", "@a", "--queue", queue, "--json", env=env)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["waiting"], 1)
        done = tgdata("enqueue", "@a", "--queue", queue.replace("127.0.0.1", "localhost"), env=env)
        self.check_fails(done, 6, "certificate")


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers as its server's list says, the last answer again and again."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answers[0]
        if len(self.server.answers) > 1:
            self.server.answers.pop(0)
        self.server.asked += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Answers(Case):
    sim_args = None
    url = b'{"QueueUrl": "http://127.0.0.1/1/q"}'
    policy = json.dumps({"Attributes": {
        "QueueArn": "arn:aws:sqs:eu-west-1:1:q", "ApproximateNumberOfMessages": "7",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:1:dead"}),
    }}).encode()

    def ask(self, *answers):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        server.answers, server.asked = list(answers), 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}
        done = tgdata("enqueue", "--json", "--queue",
                      f"sqs://q?endpoint=http://127.0.0.1:{server.server_address[1]}", env=env)
        return done, server.asked

    def test_trouble_is_waited_for(self):
        busy = b'{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "slow down"}'
        done, asked = self.ask((503, b""), (400, busy), (200, self.url), (200, self.policy),
                               (500, b"<html>"), (200, self.url), (200, self.policy))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json(), {"waiting": 7, "taken": 0, "later": 0, "dead": 7})
        self.assertEqual(asked, 8)
        done, asked = self.ask((400, busy))
        self.check_fails(done, 6, "slow down")
        self.assertEqual(asked, 3)

    def test_keys_that_have_expired_are_looked_up_once_more(self):
        done, asked = self.ask((400, b'{"__type": "ExpiredToken", "Message": "old"}'))
        self.check_fails(done, 8, "expired")
        self.assertEqual(asked, 2)

    def test_nonsense(self):
        deep = b'{"a":' * 100 + b"1" + b"}" * 100
        for answer, code, word in [
                ((200, b""), 6, "none of SQS"), ((200, b"<html>"), 6, "none of SQS"),
                ((200, b'{"QueueUrl": 7}'), 6, "none of SQS"),
                ((200, b'{"QueueUrl": "' + b"x" * 600 + b'"}'), 6, "none of SQS"),
                ((200, b'{"QueueUrl": "a\\u0000b"}'), 6, "none of SQS"),
                ((200, deep), 6, "none of SQS"), ((200, self.url + b"}"), 6, "none of SQS"),
                ((200, b"x" * (9 << 20)), 1, "too long"), ((302, b""), 8, "302"),
                ((403, b"<html>no</html>"), 8, "403"),
                ((400, b'{"__type": "#", "message": "a\\nb\\u001b[0m"}'), 8, "a b [0m"),
                ((400, b'{"__type": "' + b"t" * 500 + b'", "message": "' + b"m" * 5000 + b'"}'),
                 8, "mmm")]:
            done, asked = self.ask(answer)
            self.check_fails(done, code, word)
            self.assertEqual(asked, 1)

    def test_silence(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
            done = tgdata("enqueue", "--queue", "sqs://q?region=eu-west-1&endpoint=http://"
                          f"127.0.0.1:{server.getsockname()[1]}", env=env, timeout=30)
        self.check_fails(done, 6, "timed out")

    def test_policies_that_name_no_queue(self):
        for arn in ("", "x", "arn:aws:sqs:eu-west-1:1:", "arn:aws:sns:eu-west-1:1:q"):
            policy = json.dumps({"deadLetterTargetArn": arn})
            bad = json.dumps({"Attributes": {"RedrivePolicy": policy}}).encode()
            done, _ = self.ask((200, self.url), (200, bad), (200, b"{}"))
            self.assertEqual(done.code, 6, done)


del Workers  # the abstract one is no test

if __name__ == "__main__":
    if "libcurl" not in tgdata("version").out or not (Sqs.bin / "moto_server").exists():
        print("libcurl, and what tests/interop/setup moto installs, are needed")
        sys.exit(77)
    main()
