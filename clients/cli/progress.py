"""One line on stderr that moves, for what takes more than a second."""

from __future__ import annotations

import shutil
import sys
import time

from ganglion.clients.cli import units

DELAY_S = 1.0  # what ends sooner needs no bar
INTERVAL_S = 0.1
BAR_COLUMNS = 24


def render(
    what: str, done: int, total: int | None, seconds: float, extra: str = "", columns: int = 80
) -> str:
    """The line, at most ``columns - 1`` wide.

    >>> render("ingest", 30, 60, 2.0, "1 skipped")
    'ingest  [############............]  30/60  50%  15/s  2 s left  1 skipped'
    """
    fields = [what]
    if total:
        share = min(1.0, done / total)
        filled = int(share * BAR_COLUMNS)
        fields.append(f"[{'#' * filled}{'.' * (BAR_COLUMNS - filled)}]")
        fields.append(f"{units.count(done)}/{units.count(total)}  {share:.0%}")
    else:
        fields.append(f"{units.count(done)} done")
    if done and seconds > 0:
        fields.append(units.rate(done, seconds))
        if total and done < total:
            left = (total - done) * seconds / done
            fields.append(f"{left:.0f} s left" if left < 60 else f"{units.duration(left)} left")
    if extra:
        fields.append(extra)
    return "  ".join(fields)[: columns - 1]


class Progress:
    """Drawn at most ten times a second, from the second second on, and wiped at the end."""

    def __init__(self, what: str, total: int | None, *, shown: bool) -> None:
        self.what = what
        self.total = total
        self._shown = shown
        self._start = time.monotonic()
        self._next = self._start + DELAY_S
        self._drawn = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def update(self, done: int, extra: str = "") -> None:
        """``done`` of ``total`` so far; ``extra`` is put at the end of the line."""
        if not self._shown:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL_S
        columns = shutil.get_terminal_size((80, 24)).columns
        line = render(self.what, done, self.total, now - self._start, extra, columns)
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()
        self._drawn = True

    def clear(self) -> None:
        """Wipe the line, so that something else can be written."""
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
