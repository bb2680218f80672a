#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""--include-replies: comments on a channel's posts, with the post of each, and what they cost."""
import shutil
import signal
import subprocess
import time
import unittest

import kit


class Run(kit.Case):
    # chats 1 and 8 are channels; the group of the first is open, that of the second closed
    sim_args = ("--chats", "9", "--messages", "300", "--seed", "3", "--discussions", "mixed",
                "--faults", "short=0")

    def setUp(self):
        super().setUp()
        self.me = self.session()

    def channel(self, nth):
        channel = [c for c in self.sim.world["chats"] if c["kind"] == "channel"][nth]
        return channel, next(c for c in self.sim.world["chats"] if c["id"] == channel["linked"])

    def calls(self):
        return {m: n["calls"] for m, n in self.sim.stats()["methods"].items()}

    def words(self, *args, job="job", more=()):
        """A job with a destination and a state of its own."""
        return ["extract", *args, *self.account_args(self.me), "--to", f"ndjson:{self.dir}/{job}",
                "--state", f"sqlite:{self.dir}/{job}.db", "--job", job, "--lease", "1s",
                "--progress", "none", "--in-flight", "1", *more]

    def rows(self, job="job"):
        return kit.rows(self.dir / job)

    def run_counted(self, *args, **more):
        """@return the run, and the calls of each method that it took"""
        before = self.calls()
        done = kit.tgdata(*self.words(*args, **more), "--json")
        self.assertEqual(done.code, 0, done)
        now = self.calls()
        return done, {m: n - before.get(m, 0) for m, n in now.items()
                      if n != before.get(m, 0) and not m.startswith(("auth.", "help."))}

    def check_comments(self, group, channel, rows):
        """Each row of the group names the post that the world knows, if there is one."""
        truth = self.sim.comments(group["id"])
        found = {r["id"]: r["comment_of_id"] for r in rows
                 if r["chat_id"] == group["id"] and "comment_of_id" in r}
        self.assertEqual(found, {r["id"]: truth[r["id"]] for r in rows
                                 if r["chat_id"] == group["id"] and r["id"] in truth})
        self.assertEqual({r["comment_of_chat_id"] for r in rows if "comment_of_id" in r},
                         {channel["id"]} if found else set())
        return found

    def kill_and_resume(self, *args):
        """@return how often it was killed before it reached the end"""
        words = self.words(*args, "--checkpoint-interval", "150", "--batch-size", "50", "--rate",
                           "30", "--burst", "1")
        for kills in range(60):
            run = kit.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self.assertEqual(run.wait(0.5 + kills % 4 / 2), 0)
                self.assertGreater(kills, 1)
                return kills
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait(30)
                time.sleep(1.1)  # until its lease has run out
        return self.fail("it does not get on")

    def posts(self, job="job"):
        channel, _ = self.channel(1)
        return {r["id"]: r.get("replies", 0) for r in self.rows(job)
                if r["chat_id"] == channel["id"]}

    def truth(self, nth=1):
        """Comments on the posts that are there, without the posts' own copies in the group."""
        channel, group = self.channel(nth)
        posts = set(self.sim.ids(channel["id"]))
        found, met = {}, set()
        for i, post in sorted(self.sim.comments(group["id"]).items()):
            if post in posts and post in met:
                found[i] = post
            met.add(post)  # the copy comes first
        return found

    def check_read(self, job="job"):
        channel, group = self.channel(1)
        found = [r for r in self.rows(job) if r["chat_id"] == group["id"]]
        self.assertEqual([(r["comment_of_id"], r["id"]) for r in found],
                         sorted((post, i) for i, post in self.truth().items()))
        self.assertEqual({r["comment_of_chat_id"] for r in found}, {channel["id"]})
        self.assertEqual({r["id"] for r in self.rows(job) if r["chat_id"] == channel["id"]},
                         set(self.sim.ids(channel["id"])))


