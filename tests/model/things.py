"""What the model is made of: its bounds, links, peers and tasks, and the words of refusals and burials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.limits import Berth

MS = 1000
NEVER = (1 << 63) - 1
ENDED = ("done", "buried", "cancelled")

TEXTS = {
    "bad_number": "this parameter is a decimal number within its range",
    "bad_payload": "the payload is not what this verb takes",
    "bad_param": "header parameters are ;key=value with a-z 0-9 _ keys",
    "unknown_task": "no task of this name is known here",
    "unknown_sender": "register first, then send this with from=",
    "bad_state": "the task is not in a state in which this can be done",
    "stale": "that lease is over: the outcome was not applied",
    "exists": "another task holds this name with other content",
    "no_agent": "that agent is not here, does not serve this action or has no free slot",
    "busy": "a table is at its bound: try again later",
    "draining": "the coordinator takes no new tasks: it is draining",
}
REASONS = {
    "ttl": "its time to live is over",
    "tries": "it failed as often as it may be tried",
    "agent": "its agent gave it up",
    "agent_gone": "its agent went away on the last try",
    "lease": "its lease ran out on the last try",
    "after": "a task it waits for was buried or cancelled",
}


@dataclass
class Config:
    seed: int = 7
    epoch: int = 3
    tasks_max: int = 14
    results_max: int = 4
    bytes_max: int = 1 << 20
    watches_max: int = 8
    edges_max: int = 5
    limits_max: int = 7
    schedules_max: int = 2
    partial_bytes_max: int = 150
    peers_max: int = 4
    out_bytes_max: int = 500
    tries: int = 3
    lease_ms: int = 3000
    backoff_ms: int = 200
    backoff_ms_max: int = 1000
    keep_ms: int = 20000
    keep_buried_ms: int = 0
    heartbeat_ms: int = 1000
    agent_timeout_ms: int = 10000
    suspect_ms: int = 3000
    cancel_grace_ms: int = 1500


@dataclass(eq=False, repr=False)
class Link:
    """One connection. `address` when the core asked for it."""

    address: str = ""
    out: bytearray = field(default_factory=bytearray)
    peer: Peer | None = None
    waiting: list[Task] = field(default_factory=list)  # results that wait for room, in order
    watching: list[Task] = field(default_factory=list)
    doomed: bool = False
    closing: bool = False


@dataclass(eq=False, repr=False)
class Peer:
    name: str
    link: Link
    run: str
    actions: list[str] = field(default_factory=list)
    slots: int = 1
    held: list[Task] = field(default_factory=list)
    draining: bool = False
    blocked: bool = False
    suspect: bool = False
    claiming: bool = False
    lists: bool = False  # its last heartbeat had a list
    list: int = 1
    live: bool = True
    share: int | None = None
    since: int = 0  # when it got to its share
    heard: int = 0
    beat: int = 0
    metered: bool = False  # it has submitted something
    timer: tuple[int, int] | None = None


@dataclass(eq=False, repr=False)
class Edge:
    """`who` waits for `to`, or runs after it (then it is met)."""

    who: Task
    to: Task
    met: bool
    past: bool = False  # of an action before


@dataclass
class Late:
    """An outcome that was refused as stale."""

    verb: str
    token: int
    sender: str
    payload: str


@dataclass(eq=False, repr=False)
class Task:
    name: str
    action: str
    payload: str
    params: dict[str, str]  # what is passed on
    content: tuple[str, str]
    key: str
    prio: int
    tries_max: int
    lease: int
    keep: int
    keep_given: bool
    ttl_at: int
    state: str = "none"
    tries_used: int = 0
    token: int = 0
    agent: Peer | None = None
    due: int = NEVER
    delayed: bool = False
    policy: str = "all"
    turn: int = 0
    ran_as: str = ""
    sender: str = ""
    labels: list[str] = field(default_factory=list)
    berth: Berth | None = None
    parked: bool = False
    invitation: int = 0
    leased_at: int = 0
    listed: int = 0
    listed_at: int = 0
    missing: int = 0
    handed_out: bool = False
    entered_at: int = 0  # its action, or again by a kick
    accepted_at: int = 0
    reason: str = ""
    words: str = ""
    result: bytes = b""
    late: Late | None = None
    watchers: list[Link] = field(default_factory=list)
    timer: tuple[int, int] | None = None
    size: int = 0
    partials: list[tuple[int, str]] = field(default_factory=list)  # what is kept: number, line
    progress: str = ""  # the last line, when it is kept

    def forget_stream(self) -> None:
        self.partials, self.progress = [], ""


@dataclass(eq=False, repr=False)
class Schedule:
    name: str
    times: tuple[str, int, int]  # cron, every (ms, 0: cron), offset (minutes)
    base: int  # all times in ms
    upto: int = 0  # all up to here have been dealt with
    due: int = 0  # the next one
    last: int = 0
    fired: int = 0
    missed: int = 0
    action: str = ""
    payload: str = ""
    params: dict[str, str] = field(default_factory=dict)
    on_missed: str = "one"
    overlap: str = "allow"
    together: int = 0  # how many that were due together are still to come
    timer: tuple[int, int] | None = None
