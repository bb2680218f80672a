# SPDX-License-Identifier: MIT
"""Brokers of a test's own, and what must hold of workers on any of them: every row once, whoever is
killed, stopped or gone for a while."""
import getpass
import json
import os
import pathlib
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import kit
from kit import Case, free_ports, rows, start, tgdata, wait_for


CLIENT = pathlib.Path(os.environ.get("TG_BUILD", "build-test")) / "tests" / "broker_client"


def query(**options):
    return "?" + "&".join(f"{k.replace('_', '-')}={v}" for k, v in options.items())


class Client:
    """An open broker in a process of its own (broker_client.c), silent until it is asked."""

    def __init__(self, url, name):
        self.process = subprocess.Popen([CLIENT, url, name], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, start_new_session=True)
        self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the client has ended")
        return line.rstrip("\n")

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.read()

    def take(self, wait_ms=5000):
        """(number, deliveries, attempts, body), or None"""
        end = time.monotonic() + wait_ms / 1000
        while True:
            line = self.ask("take", 200 if wait_ms else 0)
            if line != "none":
                kind, number, deliveries, attempts, body = line.split(" ", 4)
                if kind != "task":
                    raise RuntimeError(line)
                return int(number), int(deliveries), int(attempts), body
            if time.monotonic() >= end:
                return None

    def depth(self):
        """waiting, later, dead; what is taken is not known everywhere"""
        kind, waiting, _, later, dead = self.ask("depth").split()
        assert kind == "depth"
        return int(waiting), int(later), int(dead)

    def end(self, kill=False):
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Redis(kit.Redis):
    """A redis-server."""

    counts_taken = True

    def queue_url(self, name, **options):
        return self.url() + query(queue=name, **options)

    def end(self):
        self.stop()

    def put_raw(self, queue, body):
        subprocess.run(["redis-cli", "-p", str(self.port), "-x", "XADD",
                        f"{{tgdata:{queue}}}:tasks", "*", "body"], input=body, text=True,
                       check=True, stdout=subprocess.DEVNULL)
        return True

    def dead(self, queue):
        return self.cli("XRANGE", f"{{tgdata:{queue}}}:dead", "-", "+")