class Open(Run):
    """A group that is read like all others."""

    def test_a_supergroup_costs_nothing(self):
        chat = self.sim.chat("supergroup")
        self.run_counted(f"@{chat['username']}", "--limit", "1", job="name")
        _, plain = self.run_counted(f"@{chat['username']}", job="a")
        _, with_replies = self.run_counted(f"@{chat['username']}", "--include-replies", job="b")
        self.assertEqual(with_replies, plain)
        found = self.rows("b")
        self.assertEqual(found, self.rows("a"))
        answers = [r for r in found if "reply_to_id" in r]
        self.assertTrue(answers)
        for r in answers:
            self.assertIn("thread_id", r)
        self.assertFalse([r for r in found if "comment_of_id" in r])

    def test_a_readable_group_is_read_once(self):
        channel, group = self.channel(0)
        name = f"@{channel['username']}"
        _, alone = self.run_counted(name, job="channel")
        del alone["contacts.resolveUsername"]  # the session knows it then
        _, other = self.run_counted(f"@{group['username']}", job="group")
        done, both = self.run_counted(name, "--include-replies", job="both")
        self.assertEqual(both, {m: alone.get(m, 0) + other.get(m, 0) for m in alone | other})
        self.assertEqual(both["channels.getFullChannel"], 2)
        self.assertNotIn("channels.getMessages", both)
        self.assertEqual(done.json()["chats"], 2)
        self.assertEqual(done.json()["rows"], channel["messages"] + group["messages"])

        # the group's own name in the list changes nothing, wherever it stands
        for job, chats in (("c", (f"@{group['username']}", name)),
                           ("d", (name, f"@{group['username']}"))):
            done, _ = self.run_counted(*chats, "--include-replies", job=job)
            self.assertEqual(done.json()["chats"], 2)
            self.assertEqual(done.json()["rows"], channel["messages"] + group["messages"])

    def test_rows_name_their_post(self):
        channel, group = self.channel(0)
        _, _ = self.run_counted(f"@{channel['username']}", "--include-replies")
        self.check_whole([channel, group], self.dir / "job")
        found = self.check_comments(group, channel, self.rows())
        self.assertGreater(len(found), 3000)
        proof = kit.tgdata("verify", *self.account_args(self.me), "--state",
                           f"sqlite:{self.dir}/job.db", "--job", "job")
        self.assertEqual(proof.code, 0, proof)
        # another run finds nothing new, and asks for nothing but that
        done, calls = self.run_counted("--include-replies", f"@{channel['username']}")
        self.assertEqual(done.json()["rows"], 0)
        self.assertEqual(calls, {"channels.getFullChannel": 2, "messages.getHistory": 2})

    def test_a_job_is_one_or_the_other(self):
        channel, _ = self.channel(0)
        self.run_counted(f"@{channel['username']}")
        done = kit.tgdata(*self.words(f"@{channel['username']}", "--include-replies"))
        self.check_fails(done, 2, "include_replies")

    def test_threads_that_began_before_are_asked_for(self):
        channel, group = self.channel(0)
        _, _ = self.run_counted(f"@{channel['username']}", "--include-replies", job="all")
        date = {r["id"]: r["date"] for r in self.rows("all")
                if r["chat_id"] == group["id"]}
        since = date[min(i for i in date if i > 700)]
        _, calls = self.run_counted(f"@{channel['username']}", "--include-replies", "--since",
                                    since, job="since")
        found = [r for r in self.rows("since") if r["chat_id"] == group["id"]]
        self.assertEqual({r["id"] for r in found}, {i for i in date if date[i] >= since})
        named = self.check_comments(group, channel, found)
        first = min(r["id"] for r in found)
        roots = {r["thread_id"] for r in found if r["id"] in named and "thread_id" in r}
        self.assertTrue([i for i in roots if i < first])
        self.assertLessEqual(calls["channels.getMessages"], 6)

    def test_killed_and_gone_on_with(self):
        channel, group = self.channel(0)
        self.kill_and_resume(f"@{channel['username']}", "--include-replies")
        self.check_whole([channel, group], self.dir / "job")
        self.check_comments(group, channel, self.rows())

    def test_all_chats(self):
        channels = [self.channel(0), self.channel(1)]
        done, calls = self.run_counted("--all", "--include-replies", "--workers", "4")
        mine = self.sim.chats(self.sim.account())
        closed = channels[1][1]
        found = self.rows()
        self.assertEqual(len({(r["chat_id"], r["id"]) for r in found}), len(found))
        wanted = {i for c in mine for i in (c["id"], c["migrated_from"]) if i}
        self.assertEqual({r["chat_id"] for r in found} - {closed["id"]}, wanted)
        self.check_comments(channels[0][1], channels[0][0],
                            [r for r in found if r["chat_id"] == channels[0][1]["id"]])
        self.assertEqual(done.code, 0, calls)


