# SPDX-License-Identifier: MIT
"""What a job of changes should have delivered, and whether it did.

A destination's rows, whoever reads them, become the state of the world as they tell it; the
simulator's files say how the world is (docs/simulator.md):

    state_of(rows)               {(chat, id): Seen}: the last change of each message
    Truth(sim)                   the same from live-CHAT.txt; changes() from changes.txt
    compare(state, truth)        lines that say what is missing, stale, there though it is gone
    latencies(...)               from a change to the commit that brought it

A message's content is compared by the hash of its text, with its edit date and its reactions, as
the simulator tells them; same_as_read() compares all columns with those of an extraction that was
made afterwards.
"""
import collections
import datetime
import hashlib
import json

KINDS = {"posted": "new", "edited": "edited", "reacted": "reactions", "deleted": "deleted"}
COMPARED = ("owner", "kind", "date", "edit_date", "content_hash", "sender_id", "text", "entities",
            "reply_to_id", "media_kind", "media_id", "reactions", "action", "action_data")

Seen = collections.namedtuple("Seen", "gone text edited reactions row")
Change = collections.namedtuple("Change", "us chat kind pts ids")


def unix(told):
    """A time as outputs write it: ISO 8601, or what a driver makes of it."""
    if told is None:
        return 0
    if isinstance(told, (int, float)):
        return int(told)
    if isinstance(told, datetime.datetime):
        return int(told.replace(tzinfo=told.tzinfo or datetime.timezone.utc).timestamp())
    at = datetime.datetime.fromisoformat(str(told).replace("Z", "+00:00"))
    return int(at.replace(tzinfo=at.tzinfo or datetime.timezone.utc).timestamp())


def parsed(told):
    return json.loads(told) if isinstance(told, str) else told


def digest(text):
    return hashlib.sha256((text or "").encode()).hexdigest()[:16]


def seen(row):
    gone = row.get("change") == "deleted"
    counts = parsed(row.get("reactions")) or []
    return Seen(gone, None if gone else digest(row.get("text")), unix(row.get("edit_date")),
                sum(r["count"] for r in counts), row)


def state_of(rows, ordered=True):
    """Of a log the last change of each message counts; of a table there is but one row for each.

    @param ordered  rows come as they were delivered: their numbers ascend, each comes once
    """
    state, last = {}, 0
    for row in rows:
        key, seq = (row["chat_id"], row["id"]), row["change_seq"]
        if ordered and seq <= last:
            raise AssertionError(f"change {seq} of {key} comes after change {last}")
        last = seq
        before = state.get(key)
        if before and before.row["change_seq"] == seq:
            raise AssertionError(f"change {seq} of {key} comes twice")
        if before is None or before.row["change_seq"] < seq:
            state[key] = seen(row)
    return state


class Truth:
    """Of a simulator with --truth and --live that stands still: its statistics were just asked."""

    def __init__(self, sim):
        self.dir = sim.dir
        self.silent = {c["id"] for c in sim.world["chats"] if c.get("silent")}

    def state(self, chats):
        """@param chats: marked ids"""
        state = {}
        for chat in chats:
            with (self.dir / f"live-{chat}.txt").open(encoding="ascii") as lines:
                for line in lines:
                    message, text, *numbers = line.split()
                    state[chat, int(message)] = (
                        Seen(True, None, 0, 0, None) if text == "-"
                        else Seen(False, text, int(numbers[0]), int(numbers[1]), None))
        return state

    def changes(self, chats=None):
        found = []
        with (self.dir / "changes.txt").open(encoding="ascii") as lines:
            for line in lines:
                us, chat, kind, pts, ids = line.split()
                if chats is None or int(chat) in chats:
                    found.append(Change(int(us), int(chat), kind, int(pts),
                                        [int(i) for i in ids.split(",")]))
        return found


