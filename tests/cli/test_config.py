#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Configuration files: what is wrong is told with its line, all at once; secrets stay secret; a
file says what options say, and each key of the ETL design's file changes what is done."""
import http.server
import json
import pathlib
import re
import signal
import sqlite3
import subprocess
import threading

import kit
from kit import Case, main, rows, tgdata

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = (ROOT / "examples/etl_config.yaml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
FULL = (ROOT / "examples/full_config.yaml").read_text(encoding="utf-8")
EXAMPLE = re.search(r"^```yaml\n(.*?)^```", PAGE, flags=re.M | re.S)[1]

# Each line that has a mistake, and what is told of it; None: the line is in order.
MISTAKES = [
    ("extraction:", None),
    ("  strategy: serial", "is one of batch|parallel_batch|stream|delta"),
    ("  workers: many", "takes a number"),
    ("  batchsize: 2000", "did you mean 'batch_size'?"),
    ("  checkpoint_interval: 0", "must be from 1"),
    ("rate_limiting:", None),
    ("  strategy: leaky_bucket", "is one of token_bucket|"),
    ("  tokens_per_second: -1", "must be from 0"),
    ("  burst_size: [1, 2]", "takes one value, no list"),
    ("  coordinate_across_workers: perhaps", "is true or false"),
    ("error_handling:", None),
    ("  circuit_breaker:", None),
    ("    enabled: 7", "is true or false"),
    ("    recovery_timeout: 60 apples", "takes a time"),
    ("    treshold: 5", "unknown key 'treshold'"),
    ("  retry:", None),
    ("    max_attempts: 010", "is an octal number"),
    ("    jitter:", "has no value"),
    ("  retrys: 3", "did you mean 'retry'?"),
    ("job: []", "did you mean 'jobs'?"),
    ("accounts:", None),
    ("  one: {session: a.session, sesion: b}", "did you mean 'session'?"),
    ("  two: {api_id: 5}", "has no session"),
    ("  three: {session: a.session}", "have the same session"),
    ("defaults:", None),
    ("  state: sqllite:x", "there is no state store 'sqllite'"),
    ("  linger: 1:30", "is a number to the base of 60"),
    ("jobs:", None),
    ("  - name: first", None),
    ("    chats: [no]", "is a truth value"),
    ("    to: ndjsn:out", "there is no destination 'ndjsn'"),
    ("    accounts: [one, four]", "there is no account 'four'"),
    ("    history: yes", "a batch has no setting 'history'"),
    ("  - name: first", "two jobs 'first'"),
    ("    pattern: steam", "is one of batch|stream|delta"),
    ("    chats: [-1001, \"@a\"]", None),
    ("    to: parquet:out?rowgroup=5", "did you mean 'row-group'?"),
    ("  - name: third", None),
    ("    pattern: delta", None),
    ("    chats: all", "names its chats"),
    ("    account: one", None),
    ("    to: [\"ndjson:x\", \"sqlite:y\"]", "takes one destination"),
    ("    filter: \"views >\"", "unexpected symbol"),
    ("    api_hash: ${TGDATA_NO_SUCH_THING}", "is not set"),
    ("  - {name: fourth, chats: [a], account: one}", "no destination"),
    ("  - {chats: [a], account: one, to: \"stdout:\"}", "has no name"),
    ("  - name: fifth", None),
    ("    pattern: transfrom", "did you mean 'transform'?"),
    ("    chats: [a]", None),
    ("    to: \"stdout:\"", None),
    ("  - {name: sixth, pattern: transform, to: \"ndjson:x\"}", "has no 'from'"),
    ("  - name: seventh", None),
    ("    pattern: transform", None),
    ("    from: frist", "did you mean 'first'?"),
    ("    to: sqlite:y", None),
    ("  - name: eighth", None),
    ("    pattern: transform", None),
    ("    from: \"stdout:\"", "cannot be read again"),
    ("    account: one", "a transform has no key 'account'"),
    ("    chats: [\"@a\", -100]", "is no id of a chat"),
    ("    to: [\"ndjson:x\", \"sqlite:y\"]", "takes one destination"),
    ("    stage: vaildate?field=text", "there is no stage 'vaildate'"),
    ("    workers: 5", "a transform has no setting 'workers'"),
    ("  - name: ninth", None),
    ("    pattern: transform", None),
    ("    from: ndjson:x", None),
    ("    to: ndjson:x", "source and destination are one"),
    ("  - name: tenth", None),
    ("    pattern: verify", None),
    ("    of: third", None),
    ("    of_job: third", "unknown key 'of_job'"),
    ("    verify: true", "a verify has no setting 'verify'"),
    ("    offline: yes", "is compared with the server"),
    ("    to: ndjson:x", "a verify has no setting 'to'"),
    ("  - {name: eleventh, pattern: verify}", "has no 'of'"),
    ("  - {name: twelfth, pattern: worker, to: \"ndjson:x\", account: one}", "has no queue"),
    ("  - name: round", None),
    ("    pattern: worker", None),
    ("    account: one", None),
    ("    queue: reddis://h/0", "there is no queue 'reddis'"),
    ("    chats: all", "a worker has no key 'chats'"),
    ("    until_empty: 5", "is true or false"),
    ("    to: ndjson:x", None),
    ("  - name: many_hands", None),
    ("    chats: [\"@a\"]", None),
    ("    account: one", None),
    ("    pattern: stream", None),
    ("    to: \"stdout:\"", None),
    ("    stage: [enrich, \"dedup?keys=id\"]", "must see all rows of a run"),
    ("    verify: yes", "cannot be read again"),
    ("  - name: decoded", None),
    ("    chats: all", None),
    ("    to: ndjson:decoded", None),
    ("    account: one", None),
    ("    stage: decode", "has nothing to do in a batch"),
    ("    schedule: daily 02:00", None),
    ("    verify: yes", None),
    ("  - {name: piped, chats: all, to: \"stdout:\", account: one}", None),
    ("  - {name: proof, pattern: verify, of: piped}", "cannot be read again"),
    ("  - name: this", None),
    ("    pattern: transform", None),
    ("    from: that", "waits for itself"),
    ("    to: ndjson:this", None),
    ("  - name: that", None),
    ("    pattern: transform", None),
    ("    from: this", None),
    ("    to: ndjson:that", None),
]


class Files(Case):
    """What needs no server."""

    sim_args = None

    def write(self, text, name="etl.yaml"):
        (self.dir / name).write_text(text, encoding="utf-8")
        return name

    def check(self, text, **more):
        return tgdata("config", "check", self.write(text), cwd=self.dir, **more)

    def test_the_design_s_file_loads_unchanged(self):
        done = self.check(SEED)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.err, "")
        shown = tgdata("config", "show", "etl.yaml", cwd=self.dir)
        for line in ["workers: 5", "batch_size: 2000", "checkpoint_interval: 1000", "rate: 10",
                     "burst: 100", "circuit_failures: 5", 'recovery_timeout: "60"', "attempts: 3",
                     "backoff_multiplier: 2", "no_jitter: false", 'rate_strategy: "token_bucket"',
                     "alert_error_rate: 5", "alert_rate_drop: 50",
                     'metrics_endpoint: "http://prometheus:9090"', 'export_interval: "30"']:
            self.assertIn(f"  {line}  #", shown.out, shown)

    def test_thirty_mistakes_each_with_its_line(self):
        wrong = [(n, says) for n, (_, says) in enumerate(MISTAKES, 1) if says]
        self.assertGreaterEqual(len(wrong), 30)
        done = self.check("\n".join(line for line, _ in MISTAKES) + "\n")
        self.assertEqual(done.code, 2, done)
        told = re.findall(r"^etl\.yaml:(\d+):\d+: (.*)$", done.err, flags=re.M)
        for n, says in wrong:
            self.assertTrue([t for line, t in told if int(line) == n and says in t],
                            f"line {n}: {says}\n{done}")
        self.assertEqual(sorted({int(line) for line, _ in told}), [n for n, _ in wrong], done)
        self.assertEqual([int(line) for line, _ in told], sorted(int(line) for line, _ in told))
        self.assertIn(f"{len(told)} mistakes in 'etl.yaml'", done.err)
        run = tgdata("run", "etl.yaml", cwd=self.dir)
        self.assertEqual((run.code, run.out), (2, ""), run)

    def test_malformed_files(self):
        table = [
            ("", "there is nothing in it"),
            ("- a\n", "made of keys with values"),
            ("a: [\n", "1:"),
            ("jobs:\n - name: x\n   chats: [@a]\n", "3:12: found character"),
            ("a: 1\na: 2\n", "2:1: 'a' is given twice"),
            ("a: *b\n", "there is no anchor '&b'"),
            ("a: &b [*b]\n", "there is no anchor '&b'"),
            ("a: !!python/object:x {}\n", "tags ('!') are not used"),
            ("a: 1\n---\nb: 1\n", "a second document"),
            ("a: " + "[" * 100 + "]" * 100, "nested too deeply"),
            ("a: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n"
                                      for i in range(1, 12)), "too large or too deep"),
            ("jobs: [{<<: {}, name: x}]\n", "merge keys"),
            ("jobs: 5\n", "takes a list"),
            ('defaults: {job: x}\n', "unknown key 'job'"),
            ('defaults: {proxy: "a\\0b"}\n', "has a NUL"),
        ]
        for text, says in table:
            with self.subTest(text[:40]):
                done = self.check(text)
                self.assertEqual(done.code, 2, done)
                self.assertIn(says, done.err)
                self.assertIn("etl.yaml:", done.err)
        done = tgdata("config", "check", "none.yaml", cwd=self.dir)
        self.check_fails(done, 2, "cannot read the file 'none.yaml'")
        (self.dir / "bytes").write_bytes(b"a: \xff\xfe\n")
        self.assertEqual(tgdata("config", "check", "bytes", cwd=self.dir).code, 2)

    def test_words(self):
        for words, says in [(["config"], "usage: tgdata config"),
                            (["config", "chek", "x"], "it can check FILE"),
                            (["config", "show"], "no file is named"),
                            (["run"], "usage: tgdata run")]:
            done = tgdata(*words, cwd=self.dir)
            self.assertEqual(done.code, 2, done)
            self.assertIn(says, done.err)
        done = tgdata("run", self.write("defaults: {rate: 5}\n"), cwd=self.dir)
        self.check_fails(done, 2, "there is no job")

    def test_secrets(self):
        (self.dir / "hash").write_text("abc-file\n", encoding="ascii")
        text = """
accounts:
  main: {session: a, api_hash: "file:hash", passphrase: clear-text, proxy: "${PROXY}"}
jobs:
  - name: x
    account: main
    chats: ["${CHAT:-@fallback}", '${AS_IT_IS}', "$${CHAT}"]
    to: ["postgres://me:clear-pass@db/x", "postgres://me:${PG}@db/y", "ndjson:${file:hash}"]
    state: redis://:clear-state@h/0
"""
        env = {"PROXY": "socks5://u:env-secret@h:1", "PG": "env-pg"}
        done = self.check(text, env=env)
        self.assertEqual(done.code, 0, done)
        shown = tgdata("config", "show", "etl.yaml", cwd=self.dir, env=env)
        self.assertEqual(shown.code, 0, shown)
        for secret in ["clear-", "env-", "abc-file"]:
            self.assertNotIn(secret, shown.out + shown.err)
        for part in ['api_hash: "***"', '"postgres://me:***@db/x"', '"redis://:***@h/0"',
                     '["@fallback","${AS_IT_IS}","${CHAT}"]']:
            self.assertIn(part, shown.out)
        done = self.check(text, env={"PG": "x"})
        self.assertIn("etl.yaml:3:", done.err)
        self.assertIn("PROXY is not set", done.err)
        (self.dir / "hash").unlink()
        self.assertIn("cannot read the file 'hash'", self.check(text, env=env).err)

    def test_what_is_shown_loads_again(self):
        full = FULL[:FULL.index("  - name: worker")] # its queue is a secret
        for text in [EXAMPLE, re.sub("(?m)^ *(max_running|resource.*):.*", "", full)]:
            self.write(text)
            shown = tgdata("config", "show", "etl.yaml", cwd=self.dir)
            self.assertEqual(shown.code, 0, shown)
            self.write(shown.out, "again.yaml")
            again = tgdata("config", "show", "again.yaml", cwd=self.dir)
            self.assertEqual(*[[re.sub(r"  # line.*", "", line) for line in out.splitlines()]
                               for out in (again.out, shown.out)])

    def test_the_full_example(self):
        done = self.check(FULL)
        self.assertEqual((done.code, done.err), (0, ""), done)
        for job in ["history (batch)", "clean (transform)", "proof (verify)", "changes (delta)",
                    "live (stream)", "worker (worker)"]:
            self.assertIn(job, done.out)
        shown = tgdata("config", "show", "etl.yaml", cwd=self.dir,
                       env={"REDIS_PASSWORD": "top-secret"})
        self.assertNotIn("top-secret", shown.out)
        done = tgdata("schedule", "next", "etl.yaml", cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        self.assertIn("history", done.out)

    def test_the_schema(self):
        """The design's file and the page's example are valid by it, the mistakes are not."""
        done = tgdata("config", "schema")
        self.assertEqual(done.code, 0, done)
        (self.dir / "schema.json").write_text(done.out, encoding="utf-8")
        script = ("import json, sys, warnings; warnings.simplefilter('ignore')\n"
                  "import jsonschema, yaml\n"
                  "schema = json.load(open('schema.json'))\n"
                  "jsonschema.Draft202012Validator.check_schema(schema)\n"
                  "v = jsonschema.Draft202012Validator(schema)\n"
                  "for text in json.load(sys.stdin):\n"
                  "    print(len(list(v.iter_errors(yaml.safe_load(text)))))\n")
        good = [SEED, EXAMPLE, FULL, "defaults: {batch_size: '${N}', batch-size: 5, to: 'stdout:'}",
                "quality: {severity: drop, rules: [{field: text, max_length: 9}, {unique: [id]}],"
                " validation_rules: {completeness: [id], format: {date: datetime}},"
                " profile: {to: p.json}, enrich_metadata: yes}"]
        bad = ["jobs: [{name: x}]", "jobs: [{name: x, pattern: transform}]",
               "jobs: [{name: x, pattern: verify, chats: all}]", "jobs: [{pattern: worker}]",
               "jobs: [{name: x, chats: all, pattern: steam}]", "defaults: {bach_size: 5}",
               "extraction: {workers: -1}",
               "error_handling: {retry: {jitter: 7}}", "defaults: {rate_strategy: x}",
               "quality: {ruls: []}", "quality: {rules: [{feild: text}]}"]
        ran = subprocess.run(["/usr/bin/python3", "-c", script], cwd=self.dir, check=False,
                             input=json.dumps(good + bad), capture_output=True, text=True)
        if "No module named" in ran.stderr:
            self.skipTest("python3-jsonschema and python3-yaml are not installed")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        counts = [int(n) for n in ran.stdout.split()]
        self.assertEqual(counts[:len(good)], [0] * len(good), ran.stdout)
        self.assertNotIn(0, counts[len(good):])


class Runs(Case):
    """Jobs at work."""

    sim_args = ("--chats", "8", "--messages", "400", "--seed", "3")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        listed = [c for c in cls.sim.chats(cls.sim.account()) if c["kind"] != "group"]
        cls.chats = [c for c in listed if not c["migrated_from"]][:4]

    def setUp(self):
        super().setUp()
        self.me = self.session()

    def write(self, text, name="etl.yaml"):
        (self.dir / name).write_text(text, encoding="utf-8")
        return name

    def job(self, head="", name="job", chats=None, **more):
        """A file of one job."""
        ids = [c["id"] for c in chats or self.chats]
        lines = [head, f"defaults: {{session: {self.me}, datacenter: {self.sim.file}, lease: 1s,"
                 " state: 'sqlite:state.db'}",
                 "jobs:", f"  - {{name: {name}, chats: {ids}, to: 'ndjson:{name}'"]
        lines[-1] += "".join(f", {k}: {json.dumps(v)}" for k, v in more.items()) + "}"
        return "\n".join(lines) + "\n"

    def run_file(self, text, *more, **options):
        return tgdata("run", self.write(text), "--json", "--progress", "none", *more,
                      cwd=self.dir, **options)

    def there(self):
        """The data centre has other ports after each start."""
        return {"TGDATA_DATACENTER": str(self.sim.file)}

    def test_the_page_s_example(self):
        name = self.sim.chat("channel")["username"]
        self.write(EXAMPLE.replace("@somechannel", f"@{name}"))
        done = tgdata("run", "etl.yaml", "--json", "--progress", "none", cwd=self.dir,
                      env=self.there())
        self.assertEqual(done.code, 0, done)
        batch, delta = map(json.loads, done.out.splitlines())
        self.assertEqual(batch["rows"], len(rows(self.dir / "out")))
        self.assertGreater(batch["rows"], 20)
        self.assertGreater(delta["changes_detected"], 0)
        self.assertGreater(delta["filtered"], 0)
        self.assertGreater(len(list(self.dir.glob("changes/**/*.ndjson"))), 0)
        one = tgdata("run", "etl.yaml", "--json", "--job", "changes", cwd=self.dir,
                     env=self.there())
        self.assertEqual(one.code, 0, one)
        self.assertEqual(one.json()["changes_detected"], 0)
        self.check_fails(tgdata("run", "etl.yaml", "--job", "chnges", cwd=self.dir), 3,
                         "there is no job 'chnges'", "history, changes")

    def test_the_full_example(self):
        """Histories, what is made of them, and the proof that all is there; run in the order of who
        reads whose rows, whatever the order in the file."""
        chat = self.sim.chat("channel")
        text = FULL[:FULL.index("  - name: worker")].replace("@somechannel", f"@{chat['username']}")
        head, clean = text.split("  - name: history\n")
        history, clean = clean.split("  - name: clean\n")
        self.write(head + "  - name: clean\n" + clean.replace("idle_exit: 60s", "idle_exit: 1s") +
                   "  - name: history\n" + history)
        env = {**self.there(), "TGDATA_SESSION": str(self.me), "TGDATA_LISTEN": "0"}
        done = tgdata("run", "etl.yaml", "--json", "--progress", "none", cwd=self.dir, env=env)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(re.findall(r"job (\S+) \(", done.err),
                         ["changes", "live", "history", "clean", "proof", "proof-of-clean"])
        _, _, history, clean, proof, of_clean = map(json.loads, done.out.splitlines())
        raw = rows(self.dir / "raw")
        self.assertEqual(history["rows"], len(raw))
        self.assertEqual(clean["rows_read"], len(raw))
        self.assertEqual(clean["rows"], len([r for r in raw if r["kind"] == "message"]))
        self.assertEqual(clean["quality"]["rules"][0]["broken"], 0)
        self.assertEqual((proof["job"], proof["complete"], proof["rows"]),
                         ("history", True, len(raw)))
        self.assertEqual((of_clean["job"], of_clean["complete"], of_clean["rows"]),
                         ("clean", True, clean["rows"]))
        with sqlite3.connect(self.dir / "clean.db") as db:
            self.assertEqual(db.execute("SELECT count(*), max(raw), min(word_count IS NOT NULL) "
                                        "FROM messages").fetchone(), (clean["rows"], None, 1))
        self.assertTrue((self.dir / "profile.json").exists())
        again = tgdata("run", "etl.yaml", "--job", "clean", "--json", cwd=self.dir, env=env)
        self.assertEqual((again.code, again.json()["rows_read"]), (0, 0), again)
        part = sorted((self.dir / "raw").glob("chat_*/part-*.ndjson"))[0]
        part.write_bytes(b"".join(part.read_bytes().splitlines(keepends=True)[1:]))
        lost = tgdata("run", "etl.yaml", "--job", "proof", "--json", cwd=self.dir, env=env)
        self.assertEqual(lost.code, 10, lost)
        self.assertFalse(lost.json()["complete"])

    def test_what_is_read_is_named_by_job_or_url(self):
        """Also chats of it; and a run that fails ends those behind it."""
        one, two = self.chats[:2]
        text = self.job("", name="source", chats=[one, two])
        for name, more in [("by-name", "from: source"), ("by-url", "from: 'ndjson:source'"),
                           ("one", f"from: source, chats: {one['id']}, verify: true"),
                           ("wrong", "from: 'ndjson:nothing'"),
                           ("behind", "from: wrong"), ("after", "from: source, after: [wrong]")]:
            text += (f"  - {{name: {name}, pattern: transform, {more}, to: 'ndjson:{name}', "
                     "filter: kind == 'message'}\n")
        text = text.replace("name: source,", "name: source, schedule: every 1 hour,").replace(
            "name: wrong,", "name: wrong, schedule: every 1 hour,")
        done = self.run_file(text)
        self.assertEqual(done.code, 3, done)
        want = {(r["chat_id"], r["id"]) for r in rows(self.dir / "source")
                if r["kind"] == "message"}
        for name in ["by-name", "by-url"]:
            self.assertEqual({(r["chat_id"], r["id"]) for r in rows(self.dir / name)}, want)
        self.assertEqual({r["chat_id"] for r in rows(self.dir / "one")}, {one["id"]})
        told = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual([t["complete"] for t in told if t.get("job") == "one"], [True])
        for name in ["behind", "after"]:
            self.assertFalse((self.dir / name).exists())

    def test_a_file_does_what_options_do(self):
        done = self.run_file(self.job(batch_size=50, checkpoint_interval=100))
        self.assertEqual(done.code, 0, done)
        chats = [c["id"] for c in self.chats]
        other = tgdata(*self.extract_args(*chats, session=self.me, state="sqlite:other.db", more=[
            "--batch-size", "50", "--checkpoint-interval", "100", "--json"]), cwd=self.dir)
        self.assertEqual(other.code, 0, other)
        for key in ["rows", "batches", "checkpoints", "chats"]:
            self.assertEqual(done.json()[key], other.json()[key], key)
        self.check_whole(self.chats, self.dir / "job")
        listed = tgdata("checkpoints", "list", "--state", "sqlite:state.db", "--job", "job",
                        cwd=self.dir)
        self.assertEqual(listed.code, 0, listed)
        self.assertIn(str(chats[0]), listed.out)

    def test_two_accounts_with_settings_of_their_own(self):
        second = self.dir / "second.session"
        self.login(second, [a for a in self.sim.accounts if "bot_token" not in a
                            and "password" not in a][1])
        self.write(f"accounts:\n  a: {{session: {self.me}, rate: 50}}\n"
                   f"  b: {{session: {second}, rate_strategy: server_wait}}\n"
                   "jobs: [{name: both, chats: all, workers: 4, to: 'ndjson:both'}]\n")
        done = tgdata("run", "etl.yaml", "--json", "--progress", "json", cwd=self.dir,
                      env=self.there())
        self.assertEqual(done.code, 0, done)
        self.assertIn('"accounts":2', done.err)
        self.assertEqual(done.json()["rows"], len(rows(self.dir / "both")))

    # ---- the keys of the ETL design's file ----

    def seed(self, *changes):
        """The design's file with lines replaced; without monitoring: there is no Pushgateway, and
        test_alerts.py has its alerts."""
        text = SEED.split("monitoring:")[0]
        for old, new in changes:
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        return text

    def run_seed(self, *changes, **more):
        done = self.run_file(self.job(self.seed(*changes), **more))
        self.assertEqual(done.code, 0, done)
        return done.json(), done.err

    def test_strategy_names_the_pattern(self):
        got, log = self.run_seed(("parallel_batch", "delta"), name="d")
        self.assertIn("job d (delta)", log)
        self.assertIn("changes_detected", got)
        got, log = self.run_seed(name="b")
        self.assertIn("job b (batch)", log)
        self.assertEqual(got["chats"], 4)

    def test_batch_size_and_checkpoint_interval(self):
        small, _ = self.run_seed(("batch_size: 2000", "batch_size: 10"), name="s")
        large, _ = self.run_seed(name="l")
        self.assertGreater(small["batches"], 4 * large["batches"])
        often, _ = self.run_seed(("checkpoint_interval: 1000", "checkpoint_interval: 10"), name="o")
        self.assertGreater(often["checkpoints"], 4 * large["checkpoints"])

    def at_work(self, *changes, name):
        text = self.job(self.seed(("tokens_per_second: 10", "tokens_per_second: 4"),
                                  ("burst_size: 100", "burst_size: 1"), *changes), name=name)
        done = tgdata("run", self.write(text), "--progress", "json", cwd=self.dir)
        self.assertEqual(done.code, 0, done)
        return max(json.loads(line).get("at_work", 0) for line in done.err.splitlines()
                   if line.startswith("{"))

    def test_workers(self):
        self.assertEqual(self.at_work(("workers: 5", "workers: 1"), name="one"), 1)
        self.assertGreater(self.at_work(name="five"), 1)

    def test_rate_and_burst(self):
        slow = ("tokens_per_second: 10", "tokens_per_second: 2")
        no_burst = ("burst_size: 100", "burst_size: 1")
        took = {}
        for name, changes in [("burst", [slow]), ("paced", [slow, no_burst]),
                              ("faster", [no_burst, ("tokens_per_second: 10",
                                                     "tokens_per_second: 100")])]:
            took[name] = self.run_seed(*changes, name=name)[0]["seconds"]
        for name in ["burst", "faster"]:
            self.assertLess(took[name] + 1, took["paced"], took)

    def test_strategy_of_limits(self):
        """A token bucket learns the rate from floods; server_wait meets the limit again."""
        self.sim.stop()
        self.sim.start("--flood", "messages.getHistory=3/2")
        free = ("tokens_per_second: 10", "tokens_per_second: 0")
        waits = {}
        for name, changes in [("learns", [free]),
                              ("waits", [free, ('"token_bucket"', '"server_wait"')])]:
            waits[name] = self.run_seed(*changes, name=name)[0]["flood_waits"]
        self.sim.stop()
        self.sim.start()
        self.assertLess(waits["learns"], waits["waits"], waits)

    def test_coordinate(self):
        nobody = {"TGDATA_COORDINATE": f"redis://127.0.0.1:{kit.free_ports(1)}/0"}
        shared = self.run_file(self.job(self.seed(), name="t"), env=nobody)
        self.assertEqual(shared.code, 6, shared)
        alone = self.run_file(self.job(self.seed(("workers: true", "workers: false")), name="f"),
                              env=nobody)
        self.assertEqual(alone.code, 0, alone)

    def broken(self, *changes, **more):
        """A run whose first chat answers nothing but errors."""
        done = self.run_file(self.job(self.seed(*changes), chats=self.chats[:1], max_backoff="50ms",
                                      **more))
        self.assertNotEqual(done.code, 0, done)
        self.assertTrue(done.out, done)
        return done.json()

    def test_circuit_breaker_and_retry(self):
        self.sim.stop()
        self.sim.start("--faults", f"500=1,chat={self.chats[0]['id']}")
        try:
            opened = {}
            for name, changes in [
                    ("opens", []), ("none", [("enabled: true", "enabled: false")]),
                    ("late", [("failure_threshold: 5", "failure_threshold: 500")])]:
                got = self.broken(("recovery_timeout: 60", "recovery_timeout: 1"),
                                  ("max_attempts: 3", "max_attempts: 8"), *changes, name=name,
                                  circuit_open="fail")
                opened[name] = got["circuits"]["chat"]["opened"]
            self.assertGreater(opened["opens"], 0)
            self.assertEqual((opened["none"], opened["late"]), (0, 0))
            few = self.broken(("enabled: true", "enabled: false"), name="few")["requests"]
            many = self.broken(("enabled: true", "enabled: false"),
                               ("max_attempts: 3", "max_attempts: 12"), name="many")["requests"]
            self.assertGreater(many, few + 5)
        finally:
            self.sim.stop()
            self.sim.start()

    def test_recovery_timeout(self):
        took = []
        for seconds in (1, 4):
            self.sim.stop()
            self.sim.start("--faults", f"500#1,chat={self.chats[0]['id']}")
            got, _ = self.run_seed(("recovery_timeout: 60", f"recovery_timeout: {seconds}"),
                                   ("failure_threshold: 5", "failure_threshold: 1"),
                                   name=f"r{seconds}", max_backoff="50ms", chats=self.chats[:1])
            took.append(got["seconds"])
        self.assertLess(took[0] + 1.5, took[1])

    def test_backoff_multiplier_and_jitter(self):
        """Three attempts of each call, in vain: without jitter they wait the full time."""
        self.sim.stop()
        self.sim.start("--faults", f"500=1,chat={self.chats[0]['id']}")
        plain, took = ("jitter: true", "jitter: false"), {}
        for name, changes in [("flat", [plain, ("multiplier: 2", "multiplier: 1")]),
                              ("steep", [plain, ("multiplier: 2", "multiplier: 4")]),
                              ("jitter", [("multiplier: 2", "multiplier: 4")])]:
            done = self.run_file(self.job(self.seed(("enabled: true", "enabled: false"), *changes),
                                          name=name, chats=self.chats[:1]))
            self.assertNotEqual(done.code, 0, done)
            took[name] = done.json()["seconds"]
        self.sim.stop()
        self.sim.start()
        self.assertLess(took["flat"] + 2, took["steep"], took)
        self.assertLess(took["jitter"] + 0.1, took["steep"], took)

    def test_metrics_are_pushed(self):
        """To the endpoint, every interval."""
        pushed = []

        class Gateway(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                pushed.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Gateway) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            counts = []
            for every in (1, 60):
                pushed.clear()
                done = self.run_file(self.job(
                    f"monitoring: {{metrics_endpoint: 'http://127.0.0.1:{server.server_port}', "
                    f"export_interval: {every}}}", name=f"every{every}", rate=4, burst=1))
                self.assertEqual(done.code, 0, done)
                counts.append(len(pushed))
                self.assertIn(b"tgdata_", pushed[-1])
            server.shutdown()
        self.assertGreater(counts[0], counts[1] + 1)

    def test_workers_change_at_sighup(self):
        text = self.job("", chats=self.chats, workers=1, rate=4, burst=1, batch_size=10)
        self.write(text)
        log = self.dir / "log"
        with log.open("wb") as to:
            run = kit.start("run", "etl.yaml", "--progress", "json", cwd=self.dir, stderr=to,
                            stdout=subprocess.DEVNULL)
            try:
                self.assertTrue(kit.wait_for(lambda: '"at_work":1' in log.read_text()))
                self.write("jobs: 5\n")
                run.send_signal(signal.SIGHUP)
                self.assertTrue(kit.wait_for(lambda: "takes a list" in log.read_text()))
                self.write(text.replace('"workers": 1', '"workers": 4').replace("workers: 1",
                                                                              "workers: 4"))
                run.send_signal(signal.SIGHUP)
                self.assertTrue(kit.wait_for(lambda: re.search('"at_work":[234]',
                                                               log.read_text())))
                self.assertEqual(run.wait(kit.TIMEOUT), 0, log.read_text())
            finally:
                run.kill()
                run.wait()
        self.check_whole(self.chats, self.dir / "job")

    def test_settings_change_at_sighup(self):
        """The job at work begins again behind its last commit; one that was added follows."""
        slow = self.job("", name="first", chats=self.chats, rate=3, burst=1, batch_size=10)
        more = self.job("", name="second", chats=self.chats[:1]).splitlines()[-1]
        self.write(slow)
        log = self.dir / "log"
        with log.open("wb") as to:
            run = kit.start("run", "etl.yaml", "--progress", "json", cwd=self.dir, stderr=to,
                            stdout=subprocess.DEVNULL)
            try:
                self.assertTrue(kit.wait_for(lambda: re.search('"at_work":1', log.read_text())))
                self.write(slow.replace("rate: 3", "rate: 1000") + more + "\n")
                run.send_signal(signal.SIGHUP)
                self.assertTrue(kit.wait_for(lambda: "begins again" in log.read_text()),
                                log.read_text())
                self.assertEqual(run.wait(kit.TIMEOUT), 0, log.read_text())
            finally:
                run.kill()
                run.wait()
        self.assertEqual(log.read_text().count("job first (batch)"), 2)
        self.check_whole(self.chats, self.dir / "first")
        self.check_whole(self.chats[:1], self.dir / "second")

    def test_a_transform_at_sighup(self):
        """It goes on behind what it has committed; each row is there once."""
        source = self.job("", name="source", chats=self.chats)
        self.assertEqual(self.run_file(source).code, 0)
        text = source + ("  - {name: slow, pattern: transform, from: source, to: 'ndjson:slow', "
                         "batch_size: 10, checkpoint_interval: 10,\n"
                         "     transform: 'for i = 1, 200000 do end'}\n")
        self.write(text)
        log = self.dir / "log"
        with log.open("wb") as to:
            run = kit.start("run", "etl.yaml", "--progress", "json", "--job", "slow",
                            cwd=self.dir, stderr=to, stdout=subprocess.DEVNULL)
            try:
                self.assertTrue(kit.wait_for(lambda: '"event":"progress"' in log.read_text()))
                self.write(text.replace("batch_size: 10,", "batch_size: 20,"))
                run.send_signal(signal.SIGHUP)
                self.assertTrue(kit.wait_for(lambda: "begins again" in log.read_text()),
                                log.read_text())
                self.assertEqual(run.wait(kit.TIMEOUT), 0, log.read_text())
            finally:
                run.kill()
                run.wait()
        self.assertEqual(log.read_text().count("job slow (transform)"), 2)
        self.assertEqual(sorted((r["chat_id"], r["id"]) for r in rows(self.dir / "slow")),
                         sorted((r["chat_id"], r["id"]) for r in rows(self.dir / "source")))

    def test_a_stream_at_sighup(self):
        """It has no end: another setting ends it, and taking it out of the file does."""
        text = self.job("", name="live", chats=self.chats[:1], pattern="stream", history=True)
        self.write(text)
        log = self.dir / "log"
        with log.open("wb") as to:
            run = kit.start("run", "etl.yaml", "--progress", "json", cwd=self.dir, stderr=to,
                            stdout=subprocess.DEVNULL)
            try:
                self.assertTrue(kit.wait_for(lambda: '"event":"statistics"' in log.read_text()))
                self.write(text.replace("history: true", "history: true, enrich: true"))
                run.send_signal(signal.SIGHUP)
                self.assertTrue(kit.wait_for(
                    lambda: '"event":"statistics"' in log.read_text().split("begins again")[-1]))
                self.write(self.job("", name="other", chats=self.chats[:1]))
                run.send_signal(signal.SIGHUP)
                self.assertEqual(run.wait(kit.TIMEOUT), 0, log.read_text())
            finally:
                run.kill()
                run.wait()
        self.assertIn("job live ends", log.read_text())
        self.check_whole(self.chats[:1], self.dir / "other")


if __name__ == "__main__":
    main()
