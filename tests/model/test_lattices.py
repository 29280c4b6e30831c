"""Lattices of tasks: chains, fan-outs, fan-ins, via with after, whatever their outcomes. All end, each as needs= says.

A plan is drawn, run through the core to its end with one agent, and what happened is held against the words of SPEC.md:
no task runs before what it waits for allows it, none is given up while it could still run, and an outcome is a failed
try exactly when what it names waits, perhaps through others, for its own task.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st
from model.native import STREAM, Core

ENDED = ("done", "buried", "cancelled")
LOST = ("buried", "cancelled")
POLICIES = ("all", "ended", "any")
SIZE = 12
STEPS_MAX = 2000  # far more than any plan takes


@dataclass(frozen=True)
class Wait:
    names: tuple[str, ...]
    policy: str


@dataclass(frozen=True)
class Answer:
    """What the agent says when it is handed the task: verb, and what it goes on behind."""

    verb: str
    wait: Wait | None = None
    further: bool = False  # through another action


@dataclass(frozen=True)
class Plan:
    wait: Wait | None
    params: str
    answers: tuple[Answer, ...]  # one a try; behind them it is done


def waits(names: st.SearchStrategy[int]) -> st.SearchStrategy[Wait]:
    some = st.lists(names, min_size=1, max_size=4).map(lambda found: tuple(f"t{i}" for i in found))
    return st.builds(Wait, some, st.sampled_from(POLICIES))


def answers(size: int) -> st.SearchStrategy[Answer]:
    plain = st.sampled_from(["TASK_COMPLETED", "TASK_FAILED", "TASK_BURIED", "TASK_RELEASED"]).map(
        Answer
    )
    on = st.builds(
        Answer,
        st.just("TASK_COMPLETED"),
        st.none() | waits(st.integers(0, size - 1)),
        st.just(True),
    )
    return st.one_of(plain, on, on)


@st.composite
def plans(draw: st.DrawFn) -> list[Plan]:
    made, size = [], draw(st.integers(2, SIZE))
    for i in range(size):
        wait = draw(waits(st.integers(0, i - 1))) if i and draw(st.booleans()) else None
        params = draw(
            st.sampled_from(
                ["", "", ";tries=1", ";tries=2;retry=5,7", ";delay=3", ";ttl=40", ";via=B,A"]
            )
        )
        made.append(Plan(wait, params, tuple(draw(st.lists(answers(size), max_size=4)))))
    return made


@dataclass
class Run:
    """The core, one agent, one client; what every task waits for at its action, as it was asked."""

    plans: list[Plan]
    core: Core = field(default_factory=lambda: Core(seed=1, keep_ms=1 << 30, tries=2))
    waits: dict[str, Wait] = field(default_factory=dict)
    held: list[tuple[str, str]] = field(default_factory=list)  # task, token
    given: dict[str, int] = field(default_factory=dict)  # how often it was handed out
    cancelled: set[str] = field(default_factory=set)
    submitted: int = 0

    def __post_init__(self) -> None:
        self.agent, self.client = self.core.open(STREAM), self.core.open(STREAM)
        self.tell(self.agent, 'CONTROL:REGISTER:up:{"actions":["A","B"],"slots":3}')

    def tell(self, link: int, line: str) -> None:
        assert self.core.feed(link, f"{line}\n".encode()) == len(line) + 1
        self.hear()

    def hear(self) -> None:
        self.core.take(self.client)
        for line in self.core.take(self.agent).decode().splitlines():
            verb, _, rest = line.partition(":")
            name = rest.split(":")[1].split(";")[0]
            if verb == "DATA":
                self.handed(name, line.split(";token=")[1].split(":")[0])
            elif line.startswith("CONTROL:CANCEL") and self.state(name) in ENDED:
                self.held = [lease for lease in self.held if lease[0] != name]

    def state(self, name: str) -> str:
        task = self.core.task(name)
        return "unknown" if task is None else str(task["state"])

    def handed(self, name: str, token: str) -> None:
        self.given[name] = self.given.get(name, 0) + 1
        self.held = [lease for lease in self.held if lease[0] != name] + [(name, token)]
        if wait := self.waits.get(name):
            states = [self.state(other) for other in wait.names]
            met = {
                "all": all(s == "done" for s in states),
                "ended": all(s in ENDED for s in states),
            }
            assert met.get(wait.policy, "done" in states), (name, wait, states)

    def submit(self) -> None:
        plan, name = self.plans[self.submitted], f"t{self.submitted}"
        self.submitted += 1
        if plan.wait:
            self.waits[name] = plan.wait
        self.tell(self.client, f"DATA:A:{name}{plan.params}{self.after(plan.wait)}:x")
        assert self.state(name) != "unknown"

    @staticmethod
    def after(wait: Wait | None) -> str:
        return f";after={','.join(wait.names)};needs={wait.policy}" if wait else ""

    def cancel(self, name: str) -> None:
        if self.state(name) not in ("done", "cancelled"):
            self.cancelled.add(name)
        self.tell(self.client, f"CONTROL:CANCEL:{name}")

    def answer(self, at: int) -> None:
        name, token = self.held.pop(at % len(self.held))
        told = self.plans[int(name[1:])].answers
        answer = (
            told[self.given[name] - 1]
            if self.given[name] <= len(told)
            else Answer("TASK_COMPLETED")
        )
        wait, before = answer.wait, self.waits.get(name)
        unknown = wait is not None and any(
            self.state(n) == "unknown" or n == name for n in wait.names
        )
        circle = wait is not None and not unknown and self.reaches(wait.names, name)
        running = self.state(name) == "leased"
        if answer.further:
            self.waits.pop(name, None)
            if wait and not unknown and not circle:
                self.waits[name] = wait
        elif answer.verb == "TASK_COMPLETED":
            self.waits.pop(name, None)  # via= goes on
        if (unknown or circle or answer.verb != "TASK_COMPLETED") and before:
            self.waits[name] = before
        via = ";via=B" if answer.further else ""
        self.tell(
            self.agent, f"RESPONSE:{answer.verb}:{name};token={token}{via}{self.after(wait)}:y"
        )
        if circle and running:
            event("circle")
            assert self.state(name) in ("delayed", "buried"), "a failed try"
        elif wait and running and not unknown:
            assert self.state(name) not in ("delayed",), "it goes on"

    def reaches(self, names: tuple[str, ...], goal: str) -> bool:
        """Does any of these wait, perhaps through others, for goal?"""
        seen, todo = set(names), list(names)
        for name in todo:
            wait = self.waits.get(name)
            if self.state(name) != "waiting" or wait is None:
                continue
            left = {n for n in wait.names if self.unmet(n, wait.policy)}
            todo += sorted(left - seen)
            seen |= left
        return goal in seen

    def unmet(self, name: str, policy: str) -> bool:
        return self.state(name) not in (ENDED if policy == "ended" else ("done",))

    def step(self, choice: int) -> None:
        """One thing of those that can happen now."""
        known = [f"t{i}" for i in range(self.submitted)]
        if choice % 11 == 0 and known:
            self.cancel(known[choice // 11 % len(known)])
        elif self.submitted < len(self.plans) and (choice % 3 == 0 or not self.held):
            self.submit()
        elif self.held:
            self.answer(choice)
        else:
            self.core.tick(self.core.next_us())
            self.hear()


@settings(max_examples=300, deadline=None)
@given(plans=plans(), choices=st.lists(st.integers(1, 1000), max_size=60))
def test_every_task_ends_as_its_policy_says(plans: list[Plan], choices: list[int]) -> None:
    run = Run(plans)
    for step in range(STEPS_MAX):
        if run.submitted == len(plans) and run.core.gauges()["unfinished"] == 0:
            break
        run.step(choices[step] if step < len(choices) else 1)
    else:
        raise AssertionError("not all of them end")
    for i in range(len(plans)):
        name = f"t{i}"
        task = run.core.task(name)
        assert task is not None
        event(f"{task['state']} {task['reason']}")
        assert task["state"] != "cancelled" or name in run.cancelled
        if task["reason"] != "after":
            continue
        wait = run.waits[name]
        lost = [run.state(other) in LOST for other in wait.names]
        assert {"all": any(lost), "any": all(lost), "ended": False}[wait.policy], (name, wait, lost)
