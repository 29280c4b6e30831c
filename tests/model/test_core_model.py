"""The C core against the model: any sequence of messages, times and full links gives the same bytes.

After every step the pending output of every link, the effects, the states of all tasks and the gauges are
compared, and gn_core_check walks every table. At the end the journal, from the last whole checkpoint on, is fed to a
fresh core, which must hold the same table.

A step is a kind and a seed: what exactly is sent is drawn by random.Random(seed) from what there is at that
moment, so that most steps mean something. Hypothesis chooses, repeats and removes steps.
"""

from __future__ import annotations

import random
from contextlib import suppress

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from model.burying import Burying
from model.draws import (
    ACTIONS,
    FAULTS,
    KINDS,
    LIMITED,
    NAMES,
    NEEDS,
    PAYLOADS,
    PEERS,
    PLACES,
    SCHEDULES,
    SUBMISSION,
    TIMES,
    UNPLANNED,
)
from model.late import keep
from model.model import Model
from model.native import CLOSE, DRAINED, OPEN, SHARED, STREAM, Core
from model.replaying import Replaying
from model.streaming import Streaming
from model.things import ENDED, MS, NEVER, Config, Link, Peer, Task


class NotRead(Exception):
    """The core does not read on from a stream that does not take its answers: the message was not sent."""


