"""The model's schedules: due times are listed one by one, where the core calculates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cronsim import CronSim
from model.leases import Leases
from model.replacing import Replacing
from model.things import ENDED, MS, Link, Schedule

OWN = ("action", "cron", "every", "offset", "missed", "overlap")
BEHIND_MAX = 1000
RETRY = 1000


class Schedules(Leases, Replacing):
    def schedule(self, link: Link | None, name: str, params: dict[str, str], payload: str) -> str:
        """SCHEDULE, its parameters as they stand in the line."""
        times = (
            params.get("cron", ""),
            int(params.get("every", "0")),
            int(params.get("offset", "0")),
        )
        found = self.schedules.get(name)
        if found is None and len(self.schedules) >= self.config.schedules_max:
            return self.reject(link, name, "busy")
        if found is None:
            found = self.schedules[name] = Schedule(name, ("", 0, 0), 0)
        if found.times != times:
            found.times = times
            found.base = found.upto = self.now // MS
            found.due = self.after(found, found.upto)
            found.together = 0
        found.action, found.payload = params["action"], payload
        found.params = {key: value for key, value in params.items() if key not in OWN}
        found.on_missed = params.get("missed", "one")
        found.overlap = params.get("overlap", "allow")
        self.arm_schedule(found, found.due)
        self.say(link, f"ACK:DONE:{name};next={found.due}")
        return ""

    def unschedule(self, link: Link | None, name: str) -> str:
        if name not in self.schedules:
            words = "no schedule of this name is known here"
            return self.reject(link, name, "unknown_task", words)
        del self.schedules[name]
        self.say(link, f"ACK:DONE:{name}")
        return ""

    def arm_schedule(self, schedule: Schedule, at: int) -> None:
        self.sequence += 1
        schedule.timer = (at * MS, self.sequence)

    @staticmethod
    def after(schedule: Schedule, ms: int) -> int:
        """The first due time after ms."""
        cron, every, offset = schedule.times
        if every:
            due = schedule.base
            while due <= ms:
                due += every
            return due
        local = datetime.fromtimestamp(ms // 1000, timezone(timedelta(minutes=offset)))
        return int(next(CronSim(cron, local)).timestamp()) * 1000

    def schedule_due(self, schedule: Schedule) -> None:
        schedule.timer = None
        if self.draining:
            return
        now = self.now // MS
        if not schedule.together:
            due = [schedule.due]
            while (later := self.after(schedule, due[-1])) <= now:
                due.append(later)
            keep = BEHIND_MAX if schedule.on_missed == "all" else 1
            schedule.missed += len(due[:-keep])
            schedule.upto = due[:-keep][-1] if len(due) > keep else schedule.upto
            schedule.due, schedule.together = due[-keep:][0], len(due[-keep:])
        if not self.fire(schedule):
            schedule.together = 0
            self.arm_schedule(schedule, min(now + RETRY, self.after(schedule, now)))
            return
        schedule.together -= 1
        schedule.upto = schedule.due
        schedule.due = self.after(schedule, schedule.upto)
        self.arm_schedule(schedule, schedule.due)

    def fire(self, schedule: Schedule) -> bool:
        """True: dealt with. False: there is no room for its task."""
        if schedule.overlap == "skip" and schedule.last:
            for number in (schedule.last // 1000, schedule.last):
                before = self.tasks.get(f"{schedule.name}.{number}")
                if before is not None and before.state not in ENDED:
                    schedule.missed += 1
                    return True
        in_ms = 0 < schedule.times[1] < 1000
        name = f"{schedule.name}.{schedule.due if in_ms else schedule.due // 1000}"
        if name not in self.tasks and self.submit(
            None, name, schedule.action, schedule.payload, schedule.params
        ):
            return False
        schedule.last = schedule.due
        schedule.fired += 1
        return True