def compare(state, truth, touched=None):
    """@param touched  the (chat, id) that must be there, or have been deleted; None: all of them
       @return lines, one for each message that is wrong"""
    wrong = []
    for key, real in truth.items():
        mine = state.get(key)
        if real.gone:
            if mine and not mine.gone:
                wrong.append(f"{key} was deleted, and is there as change {mine.row['change_seq']}")
        elif mine is None:
            if touched is None or key in touched:
                wrong.append(f"{key} is missing")
        elif mine.gone:
            wrong.append(f"{key} was not deleted, but is by change {mine.row['change_seq']}")
        elif (mine.text, mine.edited, mine.reactions) != real[1:4]:
            wrong.append(f"{key} is old: {mine[1:4]}, not {real[1:4]}, by change "
                         f"{mine.row['change_seq']}")
    # where the job's memory was lost, each id that does not exist is told as deleted
    return wrong + [f"{key} was never there" for key in state.keys() - truth.keys()
                    if not state[key].gone]


def same_as_read(state, rows):
    """Compares with rows that were extracted afterwards. @return lines"""
    wrong = []
    for row in rows:
        mine = state.get((row["chat_id"], row["id"]))
        if mine is None or mine.gone:
            wrong.append(f"({row['chat_id']}, {row['id']}) is missing")
            continue
        for name in COMPARED:
            mine_is, theirs = mine.row.get(name), row.get(name)
            if name in ("date", "edit_date"):
                mine_is, theirs = unix(mine_is), unix(theirs)
            elif name in ("entities", "reactions", "action_data"):
                mine_is, theirs = parsed(mine_is), parsed(theirs)
            if mine_is != theirs:
                wrong.append(f"({row['chat_id']}, {row['id']}) has {name} {mine_is!r}, "
                             f"not {theirs!r}")
    return wrong


# ---- how long it took ----

def file_commits(out):
    """Of a destination of files: (number of its last change, microseconds) of each commit. A part
    gets its name with its commit, and the time of that is what its inode changed last."""
    found = []
    for manifest in sorted(out.glob("chat_0/part-*.json")):
        told = json.loads(manifest.read_text(encoding="utf-8").splitlines()[-1])
        part = manifest.parent / told["file"]
        if part.exists():
            found.append((told["commit"]["id"], part.stat().st_ctime_ns // 1000))
    return found


def latencies(changes, rows, commits, silent=(), within=None):
    """
    From a change until the commit of the first row of its message that is no older.

    @param rows     all that are there, in any order
    @param commits  (number of its last change, Unix microseconds), ascending
    @param silent   chats of which nothing is pushed
    @param within   whether a change of that time counts; None: each does
    @return ({"pushed": [microseconds], "polled": [...]}, how many changes no row tells of)
    """
    arrived = collections.defaultdict(list)
    at = 0
    for row in sorted(rows, key=lambda r: r["change_seq"]):
        while at < len(commits) and commits[at][0] < row["change_seq"]:
            at += 1
        if at < len(commits):
            arrived[row["chat_id"], row["id"]].append((row.get("change_pts"), commits[at][1]))
    took, lost = {"pushed": [], "polled": []}, 0
    for change in changes:
        if within and not within(change.us):
            continue
        into = took["polled" if change.chat in silent else "pushed"]
        for message in change.ids:
            when = next((us for pts, us in arrived.get((change.chat, message), ())
                         if us >= change.us and (pts is None or pts >= change.pts)), None)
            if when is None:
                lost += 1
            else:
                into.append(when - change.us)
    return took, lost


def percentile(all_us, p):
    """In milliseconds."""
    all_us = sorted(all_us)
    return all_us[min(len(all_us) - 1, len(all_us) * p // 100)] / 1000


def told(took):
    """For people."""
    return [f"{kind}: {len(all_us)} changes, " + ", ".join(
                f"p{p} {percentile(all_us, p):.0f} ms" for p in (50, 95, 99))
            for kind, all_us in took.items() if all_us]