class CoreAndModel(Burying, Streaming, Replaying, RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.config = Config()
        self.core = Core(**vars(self.config))
        self.model = Model(self.config)
        self.numbers: dict[Link, int] = {}
        self.shared = self.core.open(SHARED)
        self.journal = b""
        self.steps = 0
        self.drained = False
        self.tokens: dict[str, list[int]] = {}  # every token a task ever had

    @initialize()
    def first(self) -> None:
        for _ in range(3):
            self.open_link(random.Random(0))
        self.enlist(self.streams()[0], "p1", "1", ["A"], 2)
        self.enlist(None, "p2", "1", ["A", "B"], 3)

    @rule(kind=st.sampled_from(sorted(KINDS.elements())), seed=st.integers(0, (1 << 32) - 1))
    def step(self, kind: str, seed: int) -> None:
        event(kind)
        self.steps += 1
        with suppress(NotRead):
            getattr(self, kind)(random.Random(seed))
        self.agree()

    # ---- links ----

    def open_link(self, r: random.Random) -> None:
        if len(self.numbers) < 8:
            self.numbers[Link()] = self.core.open(STREAM)

    def streams(self) -> list[Link]:
        streams = [link for link in self.numbers if not link.address]
        if not streams:
            self.numbers[Link()] = self.core.open(STREAM)
        return streams or self.streams()

    def a_link(self, r: random.Random) -> Link | None:
        """Who asks: a stream, a peer that writes to the shared link (its own link), or None: nobody, there."""
        opened = [link for link in self.numbers if link.address and link.peer is not None]
        return r.choice([None, r.choice(self.streams()), r.choice(self.streams()), *opened[:1]])

    def a_peer(self, r: random.Random) -> Peer | None:
        return r.choice(list(self.model.peers.values())) if self.model.peers else None

    def a_name(self, r: random.Random, *states: str) -> str:
        known = [t.name for t in self.model.tasks.values() if not states or t.state in states]
        return r.choice(known) if known and r.random() < 0.9 else r.choice(NAMES)

    def send(self, link: Link | None, line: str) -> None:
        stream = link is not None and not link.address
        if link is not None and link.address:
            assert link.peer is not None
            fields = line.split(":", 3)
            fields[2:3] = [f"{''.join(fields[2:3])};from={link.peer.name}"]
            line = ":".join(fields)
        data = line.encode() + b"\n"
        number = self.numbers[link] if link is not None and stream else self.shared
        full = link is not None and stream and len(link.out) > self.config.out_bytes_max
        assert self.core.feed(number, data, final=not stream) == (0 if full else len(data))
        if full:
            raise NotRead
        if link is not None and link.peer is not None:
            self.model.heard(link.peer)

    def agree(self) -> None:
        """The model has done what was fed: settle it and compare all there is."""
        self.model.settle()
        effects = list(self.core.effects())
        if self.model.draining and not self.drained and not self.unfinished():
            self.drained = True
            assert effects.pop() == (DRAINED, -1, "")
        for (kind, number, text), (word, link) in zip(effects, self.model.effects, strict=True):
            if word == "open":
                assert (kind, text) == (OPEN, link.address)
                self.numbers[link] = number
            else:
                assert (kind, number) == (CLOSE, self.numbers[link])
        closed = [link for word, link in self.model.effects if word == "close"]
        self.model.effects.clear()
        for link, number in self.numbers.items():
            assert self.core.output(number)[0] == bytes(link.out), link.address or number
        for link in closed:
            self.core.closed(self.numbers.pop(link))
        self.compare_tasks()
        self.journal += self.core.journal()

    def unfinished(self) -> int:
        return sum(task.state not in ENDED for task in self.model.tasks.values())

    def compare_tasks(self) -> None:
        model, gauges = self.model, self.core.gauges()
        for name, task in model.tasks.items():
            view = self.core.task(name)
            assert view is not None, name
            assert view["state"] == task.state, (name, view, task)
            assert view["action"] == task.action
            assert view["agent"] == (task.agent.name if task.agent else "")
            assert view["token"] == task.token
            assert view["tries_used"] == task.tries_used
            assert view["watchers"] == len(task.watchers)
            assert view["stand"] == model.stand(task), name
            assert view["waits_for"] == model.waits(task)
            assert view["reason"] == (task.reason if task.state == "buried" else "")
            assert view["due_us"] == min(task.due, task.ttl_at)
            if task.token:
                self.tokens.setdefault(name, []).append(task.token)
        states = [task.state for task in model.tasks.values()]
        assert gauges["tasks"] == len(states)
        assert gauges["unfinished"] == self.unfinished()
        assert gauges["spent"] == len(model.spent)
        assert gauges["peers"] == len(model.peers)
        keyed = [
            task
            for task in model.tasks.values()
            if task.key and task.state not in ("done", "cancelled")
        ]
        assert gauges["keys"] == len({task.key for task in keyed})
        assert gauges["suspects"] == sum(peer.suspect for peer in model.peers.values())
        assert gauges["adopted"] == model.adopted
        assert gauges["meters"] == len(model.live())
        assert gauges["limits"] == sum(meter.limited for meter in model.meters.values())
        assert gauges["partial_bytes"] == model.partial_bytes()
        assert gauges["parked"] == sum(meter.parked() for meter in model.meters.values())
        assert gauges["edges"] == len(model.edges)
        assert gauges["schedules"] == len(model.schedules)
        assert gauges["links"] == len(self.numbers) + 1
        for state in ("waiting", "delayed", "ready", "leased", "cancelling", *ENDED):
            assert gauges[state] == states.count(state), state
        assert self.core.next_us() == model.next_us()

    def take_output(self, r: random.Random) -> None:
        self.streams()
        link = r.choice(list(self.numbers))
        taken, whole = self.core.output(self.numbers[link], r.choice([1, 40, 300, 1 << 20]))
        assert bytes(link.out).startswith(taken)
        assert not (whole and taken) or taken.endswith(b"\n")
        self.core.sent(self.numbers[link], len(taken))
        self.model.sent(link, len(taken))

    def take_all(self, r: random.Random) -> None:
        for link in list(self.numbers):
            while link.out:
                count = len(link.out)
                self.core.sent(self.numbers[link], count)
                self.model.sent(link, count)

    def lose_link(self, r: random.Random) -> None:
        self.streams()
        link = r.choice(list(self.numbers))
        self.model.close(link)
        self.model.effects.clear()
        self.core.closed(self.numbers.pop(link))

    # ---- time ----

    def pass_time(self, r: random.Random) -> None:
        now = self.model.now + r.choice([1, 100, 250, 700, 1600, 3100, 9000, 21000]) * MS
        self.model.now = self.core.now = now
        if r.random() < 0.7:
            for peer in list(self.model.peers.values()):
                self.beat(peer)
        self.core.tick(now)
        self.model.tick(now)

    def pass_to_next(self, r: random.Random) -> None:
        if (now := self.model.next_us()) < NEVER:
            now = -(-now // MS) * MS  # a journal tells whole ms; tokens come at any time
            self.core.tick(now)
            self.model.tick(now)

    # ---- peers ----

    def register(self, r: random.Random) -> None:
        link = None if r.random() < 0.5 else r.choice(self.streams())
        serves = r.choice([["A"], ["A"], ["A", "B"], ["B", "A", "B"], ["A", "B", "C"], []])
        holds = r.choice([0, 0, 0, 2])
        self.enlist(link, r.choice(PEERS), r.choice("1112"), serves, r.choice([1, 2, 3, 70]), holds)

    def enlist(
        self, link: Link | None, name: str, run: str, serves: list[str], slots: int, holds: int = 0
    ) -> None:
        listed = ",".join(f'"{action}"' for action in serves)
        inbox = "" if link else f'"inbox":"/{name}",'
        self.send(
            link,
            f'CONTROL:REGISTER:{name}:{{{inbox}"actions":[{listed}],"slots":{slots},"run":"{run}"}}',
        )
        code = self.model.register(link, name, run, serves, slots, f"/{name}")
        if code and link is None:
            told = Link(address=f"/{name}")
            self.model.effects.append(("open", told))
            self.model.reject(told, name, code)
            self.model.close(told)
        self.agree()

    def beat(self, peer: Peer) -> None:
        self.send(None if peer.link.address else peer.link, f"CONTROL:HEARTBEAT:{peer.name}")
        self.model.heartbeat(peer)
        self.agree()

    def heartbeat(self, r: random.Random) -> None:
        if (peer := self.a_peer(r)) and r.random() < 0.9:
            self.beat(peer)
        else:
            link = r.choice(self.streams())
            self.send(link, "CONTROL:HEARTBEAT:stranger")
            self.model.reject(link, "stranger", "unknown_sender")

    def beat_list(self, r: random.Random) -> None:
        """A heartbeat with a list: what the peer holds, some left out, some not its own; or one that is none."""
        peer, model = self.a_peer(r), self.model
        if peer is None:
            return
        link = None if peer.link.address else peer.link
        if r.random() < 0.1:
            text = r.choice(
                ["t1", "t1=x", "=1", "t1=1,", "t1=1,,t2=2", "a b=1", "t1=99999999999999999999"]
            )
            self.send(link, f"CONTROL:HEARTBEAT:{peer.name}:{text}")
            model.reject(link, peer.name, "bad_payload")
            return
        claims = [(task.name, task.token) for task in peer.held if r.random() < 0.8]
        if r.random() < 0.4:
            name = self.a_name(r)
            claims.append(
                (name, r.choice([0, 1, 2 << 32, model.token, *self.tokens.get(name, [])]))
            )
        if r.random() < 0.4:
            claims.append((self.a_name(r, "ready"), (2 << 32) + 5))
        tokens = [token for _, token in claims]
        newest = r.choice([None, 0, model.token, model.token, max(tokens, default=0)])
        more = r.random() < 0.2
        params = {} if newest is None else {"token": str(newest)}
        params |= {"more": "1"} if more else {}
        text = ",".join(f"{name}={token}" for name, token in claims)
        self.send(link, f"CONTROL:HEARTBEAT:{peer.name}{Model.text(params)}:{text}")
        model.heartbeat(peer, claims, newest, more)

    def bye(self, r: random.Random) -> None:
        if peer := self.a_peer(r):
            self.send(None if peer.link.address else peer.link, f"CONTROL:BYE:{peer.name}")
            self.model.bye(peer)

    def drain_agent(self, r: random.Random) -> None:
        peer, link = self.a_peer(r), self.a_link(r)
        if peer is None or not peer.actions:
            return
        self.send(link, f"CONTROL:DRAIN:{peer.name}")
        self.model.say(link, f"ACK:DONE:{peer.name}")
        peer.draining = True
        self.model.relist(peer)
        if link is None or link.peer is not peer:
            self.model.say(peer.link, f"CONTROL:DRAIN:{peer.name}")

    # ---- clients ----

    def some(self, r: random.Random, choices: dict[str, list[str]]) -> dict[str, str]:
        chosen = [key for key in choices if r.random() < 0.15]
        r.shuffle(chosen)
        return {key: r.choice(choices[key]) for key in chosen}

    def submit(self, r: random.Random) -> None:
        link = self.a_link(r)
        params = self.some(r, SUBMISSION) if r.random() < 0.7 else {}
        if r.random() < 0.25:
            params["after"] = ",".join(self.a_name(r) for _ in range(r.choice([1, 1, 2, 3])))
            if r.random() < 0.5:
                params["needs"] = r.choice(NEEDS)
        if r.random() < 0.35:
            params["key"] = r.choice("kkl")
        if r.random() < 0.5:
            params["label"] = r.choice(["x", "x", "y", "x,y", "y,x", "x,x"])
        if r.random() < 0.5 and (link is None or link.peer is None):
            params["from"] = r.choice(["g1", "g2"])
        name = "" if r.random() < 0.1 else r.choice(NAMES)
        action, payload = r.choice(ACTIONS), r.choice(PAYLOADS)
        if r.random() < 0.15 and self.model.tasks:  # the same again
            old = r.choice(list(self.model.tasks.values()))
            name, (action, payload) = old.name, old.content
        self.send(link, f"DATA:{action}:{name}{Model.text(params)}:{payload}")
        self.model.submit(link, name, action, payload, params)

    def replace(self, r: random.Random) -> None:
        link, name = self.a_link(r), self.a_name(r, *r.choice(PLACES))
        params = {
            "dup": "replace",
            **(self.some(r, {**SUBMISSION, "dup": ["replace"]}) if r.random() < 0.5 else {}),
        }
        if r.random() < 0.4:
            params["after"] = self.a_name(r, *r.choice([("waiting",), ()]))
        if r.random() < 0.35:
            params["key"] = r.choice("kkl")
        action, payload = r.choice(ACTIONS), r.choice(PAYLOADS)
        self.send(link, f"DATA:{action}:{name}{Model.text(params)}:{payload}")
        self.model.submit(link, name, action, payload, params)

    def nonsense(self, r: random.Random) -> None:
        link, name = self.a_link(r), r.choice(NAMES)
        fault, (code, words) = r.choice(list(FAULTS.items()))
        self.send(link, f"DATA:A:{name};{fault}:x")
        self.model.reject(link, name, code, words)

    def cancel(self, r: random.Random) -> None:
        link, name = self.a_link(r), self.a_name(r)
        self.send(link, f"CONTROL:CANCEL:{name}")
        self.model.cancel(link, name)

    def result(self, r: random.Random) -> None:
        """Of a task that has ended; else the answer is JSON, which the dialogues have."""
        link, name, model = self.a_link(r), self.a_name(r, *ENDED), self.model
        task = model.tasks.get(name)
        if task is not None and task.state not in ENDED:
            return
        self.send(link, f"CONTROL:RESULT:{name}")
        if task is None:
            model.reject(link, name, "unknown_task")
        elif not model.watch(task, link):
            model.reject(link, name, "busy")
        elif link is not None:
            model.deliver(task)

    def pause(self, r: random.Random) -> None:
        link, action, model = self.a_link(r), r.choice(ACTIONS), self.model
        pause = r.random() < 0.3
        self.send(link, f"CONTROL:{'PAUSE' if pause else 'RESUME'}:r2:{action}")
        model.say(link, "ACK:DONE:r2")
        if pause:
            model.paused.add(action)
        elif action in model.paused:
            model.paused.discard(action)
            model.ready_actions.append(action)

    def assign(self, r: random.Random) -> None:
        link, name, peer, model = (
            self.a_link(r),
            self.a_name(r, "ready", "delayed"),
            self.a_peer(r),
            self.model,
        )
        self.send(link, f"CONTROL:ASSIGN_TASK:{name}:{peer.name if peer else 'nobody'}")
        task = model.tasks.get(name)
        if task is None:
            model.reject(link, name, "unknown_task")
        elif task.state not in ("ready", "delayed"):
            model.reject(link, name, "bad_state")
        elif (
            peer is None
            or peer.share is None
            or task.action not in peer.actions
            or not model.room(peer.link)
        ):
            model.reject(link, name, "no_agent")
        elif not model.has_turn(task):
            model.reject(link, name, "bad_state", "another task of its key has the turn")
        elif limit := model.refuses(task):
            model.reject(link, name, "busy", f"{limit.name} is at its limit")
        else:
            model.dispatch(task, peer)
            model.say(link, f"ACK:DONE:{name}")

    def limit(self, r: random.Random) -> None:
        link, model = self.a_link(r), self.model
        name = r.choice(LIMITED)
        rate = r.choice([0, 0, 500, 1000, 2000, 10000])
        burst, bound = r.choice([1, 2, 3]), r.choice([0, 0, 1, 2])
        kind, _, bare = name.partition("/")
        given = f'"{kind}":"{bare}"'
        if rate:
            given += f',"rate":{rate / 1000:g},"burst":{burst}'
        if bound:
            given += f',"running":{bound}'
        self.send(link, f"CONTROL:LIMIT:l:{{{given}}}")
        if model.set_limit(name, rate, burst if rate else 1, bound):
            model.say(link, "ACK:DONE:l")
        else:
            model.reject(link, "l", "busy")

    def limits(self, r: random.Random) -> None:
        link = self.a_link(r)
        self.send(link, "CONTROL:LIMITS:l")
        self.model.say(link, f"RESPONSE:STATE:l;ct=json:{self.model.limits()}")

    def ping(self, r: random.Random) -> None:
        link, payload = self.a_link(r), r.choice(PAYLOADS)
        self.send(link, f"CONTROL:PING:p:{payload}")
        self.model.say(link, f"ACK:PONG:p:{payload}")

    def drain(self, r: random.Random) -> None:
        if self.steps < 50:  # no submission is taken after it
            return
        link = self.a_link(r)
        self.send(link, "CONTROL:DRAIN")
        self.model.say(link, "ACK:DONE")
        self.model.draining = True

    # ---- schedules ----

    def schedule(self, r: random.Random) -> None:
        link, name, payload = self.a_link(r), r.choice(SCHEDULES), r.choice(PAYLOADS)
        if r.random() < 0.15:
            fault, (code, words) = r.choice(list(UNPLANNED.items()))
            self.send(link, f"CONTROL:SCHEDULE:{name};action=A;{fault}:x")
            self.model.reject(link, name, code, words)
            return
        own = {
            "missed": r.choice(["one", "one", "all", "none"]),
            "overlap": r.choice(["skip", "allow", "allow"]),
        }
        params = {"action": r.choice(ACTIONS), **r.choice(TIMES), **own, **self.some(r, SUBMISSION)}
        self.send(link, f"CONTROL:SCHEDULE:{name}{Model.text(params)}:{payload}")
        self.model.schedule(link, name, params, payload)

    def unschedule(self, r: random.Random) -> None:
        link, name = self.a_link(r), r.choice(SCHEDULES)
        self.send(link, f"CONTROL:UNSCHEDULE:{name}")
        self.model.unschedule(link, name)

    def pass_minutes(self, r: random.Random) -> None:
        """So long that agents go, and schedules fall behind."""
        now = self.model.now + r.choice([61, 125, 400]) * 1000 * MS
        self.core.tick(now)
        self.model.tick(now)

    # ---- agents ----

    def a_lease(self, r: random.Random) -> tuple[Link | None, Peer | None, str, int | None]:
        """An outcome's sender, task and token: mostly the right ones."""
        held = [task for task in self.model.tasks.values() if task.agent]
        if r.random() < (0.1 if held else 1.0):
            name, link = self.a_name(r), self.a_link(r)
            return (
                link,
                link.peer if link else None,
                name,
                r.choice([None, 1, *self.tokens.get(name, [])]),
            )
        task = r.choice(held)
        assert task.agent is not None
        link = None if task.agent.link.address and r.random() < 0.5 else task.agent.link
        return (
            link,
            task.agent if link else None,
            task.name,
            r.choice([task.token, task.token, None]),
        )

    def outcome(
        self, r: random.Random, verb: str, params: dict[str, str], payload: str
    ) -> tuple[Task | None, Link | None]:
        """Send an outcome: the task when it is to be applied, and the link it came on."""
        link, peer, name, token = self.a_lease(r)
        given = {"token": str(token), **params} if token is not None else params
        self.send(link, f"RESPONSE:{verb}:{name}{Model.text(given)}:{payload}")
        if verb not in ("PROGRESS", "PARTIAL") and name in self.model.tasks:
            self.model.answered(self.model.tasks[name], peer, token)
        refused = self.model.outcome_code(link, peer, name, token)
        if refused == "stale":
            keep(
                self.model.tasks[name],
                verb,
                token,
                link.peer.name if link and link.peer else "",
                payload,
            )
        return None if refused else self.model.tasks[name], link

    def complete(self, r: random.Random) -> None:
        params, payload = {}, r.choice(PAYLOADS)
        if r.random() < 0.3:
            params = self.some(r, {"via": ["B", "C,A"], "y": ["2"], "x": ["3"], "ct": ["json"]})
            if r.random() < 0.5:
                params["after"] = ",".join(self.a_name(r) for _ in range(r.choice([1, 2])))
            if r.random() < 0.3:
                params["needs"] = r.choice(NEEDS)
        task, link = self.outcome(r, "TASK_COMPLETED", params, payload)
        if task is not None and (code := self.model.completed(task, payload, params)):
            self.model.reject(link, task.name, code)

    def hand_on(self, r: random.Random) -> None:
        """Through another action, behind what may itself be waiting for it."""
        names = [self.a_name(r, "waiting") for _ in range(r.choice([1, 1, 2]))]
        params = {"via": r.choice("BC"), "after": ",".join(names)}
        if r.random() < 0.5:
            params["needs"] = r.choice(NEEDS)
        task, link = self.outcome(r, "TASK_COMPLETED", params, "on")
        if task is not None and (code := self.model.completed(task, "on", params)):
            self.model.reject(link, task.name, code)

    def fail(self, r: random.Random) -> None:
        delay, words = r.choice([None, None, 0, 300]), r.choice(PAYLOADS)
        task, _ = self.outcome(
            r, "TASK_FAILED", {} if delay is None else {"delay": str(delay)}, words
        )
        if task is not None:
            self.model.failed(task, words, delay)

    def release(self, r: random.Random) -> None:
        delay = r.choice([0, 1, 150, 4000])
        task, _ = self.outcome(r, "TASK_RELEASED", {"delay": str(delay)}, "")
        if task is not None:
            self.model.released(task, delay)

    def bury(self, r: random.Random) -> None:
        words = r.choice(PAYLOADS)
        task, _ = self.outcome(r, "TASK_BURIED", {}, words)
        if task is not None:
            self.model.bury(task, "agent", words)


CoreAndModel.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCoreAndModel = CoreAndModel.TestCase
