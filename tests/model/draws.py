"""What the model's steps draw from, and how often each kind of step is taken."""

from __future__ import annotations

from collections import Counter

from model.model import NEEDS_ALONE
from model.things import ENDED

ACTIONS = ["A", "A", "A", "B", "C"]
NAMES = [f"t{i}" for i in range(40)]
PEERS = ["p1", "p2", "p3", "p4", "p5"]
NEEDS = ["all", "ended", "any"]
PLACES = [("waiting",), ("delayed",), ("ready",), ENDED, ()]
PAYLOADS = ["", "one", "two", "x" * 60]
SUBMISSION = {
    "prio": ["0", "9", "5"],
    "delay": ["100", "900"],
    "ttl": ["600", "5000"],
    "lease": ["500", "60000"],
    "tries": ["1", "2"],
    "keep": ["0", "700", "60000"],
    "via": ["B", "C,B", "A"],
    "dup": ["reject", "replace", "replace", "existing"],
    "retry": ["50", "300,0", "1,2,4000"],
    "x": ["1"],
    "ct": ["text"],
    "ack": ["0"],
}
FAULTS = {
    "prio=10": ("bad_number", "prio: 0 to 9"),
    "ttl=0": ("bad_number", "ttl: at least 1, at most 4294967295"),
    "tries=x": ("bad_number", "tries: at least 1, at most 65535"),
    "lease=0": ("bad_number", "lease: at least 1, at most 4294967295"),
    "via=b": ("bad_param", "via: action names (A-Z 0-9 _), a comma between two"),
    "label=a,": ("bad_param", "label: 1 to 4 names of letters digits - _ ., a comma between two"),
    "key=": ("bad_param", "key: 1 to 64 bytes"),
    "blob=1": ("bad_param", "blob: <64 hex digits>.<bytes>"),
    "retry=1,": ("bad_param", "retry: milliseconds, at most 4294967295 each, a comma between two"),
    "retry=4294967296": (
        "bad_param",
        "retry: milliseconds, at most 4294967295 each, a comma between two",
    ),
    "needs=any": ("bad_param", NEEDS_ALONE),
    "needs=some;after=t0": ("bad_param", "needs: all, ended or any"),
    "dup=keep": ("bad_param", "dup: existing, reject or replace"),
}
LIMITED = ["action/A", "action/B", "sender/p1", "sender/g1", *["label/x"] * 2, "label/y", "label/z"]
SCHEDULES = ["s1", "s2", "s3"]
TIMES = [
    {"every": "100"},
    {"every": "700"},
    {"every": "1500"},
    {"every": "8000"},
    {"cron": "* * * * *"},
    {"cron": "*/2 * * * THU,FRI", "offset": "-90"},
]
UNPLANNED = {
    "every=99": ("bad_number", "every: at least 100, at most 4294967295"),
    "cron=0 0 30 2 *": ("bad_param", "cron: no such date ever comes"),
    "cron=@daily;every=100": ("bad_param", "cron or every: one of them says when"),
    "every=100;offset=1": ("bad_param", "offset: it goes with cron"),
    "cron=@daily;offset=x": ("bad_number", "offset: minutes east of UTC, -1439 to 1439"),
    "every=100;missed=two": ("bad_param", "missed: one, all or none"),
    "every=100;overlap=": ("bad_param", "overlap: allow or skip"),
    "every=100;action=a": ("bad_param", "action: the name of an action (A-Z 0-9 _) is needed"),
    **{f"every=100;{fault}": refusal for fault, refusal in FAULTS.items()},
}
# How often a kind of step is taken beside the others.
KINDS = Counter(
    {
        "submit": 12,
        "complete": 8,
        "fail": 2,
        "release": 1,
        "bury": 2,
        "progress": 1,
        "partial": 4,
        "watch_from": 2,
        "take_output": 2,
        "take_all": 4,
    }
    | {
        "pass_time": 3,
        "pass_to_next": 2,
        "register": 2,
        "heartbeat": 2,
        "bye": 1,
        "drain_agent": 1,
        "open_link": 1,
    }
    | {
        "lose_link": 1,
        "cancel": 2,
        "watch": 1,
        "result": 1,
        "kick": 1,
        "kick_action": 1,
        "kick_edit": 1,
        "purge": 1,
        "purge_action": 1,
        "pause": 1,
        "assign": 1,
    }
    | {"replace": 3, "hand_on": 3}
    | {"ping": 1, "nonsense": 1, "drain": 1, "beat_list": 4, "limit": 4}
    | {"limits": 1, "late": 3, "checkpoint": 1, "checkpoint_step": 3}
    | {"schedule": 4, "unschedule": 1, "pass_minutes": 1}
)
