"""The model's keys: tasks of one key run one at a time, in the order in which they became ready the first time."""

from __future__ import annotations

from model.things import Task


class Keys:
    def __init__(self) -> None:
        self.lines: dict[
            str, list[Task]
        ] = {}  # by key: who has been ready and has not ended; the first has the turn
        self.turns = 0
        self.ready_actions: list[str] = []

    def has_turn(self, task: Task) -> bool:
        """Whether it has the turn of its key, or would have it; True without a key."""
        return not task.key or not self.lines.get(task.key) or self.lines[task.key][0] is task

    def claim(self, task: Task) -> None:
        if task.key and task not in self.lines.setdefault(task.key, []):
            self.lines[task.key].append(task)

    def leave_line(self, task: Task) -> None:
        """Its key's turn is the next one's, if it was this one's."""
        line = self.lines.get(task.key, [])
        if task not in line:
            return
        first = line[0] is task
        line.remove(task)
        if first and line and line[0].state == "ready":
            self.queue(line[0])

    def queue(self, task: Task) -> None:
        """To the end of its action's queue, if it has the turn of its key."""
        if not self.has_turn(task):
            return
        self.turns += 1
        task.turn = self.turns
        self.mark_action(task.action)

    def mark_action(self, action: str) -> None:
        if action not in self.ready_actions:
            self.ready_actions.append(action)

    def leave_queue(self, task: Task) -> None:
        """Out of wherever a ready task stands."""

    def take_turn(self, task: Task) -> bool:
        """To the front of the line: it runs already. False: another one does."""
        if self.has_turn(task):
            return True
        line = self.lines[task.key]
        if line[0].state in ("leased", "cancelling"):
            return False
        line.remove(task)
        before = line[0]
        line.insert(0, task)
        if before.state == "ready":
            self.leave_queue(before)
        self.queue(task)
        return True

    def stand(self, task: Task) -> int:
        """Where a ready task stands, as gn_task_view says it."""
        if task.state != "ready":
            return 0
        return 3 if task.parked else 1 if self.has_turn(task) else 2