class Rabbit:
    """A rabbitmq-server, with an epmd of its own."""

    counts_taken = False
    bin = pathlib.Path("/usr/lib/rabbitmq/bin")
    more_conf = ""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.port = free_ports(3)
        self.dist, self.epmd = self.port + 1, self.port + 2
        (self.dir / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nvm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 10MB\n" + self.more_conf, encoding="ascii")
        (self.dir / "enabled_plugins").write_text("[].\n", encoding="ascii")
        self.env = {
            **os.environ, "HOME": str(self.dir), "RABBITMQ_NODENAME": f"tg{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{self.dir}/mnesia", "RABBITMQ_LOG_BASE": f"{self.dir}/log",
            "RABBITMQ_CONFIG_FILE": f"{self.dir}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self.dist), "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_PID_FILE": f"{self.dir}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.dir}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "USER": getpass.getuser()}
        self.start()

    def is_up(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self):
        self.process = subprocess.Popen([self.bin / "rabbitmq-server"], env=self.env,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        if not wait_for(self.is_up, 90):
            raise RuntimeError("rabbitmq-server does not start")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(60)
        wait_for(lambda: not self.is_up())
        subprocess.run(["epmd", "-port", str(self.epmd), "-kill"], env=self.env, check=False,
                       capture_output=True)

    def end(self):
        self.stop()

    def queue_url(self, name, **options):
        return self.url() + query(queue=name, **options)

    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def put_raw(self, queue, body):
        """Only what the own client may put."""
        if len(body) > 64 << 10:
            return False
        client = Client(self.queue_url(queue, visibility="2s"), "put_raw")
        client.ask("put", body)
        client.end()
        return True

    def dead(self, queue):
        return None


class Relay:
    """Passes connections on to a port, so that a server can be out of reach and lose nothing."""

    def __init__(self, port):
        self.to = port
        self.port = free_ports(1)
        self.open()

    def open(self):
        self.ends = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in list(self.ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self, listener):
        while True:
            try:
                one = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.join, args=(one,), daemon=True).start()

    def join(self, one):
        with one, socket.create_connection(("127.0.0.1", self.to)) as two:
            self.ends |= {one, two}
            back = threading.Thread(target=self.copy, args=(two, one), daemon=True)
            back.start()
            self.copy(one, two)
            back.join()
            self.ends -= {one, two}

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(1 << 16):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Sqs:
    """A moto_server (tests/interop/setup installs it), which checks signatures and permissions by
    the code of AWS's own library. It keeps queues in memory, so what stops is the way to it."""

    counts_taken = True
    bin = pathlib.Path(os.environ.get("TG_DEPS", pathlib.Path(__file__).resolve().parents[2]
                                      / ".deps")) / "moto" / "bin"
    region = "eu-west-1"
    suffix = ""
    prepare = """
import json
may = {"Version": "2012-10-17",
       "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
iam = client("iam")
keys = []
for name in ("worker", "stranger"):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    keys.append((key["AccessKeyId"], key["SecretAccessKey"]))
iam.put_user_policy(UserName="worker", PolicyName="all", PolicyDocument=json.dumps(may))
role = iam.create_role(RoleName="temp", AssumeRolePolicyDocument=json.dumps(may))["Role"]["Arn"]
iam.put_role_policy(RoleName="temp", PolicyName="all", PolicyDocument=json.dumps(may))
temp = client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
keys.append((temp["AccessKeyId"], temp["SecretAccessKey"], temp["SessionToken"]))
print(json.dumps(keys))
"""

    def __init__(self, directory, *args):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.tls = "--ssl-cert" in args
        self.server_port = free_ports(1)
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(AWS_REGION=self.region, AWS_CONFIG_FILE=str(self.dir / "config"),
                          AWS_SHARED_CREDENTIALS_FILE=str(self.dir / "credentials"))
        self.process = subprocess.Popen(
            [self.bin / "moto_server", "-H", "127.0.0.1", "-p", str(self.server_port), *args],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "8"})
        if not wait_for(self.is_up):
            raise RuntimeError("moto_server does not start")
        try:
            self.set_keys("any", "any")
            self.keys, self.no_right, self.temporary = json.loads(self.python(self.prepare))
        except BaseException:
            self.process.kill()
            raise
        self.set_keys(*self.keys)
        self.relay = Relay(self.server_port)
        self.port = self.relay.port

    def set_keys(self, key, secret, token=None):
        """What workers that start now find in the file of credentials."""
        (self.dir / "credentials").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
            + (f"aws_session_token = {token}\n" if token else ""), encoding="ascii")

    def is_up(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.server_port)) == 0

    def python(self, code, *args, stdin=""):
        """Runs code with AWS's own library."""
        head = ("import os, sys, boto3\n"
                f"client = lambda name: boto3.client(name, endpoint_url={self.endpoint()!r},"
                f" verify=False)\nsqs = client('sqs')\n")
        done = subprocess.run([self.bin / "python", "-W", "ignore", "-c", head + code, *args],
                              check=False, capture_output=True, text=True, input=stdin,
                              env={**os.environ, "AWS_DEFAULT_REGION": self.region})
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def endpoint(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.server_port}"

    def start(self):
        self.relay.open()

    def stop(self):
        self.relay.close()

    def end(self):
        self.stop()
        self.process.terminate()
        self.process.wait(30)

    def queue_url(self, name, **options):
        return (f"sqs://{name}{self.suffix}" +
                query(endpoint=f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}",
                      **{"create": "yes", **options}))

    def url(self):
        return f"sqs://q?endpoint=http://127.0.0.1:{self.port}"

    def put_raw(self, queue, body):
        more = (", MessageGroupId='g', MessageDeduplicationId=str(os.getpid())" if self.suffix
                else "")
        self.python("url = sqs.get_queue_url(QueueName=sys.argv[1])['QueueUrl']\n"
                    f"sqs.send_message(QueueUrl=url, MessageBody=sys.stdin.read(){more})\n",
                    queue + self.suffix, stdin=body)
        return True

    def dead(self, queue):
        return self.python(
            "url = sqs.get_queue_url(QueueName=sys.argv[1])['QueueUrl']\n"
            "while m := sqs.receive_message(QueueUrl=url, MessageAttributeNames=['All'],"
            " AttributeNames=['All'], MaxNumberOfMessages=10).get('Messages'):\n"
            "    print(m)\n", f"{queue}-dead{self.suffix}")