class Closed(Run):
    """A group that no account can read: its comments are asked for post by post."""

    def test_post_by_post(self):
        channel, group = self.channel(1)
        name = f"@{channel['username']}"
        _, alone = self.run_counted(name, job="channel")
        done, both = self.run_counted(name, "--include-replies")
        self.check_read()
        self.assertEqual(done.json()["chats"], 2)
        pages = sum((n + 99) // 100 for n in self.posts().values())
        self.assertGreater(max(self.posts().values()), 100)
        self.assertIn(0, self.posts().values())
        # on top: the question what the group is, which is refused; posts without comments cost none
        alone["messages.getReplies"] = pages
        alone["channels.getFullChannel"] += 1
        del alone["contacts.resolveUsername"]
        self.assertEqual(both, alone)
        proof = kit.tgdata("verify", *self.account_args(self.me), "--state",
                           f"sqlite:{self.dir}/job.db", "--job", "job", "--json")
        self.assertEqual(proof.code, 0, proof)
        told = next(c for c in proof.json()["chats"] if c["chat_id"] == group["id"])
        self.assertTrue(told["by_post"] and told["complete"])
        self.assertEqual(told["covered_to"], channel["top_id"])
        done, again = self.run_counted(name, "--include-replies")
        self.assertEqual(done.json()["rows"], 0)
        self.assertEqual(again, {"channels.getFullChannel": 1, "messages.getHistory": 1})

    def test_with_the_channel_at_work_as_well(self):
        channel, _ = self.channel(1)
        done, calls = self.run_counted(f"@{channel['username']}", "--include-replies", "--workers",
                                       "4")
        self.check_read()
        self.assertEqual(calls["messages.getReplies"],
                         sum((n + 99) // 100 for n in self.posts().values()))
        self.assertEqual(calls["channels.getFullChannel"], 2, done)

    def read_with(self, faults):
        """@return the statistics of another data centre with that trouble"""
        sim = kit.Sim(self.dir / "dc", *self.sim_args[:-1], faults)
        try:
            me = self.dir / "other.session"
            self.login(me, datacenter=sim.file)
            channel, _ = self.channel(1)
            done = kit.tgdata("extract", f"@{channel['username']}", "--include-replies",
                              "--session", me, "--to", f"ndjson:{self.dir}/job", "--state",
                              f"sqlite:{self.dir}/job.db", "--progress", "none")
            self.assertEqual(done.code, 0, done)
            return sim.stats()
        finally:
            sim.stop()

    def test_trouble_loses_nothing(self):
        stats = self.read_with("short=0.3,500=0.03,drop=0.01,dup=0.05")
        self.check_read()
        self.assertGreater(stats["short_pages"], 10)
        self.assertGreater(stats["faults"]["500"], 0)

    def test_posts_that_are_deleted_meanwhile(self):
        stats = self.read_with("short=0,comments-gone=0.1")
        gone = stats["faults"]["comments-gone"]
        self.assertGreater(gone, 5)
        found, truth, cut = {}, {}, 0
        for i, post in self.truth().items():
            truth.setdefault(post, []).append(i)
        for r in self.rows():
            if "comment_of_id" in r:
                found.setdefault(r["comment_of_id"], []).append(r["id"])
        for post, ids in truth.items():
            got = found.get(post, [])
            self.assertEqual(got, ids[:len(got)])
            if got != ids:  # whole pages until it was gone
                self.assertEqual(len(got) % 100, 0)
                cut += 1
        self.assertEqual(cut, gone)

    def test_a_limit_and_dates(self):
        channel, group = self.channel(1)
        name = f"@{channel['username']}"
        self.run_counted(name, "--include-replies", job="all")
        everything = [r for r in self.rows("all") if r["chat_id"] == group["id"]]
        self.run_counted(name, "--include-replies", "--limit", "130", job="few")
        self.assertEqual([r for r in self.rows("few") if r["chat_id"] == group["id"]],
                         everything[:130])
        done, calls = self.run_counted(name, "--include-replies", "--limit", "130", job="few")
        self.assertEqual((done.json()["rows"], calls), (0, {"channels.getFullChannel": 1}))
        since, until = "2021-01-01T00:00:00Z", "2023-01-01T00:00:00Z"
        self.run_counted(name, "--include-replies", "--since", since, "--until", until, job="some")
        self.assertEqual([r for r in self.rows("some") if r["chat_id"] == group["id"]],
                         [r for r in everything if since <= r["date"] < until])

    def test_killed_and_gone_on_with(self):
        channel, _ = self.channel(1)
        before = self.calls().get("messages.getReplies", 0)
        kills = self.kill_and_resume(f"@{channel['username']}", "--include-replies")
        self.check_read()
        pages = sum((n + 99) // 100 for n in self.posts().values())
        # of each run, at most what was not committed yet, and the proof of the thread it was in
        self.assertLess(self.calls()["messages.getReplies"] - before, pages + kills * 16)

    def test_a_group_is_gone_on_with_as_it_was_begun(self):
        channel, group = self.channel(1)
        self.run_counted(f"@{channel['username']}", "--include-replies")
        done = kit.tgdata(*self.words(str(group["id"]), "--include-replies"))
        self.check_fails(done, 4, "through their channel")


class Who(Run):
    """Accounts of other kinds, and several of them."""

    # channels 1, 8 and 15: the third one's group has the second person alone in it
    sim_args = ("--chats", "16", "--messages", "120", "--seed", "3", "--discussions", "mixed",
                "--faults", "short=0")

    def test_an_account_that_can_read_the_group_does(self):
        channel, group = self.channel(2)
        people = [a for a in self.sim.accounts if "bot_token" not in a]
        self.assertEqual([a for a in people if a["user_id"] in group["members"]], [people[1]])
        sessions = []
        for i in (0, 2, 1):
            sessions.append(self.dir / f"{i}.session")
            self.login(sessions[-1], people[i])
        self.me = sessions[0]
        _, calls = self.run_counted(f"@{channel['username']}", "--include-replies", "--accounts",
                                    ",".join(map(str, sessions)), "--workers", "1")
        self.assertNotIn("messages.getReplies", calls)
        self.check_whole([channel, group], self.dir / "job")
        self.check_comments(group, channel, self.rows())
        # the first alone reads them through the channel
        _, calls = self.run_counted(f"@{channel['username']}", "--include-replies", job="alone")
        said = {i: post for i, post in self.truth(2).items()}
        self.assertEqual({r["id"]: r["comment_of_id"] for r in self.rows("alone")
                          if "comment_of_id" in r}, said)
        self.assertIn("messages.getReplies", calls)

    def test_a_bot_reads_groups_alone(self):
        bot = self.dir / "bot.session"
        self.login(bot, self.sim.account(bot=True))
        self.me = bot
        channel, group = self.channel(0)
        self.run_counted(f"@{channel['username']}", "--include-replies")
        self.check_whole([channel, group], self.dir / "job")
        self.check_comments(group, channel, self.rows())
        closed, _ = self.channel(1)
        done = kit.tgdata(*self.words(f"@{closed['username']}", "--include-replies", job="closed"))
        self.check_fails(done, 4, "a bot cannot ask for the comments")

    def test_inside_a_takeout(self):
        for nth in (0, 1):
            channel, group = self.channel(nth)
            before = self.sim.stats()["takeout_unwrapped"]
            done = kit.tgdata(*self.words(f"@{channel['username']}", "--include-replies",
                                          "--takeout", job=f"t{nth}"))
            self.assertEqual(done.code, 0, done)
            self.assertEqual(self.sim.stats()["takeout_unwrapped"], before)
            found = [r for r in self.rows(f"t{nth}") if r["chat_id"] == group["id"]]
            if nth:
                self.assertEqual({r["id"] for r in found}, set(self.truth()))
            else:
                self.assertEqual([r["id"] for r in found], self.sim.ids(group["id"]))
                self.check_comments(group, channel, found)


@unittest.skipUnless(shutil.which("redis-server") and "hiredis" in kit.tgdata("version").out,
                     "needs a redis-server and the program its client")
class OnQueue(Run):
    """The task of a channel is done when its comments are there."""

    def test_a_worker_dies_before_the_comments_are_read(self):
        redis = kit.Redis(self.dir / "redis")
        self.addCleanup(redis.stop)
        queue = f"{redis.url()}?queue=q&visibility=2s"
        channels = [self.channel(n)[0] for n in range(2)]
        put = kit.tgdata("enqueue", *(f"@{c['username']}" for c in channels), "--include-replies",
                         "--queue", queue)
        self.assertEqual(put.code, 0, put)
        words = ["worker", "--queue", queue, "--until-empty", *self.account_args(self.me), "--to",
                 f"ndjson:{self.dir}/job", "--state", f"sqlite:{self.dir}/job.db", "--job", "job",
                 "--lease", "1s", "--progress", "none", "--checkpoint-interval", "100",
                 "--batch-size", "50"]
        kills = 0
        for seconds in (1.5, 2, 2.5):
            run = kit.start(*words, "--rate", "5", "--burst", "1", stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
            try:
                run.wait(seconds)
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait(30)
                kills += 1
            depth = kit.tgdata("enqueue", "--queue", queue, "--json").json()
            self.assertEqual(depth["waiting"] + depth["taken"] + depth["later"], 2)
        self.assertEqual(kills, 3)
        done = kit.tgdata(*words)
        self.assertEqual(done.code, 0, done)
        depth = kit.tgdata("enqueue", "--queue", queue, "--json").json()
        self.assertEqual(depth, {"waiting": 0, "taken": 0, "later": 0, "dead": 0})
        self.check_read()
        channel, group = self.channel(0)
        found = self.rows()
        self.assertEqual([r["id"] for r in found if r["chat_id"] == group["id"]],
                         self.sim.ids(group["id"]))
        self.check_comments(group, channel, [r for r in found if r["chat_id"] == group["id"]])


if __name__ == "__main__":
    kit.main()
