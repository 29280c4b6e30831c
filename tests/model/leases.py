"""The model's liveness: who is heard, who is suspect, and what an agent says it holds."""

from __future__ import annotations

from model.tables import Tables
from model.things import Peer, Task

MISSING_MAX = 2  # lists in a row without a task, and its lease is no longer extended


class Leases(Tables):
    def heard(self, peer: Peer) -> None:
        peer.heard = self.now
        if peer.suspect:
            peer.suspect = False
            self.relist(peer)
            self.mark(peer)
            self.arm_agent(peer)

    def heartbeat(
        self,
        peer: Peer,
        claims: list[tuple[str, int]] | None = None,
        newest: int | None = None,
        more: bool = False,
    ) -> None:
        """Without `claims` it extends all; with them, those named (and `newest` says what is on its way)."""
        self.heard(peer)
        peer.beat, peer.lists = self.now, claims is not None
        self.say(peer.link, f"ACK:PONG:{peer.name};epoch={self.config.epoch}")
        for name, token in claims or []:
            self.take_claim(peer, name, token)
        if claims is not None and not more:
            self.end_list(peer, newest)

    def take_claim(self, peer: Peer, name: str, token: int) -> None:
        task = self.tasks.get(name)
        if task is not None and self.is_free_for(peer, task, token) and self.take_turn(task):
            self.revive(task, peer, token)
        if task is None or task.agent is not peer or task.token != token:
            self.say(peer.link, f"CONTROL:CANCEL:{name};token={token}")
            return
        task.listed, task.listed_at, task.missing = peer.list, self.now, 0

    def revive(self, task: Task, peer: Peer | None, token: int) -> None:
        """A lease of an earlier run, of an agent or (when only its outcome is there) of nobody."""
        self.adopted += 1
        task.tries_used += 1
        task.leased_at = self.now
        task.due = self.now + task.lease
        self.shift(task, "leased")
        task.token, task.handed_out = token, True
        if peer is not None:
            self.hold(task, peer, token)

    def answered(self, task: Task, peer: Peer | None, token: int | None) -> None:
        """The outcome of a lease of an earlier run: it counts when nobody was handed the task since."""
        if token is not None and self.is_free_for(peer, task, token) and self.take_turn(task):
            self.revive(task, peer, token)

    def is_free_for(self, peer: Peer | None, task: Task, token: int) -> bool:
        """Whether a lease of an earlier coordinator may be taken over. (Leases of a journal: the replay's test.)"""
        old = token != 0 and token >> 32 != self.config.epoch & 0xFFFFF
        fresh = (
            task.state == "ready" and not task.handed_out and task.entered_at == task.accepted_at
        )
        return fresh and old and (peer is None or task.action in peer.actions)

    def end_list(self, peer: Peer, newest: int | None) -> None:
        for task in list(peer.held):
            if task.listed == peer.list or (newest is not None and self.on_its_way(task, newest)):
                continue
            task.missing += 1
            if task.missing >= MISSING_MAX and newest is not None:
                self.lose(task, "lease")
            elif task.missing == MISSING_MAX and task.state == "leased":
                task.due = max(task.listed_at, task.leased_at) + task.lease
                self.arm(task)
        peer.list += 1
        if peer.claiming:
            peer.claiming = False
            self.relist(peer)
            self.mark(peer)

    def on_its_way(self, task: Task, newest: int) -> bool:
        run = self.token >> 32
        return task.token >> 32 == run and (newest >> 32 != run or task.token > newest)
