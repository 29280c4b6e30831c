"""after= and needs= in the model: who waits for whom, what an ended task does to those, and circles."""

from __future__ import annotations

from model.things import TEXTS, Config, Edge, Task

LOST = ("buried", "cancelled")
WORDS_MAX = 320  # GN_WHY_BYTES_MAX
NAME_MAX = 64


class Lattice:
    config: Config
    tasks: dict[str, Task]
    edges: list[Edge]

    def shift(self, task: Task, state: str) -> None:
        raise NotImplementedError

    def bury(self, task: Task, reason: str, words: str) -> None:
        raise NotImplementedError

    def respend(self, task: Task) -> None:
        raise NotImplementedError

    def mine(self, task: Task) -> list[Edge]:
        return [edge for edge in self.edges if edge.who is task]

    def waits(self, task: Task) -> int:
        return sum(not edge.met for edge in self.mine(task))

    def pinned(self, task: Task) -> bool:
        return any(edge.to is task for edge in self.edges)

    def drop(self, edges: list[Edge]) -> None:
        """Newest first."""
        for edge in reversed(edges):
            self.edges.remove(edge)
            self.respend(edge.to)

    def link(self, task: Task, names: str, policy: str) -> str:
        """Edges to all of them, or a code and none."""
        made: list[Edge] = []
        for name in filter(None, names.split(",")):
            other = self.tasks.get(name)
            code = "unknown_task" if other is None or name == task.name else ""
            if not code and len(self.edges) >= self.config.edges_max:
                code = "busy"
            if code or other is None:
                self.drop(made)
                return code
            met = other.state == "done" or (policy == "ended" and other.state in LOST)
            made.append(Edge(task, other, met))
            self.edges.append(made[-1])
            self.respend(other)
        if policy == "any" and any(edge.to.state == "done" for edge in made):
            for edge in made:
                edge.met = True
        task.policy = policy
        return ""

    def lost(self, task: Task) -> bool:
        """Can what it waits for no longer be met?"""
        left = [edge for edge in self.mine(task) if not edge.met]
        lost = [edge for edge in left if edge.to.state in LOST]
        return bool(lost) and (task.policy == "all" or len(lost) == len(left))

    def wake(self, task: Task) -> None:
        for other in dict.fromkeys(
            edge.who for edge in self.edges if edge.to is task and not edge.met
        ):
            if task.state == "done" or other.policy == "ended":
                for edge in self.mine(other):
                    edge.met |= edge.to is task or other.policy == "any"
                if self.waits(other) == 0 and not other.delayed:
                    self.shift(other, "ready")
            elif self.lost(other):
                self.bury(other, "after", task.name)

    def unmeet(self, task: Task) -> None:
        """It was buried and is kicked: who waits for its end waits on."""
        for edge in self.edges:
            if (
                edge.to is task
                and not edge.past
                and (edge.who.policy, edge.who.state) == ("ended", "waiting")
            ):
                edge.met = False

    def missing(self, own: str, names: str) -> str:
        """Which of these no task can wait for, in words."""
        name = next(n for n in names.split(",") if n == own or n not in self.tasks)
        why = "a task cannot wait for itself" if name == own else TEXTS["unknown_task"]
        return f"after={name}: {why}"

    def circle(self, task: Task, names: str) -> str:
        """In words: which of these waits, perhaps through others, for the task. Nearest first."""
        nearer: dict[Task, Task] = {task: task}
        for at in (queue := [task]):
            for edge in self.edges:
                if edge.to is at and not edge.met and edge.who not in nearer:
                    nearer[edge.who] = at
                    queue.append(edge.who)
        named = [self.tasks[n] for n in names.split(",") if n in self.tasks and n != task.name]
        first = next((other for other in named if other in nearer), None)
        if first is None:
            return ""
        words, at = f"after={first.name} closes a circle: {task.name}", first
        while at is not task:
            words += " after "
            if len(words) + 2 * (NAME_MAX + 7) > WORDS_MAX:
                words += "..."
                break
            words, at = words + at.name, nearer[at]
        return f"{words} after {task.name}"
