"""The model's PARTIALs and PROGRESS: who hears them, and what is kept of them for who watches later."""

from __future__ import annotations

from model.tables import Tables
from model.things import Link, Task


class Partials(Tables):
    def forward(self, task: Task, verb: str, seq: int | None, text: str) -> None:
        """`text`: the parameters that are passed on, and the payload."""
        line = f"RESPONSE:{verb}:{task.name}{text}"
        bound = self.config.partial_bytes_max
        if verb == "PROGRESS":
            task.progress = line if size(line) <= bound else ""
        elif seq is not None:
            task.partials.append((seq, line))
            while sum(size(kept) for _, kept in task.partials) > bound:
                del task.partials[0]
        for link in list(task.watchers):
            self.say_if_room(link, line)

    def say_if_room(self, link: Link, line: str) -> None:
        if self.room(link):
            self.say(link, line)

    def replay(self, task: Task, link: Link, first: int) -> None:
        for line in [task.progress, *(line for seq, line in task.partials if seq >= first)]:
            if line:
                self.say_if_room(link, line)

    def partial_bytes(self) -> int:
        kept = [line for task in self.tasks.values() for _, line in task.partials]
        return sum(size(line) for line in kept + [t.progress for t in self.tasks.values()] if line)


def size(line: str) -> int:
    return len(line) + 1