class Workers(Case):
    """What holds on every broker; a test file names the one it is about."""

    broker_class = None
    sim_args = ("--chats", "100", "--messages", "250", "--seed", "17", "--latency-ms", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker = cls.broker_class(cls.top / "broker")
        cls.session_files = []

    @classmethod
    def tearDownClass(cls):
        cls.broker.end()
        super().tearDownClass()

    def users(self):
        return [a for a in self.sim.accounts if "bot_token" not in a][:4]

    def sessions(self):
        """One for each of four accounts, made once."""
        if not type(self).session_files:
            for i, account in enumerate(self.users()):
                self.login(self.top / f"w{i}.session", account)
                type(self).session_files.append(self.top / f"w{i}.session")
        return type(self).session_files

    def shared(self):
        """What all four can read."""
        ids = {a["user_id"] for a in self.users()}
        return [c for c in self.sim.chats(self.users()[0]) if ids <= set(c["members"])
                and c["kind"] in ("supergroup", "forum", "channel") and not c["migrated_from"]]

    def queue(self, **more):
        return self.broker.queue_url(self.dir.name, **more)

    def enqueue(self, *chats, queue=None):
        done = tgdata("enqueue", *chats, "--queue", queue or self.queue(), "--json")
        self.assertEqual(done.code, 0, done)
        return done.json()

    def look(self, queue=None):
        return self.enqueue(queue=queue)

    def worker_args(self, session, queue, more=()):
        return ["worker", "--session", session, "--queue", queue, "--to",
                f"ndjson:{self.dir}/out", "--state", f"sqlite:{self.dir}/state.db", "--job", "job",
                "--lease", "1s", "--progress", "none", "--workers", "3", "--batch-size", "50",
                "--checkpoint-interval", "100", *more]

    def test_a_queue_is_worked_off(self):
        chats = self.shared()[:8]
        told = self.enqueue(*[c["id"] for c in chats])
        self.assertEqual((told["waiting"], told["taken"], told["dead"]), (8, 0, 0))
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(visibility="2s"),
                                        ["--until-empty", "--json"]))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.json()["chats"], 8, done)
        self.check_whole(chats)
        self.assertEqual(self.look(), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def test_a_job_of_a_file(self):
        """The same as `pattern: worker`."""
        chats = self.shared()[:3]
        self.enqueue(*[c["id"] for c in chats])
        path = self.dir / "etl.yaml"
        path.write_text(json.dumps({"jobs": [{
            "name": "job", "pattern": "worker", "queue": self.queue(), "until_empty": True,
            "session": str(self.sessions()[0]), "to": f"ndjson:{self.dir}/out",
            "state": f"sqlite:{self.dir}/state.db", "lease": "1s"}]}), encoding="utf-8")
        done = tgdata("run", path, "--json", "--progress", "none",
                      env={"TGDATA_DATACENTER": str(self.sim.file)})
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)

    def test_four_workers_killed_at_random(self):
        chats = self.shared()[:40]
        self.assertEqual(len(chats), 40)
        rng = random.Random(5)
        queue = self.queue(visibility="2s", max_deliveries=100)
        self.enqueue(*[c["id"] for c in chats], queue=queue)
        args = [self.worker_args(s, queue, ["--until-empty", "--rate", "6"])
                for s in self.sessions()]
        run = [start(*a, stderr=subprocess.DEVNULL) for a in args]
        kills = 0
        end = time.monotonic() + 150
        while time.monotonic() < end and any(r.poll() is None for r in run):
            time.sleep(rng.uniform(0.2, 0.8))
            i = rng.randrange(4)
            if kills < 25 and run[i].poll() is None:
                run[i].send_signal(signal.SIGKILL)
                run[i].wait()
                kills += 1
                run[i] = start(*args[i], stderr=subprocess.DEVNULL)
        self.assertEqual([r.wait(60) for r in run], [0, 0, 0, 0])
        self.assertGreaterEqual(kills, 15)
        self.check_whole(chats)
        self.assertEqual(self.look(queue), {"waiting": 0, "taken": 0, "later": 0, "dead": 0})

    def falls_asleep(self, run):
        """Stops a program, but not in the middle of a transaction: that would lock the state."""
        run.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        state = sqlite3.connect(self.dir / "state.db", timeout=0, isolation_level=None)
        try:
            state.execute("BEGIN IMMEDIATE")
            state.execute("ROLLBACK")
        except sqlite3.OperationalError:
            run.send_signal(signal.SIGCONT)
            time.sleep(0.05)
            return False
        finally:
            state.close()
        return True

    def test_a_worker_that_sleeps_past_its_lease_writes_no_more(self):
        chats = self.shared()[:1]
        self.enqueue(chats[0]["id"])
        queue = self.queue(visibility="2s")
        sleeper = start(*self.worker_args(self.sessions()[0], queue,
                                          ["--rate", "2", "--in-flight", "1"]),
                        stderr=subprocess.DEVNULL)
        self.addCleanup(sleeper.kill)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.assertTrue(wait_for(lambda: self.falls_asleep(sleeper)))
        done = tgdata(*self.worker_args(self.sessions()[1], queue, ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        sleeper.send_signal(signal.SIGCONT)
        time.sleep(3)
        sleeper.send_signal(signal.SIGTERM)
        sleeper.wait(30)
        self.check_whole(chats)

    def test_sigterm_gives_back_what_is_not_done(self):
        chats = self.shared()[:3]
        self.enqueue(*[c["id"] for c in chats])
        run = start(*self.worker_args(self.sessions()[0], self.queue(), ["--rate", "1"]),
                    stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: self.look()["waiting"] == 0))
        if self.broker.counts_taken:
            self.assertEqual(self.look()["taken"], 3)
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(30), 130)
        self.assertEqual(self.look()["waiting"], 3)
        done = tgdata(*self.worker_args(self.sessions()[1], self.queue(visibility="2s"),
                                        ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)

    def test_hopeless_tasks_are_buried_and_others_go_on(self):
        chats = self.shared()[:2]
        self.enqueue(chats[0]["id"], "@nobody_has_this_name", chats[1]["id"])
        more = self.broker.put_raw(self.dir.name, "nonsense")
        done = tgdata(*self.worker_args(self.sessions()[0], self.queue(visibility="2s"),
                                        ["--until-empty"]))
        self.assertEqual(done.code, 0, done)
        self.check_whole(chats)
        self.assertEqual(self.look()["dead"], 1 + more)
        dead = self.broker.dead(self.dir.name)
        if dead is not None:
            self.assertIn("nobody_has_this_name", dead)
            self.assertIn("no JSON object", dead)

    def test_a_broker_that_is_gone_for_a_while(self):
        chats = self.shared()[:6]
        self.enqueue(*[c["id"] for c in chats])
        run = start(*self.worker_args(self.sessions()[0], self.queue(visibility="3s"),
                                      ["--rate", "6", "--until-empty"]), stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: rows(self.dir / "out")))
        self.broker.stop()
        time.sleep(2)
        self.broker.start()
        self.assertEqual(run.wait(90), 0)
        self.check_whole(chats)

    def test_bad_queues(self):
        session = self.sessions()[0]
        gone = self.broker.url().replace(str(self.broker.port), "1")
        for queue, code, word in [(gone, 6, "127.0.0.1:1"), ("nosuch://x", 2, "nosuch"),
                                  (gone + ("&" if "?" in gone else "?") + "x=1", 2, "x")]:
            done = tgdata(*self.worker_args(session, queue))
            self.check_fails(done, code, word)
        done = tgdata("worker", "--session", session, "--to", "ndjson:x")
        self.check_fails(done, 2, "queue")
        done = tgdata("enqueue", "@a", "--queue", gone)
        self.check_fails(done, 6, "127.0.0.1:1")
