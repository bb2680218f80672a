#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Schedules against Python's zoneinfo: ten zones, five years of every quarter of an hour, in both
directions; what is printed; what is refused."""
import datetime
import os
import pathlib
import re
import shutil
import zoneinfo

from kit import Case, main, tgdata

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTC = datetime.timezone.utc
# Summer time of half an hour, that of winter, Ramadan's, one that was given up within these years.
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
         "Europe/Dublin", "Africa/Casablanca", "America/St_Johns", "Pacific/Chatham",
         "Asia/Tehran", "America/Sao_Paulo"]
BEGIN = datetime.datetime(2018, 1, 1, tzinfo=UTC)
END = datetime.datetime(2023, 1, 1, tzinfo=UTC)  # what has been cannot change any more
QUARTER = datetime.timedelta(minutes=15)
TZDIR = os.environ.get("TZDIR") or "/usr/share/zoneinfo"
zoneinfo.reset_tzpath([TZDIR])


def runs(schedule, zone, begin=BEGIN, end=END):
    """All (instant, local text) behind begin, up to end."""
    after = begin
    while True:
        done = tgdata("schedule", "next", schedule, "--tz", zone, "--json", "--count", 100000,
                      "--from", after.strftime("%Y-%m-%dT%H:%M:%SZ"))
        if done.code:
            raise AssertionError(str(done))
        for run in done.json():
            at = datetime.datetime.fromisoformat(run["time"].replace("Z", "+00:00"))
            if at > end:
                return
            yield at, run
            after = at


def local_minutes(zone):
    """The instants of every quarter of an hour that clocks show, each once; of those that they
    skip, the instant when they jumped."""
    zone, found = zoneinfo.ZoneInfo(zone), set()
    local = BEGIN.replace(tzinfo=None) - datetime.timedelta(days=1)
    while local < END.replace(tzinfo=None) + datetime.timedelta(days=1):
        at = local.replace(tzinfo=zone).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) != local:  # skipped: the jump lies behind it
            at = jump(zone, at - datetime.timedelta(hours=26), at + datetime.timedelta(hours=26),
                      local)
        found.add(at)
        local += QUARTER
    return sorted(at for at in found if BEGIN < at <= END)


def jump(zone, low, high, local):
    """The first instant at which clocks show more than that."""
    while high - low > datetime.timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) > local:
            high = middle
        else:
            low = middle
    return high


class Zones(Case):
    sim_args = None

    def setUp(self):
        super().setUp()
        if not pathlib.Path(TZDIR, "Europe/Berlin").exists():
            self.skipTest(f"no time zones in {TZDIR}")

    def test_what_clocks_show(self):
        for name in ZONES:
            with self.subTest(name):
                zone, n, changes, last = zoneinfo.ZoneInfo(name), 0, 0, None
                for n, (at, run) in enumerate(runs("every 15 minutes", name), 1):
                    want = at.astimezone(zone)
                    self.assertEqual(run["local"], want.isoformat())
                    self.assertEqual(run["zone"], want.tzname())
                    changes += last not in (None, want.utcoffset())
                    last = want.utcoffset()
                self.assertEqual(n, (END - BEGIN) // QUARTER)
                self.assertGreaterEqual(changes, 0 if name == "Asia/Kathmandu" else 3)

    def test_times_of_day_run_once_also_where_they_are_skipped_or_doubled(self):
        for name in ZONES:
            with self.subTest(name):
                got = [at for at, _ in runs("0-59/15 0-23 * * *", name)]
                self.assertEqual(got, local_minutes(name))

    def test_a_star_follows_the_wall_clock(self):
        for name in ZONES:
            with self.subTest(name):
                zone, at, want = zoneinfo.ZoneInfo(name), BEGIN, []
                while at < END:
                    at += QUARTER
                    local = at.astimezone(zone)
                    if local.minute == 30 and local.hour % 2 == 0:
                        want.append(at)
                self.assertEqual([at for at, _ in runs("30 */2 * * *", name)], want)

    def test_a_day_that_never_was(self):
        """Samoa went over the date line: no 30 December 2011."""
        begin = datetime.datetime(2011, 12, 29, 0, tzinfo=UTC)
        got = [run["local"] for _, run in runs("12:00", "Pacific/Apia", begin,
                                               begin + datetime.timedelta(days=3))]
        self.assertEqual(got, ["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00",
                               "2011-12-31T12:00:00+14:00", "2012-01-01T12:00:00+14:00"])

    def test_every_zone_there_is(self):
        at = datetime.datetime(2037, 7, 1, tzinfo=UTC)
        for name in sorted(zoneinfo.available_timezones()):
            if not re.match(r"[A-Z]\w+/", name):
                continue
            with self.subTest(name):
                done = tgdata("schedule", "next", "every 1 day", "--tz", name, "--json",
                              "--from", at.strftime("%Y-%m-%d"), "--count", 1)
                got = datetime.datetime.fromisoformat(done.json()[0]["local"])
                self.assertEqual(got.utcoffset(),
                                 got.astimezone(zoneinfo.ZoneInfo(name)).utcoffset())


class Words(Case):
    sim_args = None

    def test_what_is_printed(self):
        done = tgdata("schedule", "next", "02:30", "--tz", "Europe/Berlin", "--from", "2025-03-29",
                      "--count", 2)
        self.assertEqual(done.out.splitlines(), [
            "RUNS AT                      ZONE    IN",
            "2025-03-29 02:30:00 +01:00   CET     1 h 30 min",
            "2025-03-30 03:00:00 +02:00   CEST    25 h 0 min      clocks jump over its time: it "
            "runs then"])
        done = tgdata("schedule", "check", "02:30", "--from", "2025-01-01", env={
            "TGDATA_TZ": "Europe/Berlin"})
        self.assertIn("Runs 366 times in 366 days, first 2025-01-01 02:30:00 +01:00, 23 h 30 min "
                      "to 25 h 0 min apart.\nClocks are changed at 2 of them:\n", done.out)
        done = tgdata("schedule", "check", "every 1 second", "--json")
        self.assertEqual(done.json()["runs"], 600000)
        done = tgdata("schedule", "check", "0 0 29 2 *", "--from", "2025-01-01", "--json")
        self.assertEqual(done.json(), {"time_zone": "UTC", "days": 366, "runs": 0,
                                       "preferred": 0, "put_off": 0,
                                       "clock_changes": [], "clock_changes_total": 0})

    def test_runs_that_give_way(self):
        begin = datetime.datetime(2026, 11, 29, tzinfo=UTC)
        give = ["--avoid", "09:00-12:00,16:00-17:00", "--prefer", "14:00", "--maintenance",
                "2026-11-30T00:00/2026-11-30T05:30"]
        done = tgdata("schedule", "next", "every 6 hours", "--from", "2026-11-29", "--count", 6,
                      "--json", *give)
        self.assertEqual([(run["time"][5:16], run["why"]) for run in done.json()], [
            ("11-29T06:00", None), ("11-29T14:00", "preferred"), ("11-29T18:00", None),
            ("11-30T05:30", "put_off"), ("11-30T06:00", None), ("11-30T14:00", "preferred")])
        done = tgdata("schedule", "check", "every 1 hour", "--from", "2026-11-29", "--json", *give)
        self.assertEqual(done.json()["put_off"], 1)
        seen = set()
        for name in ("a", "b"):
            words = ["schedule", "next", "every 1 hour", "--jitter", "10m", "--name", name,
                     "--from", begin.strftime("%Y-%m-%d"), "--count", 50, "--json"]
            first = [run["time"] for run in tgdata(*words).json()]
            self.assertEqual(first, [run["time"] for run in tgdata(*words).json()])
            late = [(datetime.datetime.fromisoformat(t.replace("Z", "+00:00")) - begin).seconds
                    % 3600 for t in first]
            self.assertLessEqual(max(late), 600)
            self.assertGreater(len(set(late)), 30)
            seen |= set(first)
        self.assertGreater(len(seen), 90)

    def test_what_is_refused(self):
        damaged = self.dir / "Europe"
        damaged.mkdir()
        (damaged / "Berlin").write_bytes(b"TZif2" + bytes(60))
        table = [
            (["next", "0 25 * * *"], 2, "'25' is no hour of a schedule"),
            (["check", "sometimes"], 2, "'sometimes' is no schedule"),
            (["next", "0 0 30 2 *"], 2, "never comes"),
            (["next", "02:00", "--tz", "Europe/Atlantis"], 3, "no time zone 'Europe/Atlantis'"),
            (["next", "02:00", "--tz", "../../etc/passwd"], 3, "there is no time zone"),
            (["next", "02:00", "--tz", "Europe"], None, "Europe"),
            (["next", "02:00", "--avoid", "09:00"], 2, "no window of time to avoid"),
            (["next", "02:00", "--avoid", "00:00-12:00", "--avoid", "12:00-00:00"], 2,
             "leave no time of the day"),
            (["next", "02:00", "--prefer", "noon"], 2, "no time of day to prefer"),
            (["next", "02:00", "--maintenance", "2026-12-24"], 2, "no window of maintenance"),
            (["next", "02:00", "--maintenance", "2026-12-24/2026-12-23"], 2, "ends before it"),
            (["plan", "02:00"], 2, "it can next, check, run"),
            (["next"], 2, "an argument is missing"),
        ]
        for words, code, text in table:
            with self.subTest(words):
                done = tgdata("schedule", *words)
                self.assertEqual(done.code, code or done.code)
                self.assertNotEqual(done.code, 0)
                self.assertIn(text, done.err)
        done = tgdata("schedule", "next", "02:00", "--tz", "Europe/Berlin",
                      env={"TZDIR": str(self.dir)})
        self.assertEqual(done.code, 7)
        self.assertIn("time zone data cannot be read", done.err)
        shutil.rmtree(damaged)

    def test_the_examples_of_the_page(self):
        """Each line of tgdata in docs/scheduling.md, with what stands below it."""
        page = (ROOT / "docs/scheduling.md").read_text(encoding="utf-8")
        seen = 0
        for block in re.findall(r"```console\n(.*?)```", page, flags=re.S):
            for line, want in re.findall(r"^\$ tgdata (.*)\n((?:[^$].*\n)*)", block, flags=re.M):
                words = [a or b for a, b in re.findall(r"'([^']*)'|(\S+)", line)]
                done = tgdata(*words)
                self.assertEqual(done.out + done.err, want, line)
                seen += 1
        self.assertGreaterEqual(seen, 4)


if __name__ == "__main__":
    main()
