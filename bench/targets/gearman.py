"""The peer: a gearman job server with a libgearman client and worker, all in C, over loopback TCP.

gearmand runs with `--threads=0` (one thread for everything), the fastest setting measured on 2
cores: 16,000 tasks/s against 13,000 with one IO thread and 8,000 with its default of four, and the
lowest latency. Foreground jobs live in its memory only.

The worker is C, gearman's strongest form, beside a Python agent on Ganglion's side. There is no
Python variant because no maintained package exists: Debian has none, and the newest on PyPI,
gearman3, was last released in 2021.

Throughput: libgearman runs a window as one batch (add_task ... run_tasks), so the window drains at
the end of each batch.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

from targets.base import (
    Target,
    TargetError,
    UnavailableError,
    apt_install,
    apt_line,
    compile_c,
    end,
    has_header,
    measure,
    parse_roundtrips,
    parse_throughput,
    spawn,
)

PACKAGES = ("gearman-job-server", "libgearman-dev")
START_S = 10.0  # for the server to listen and the worker to be registered
POLL_S = 0.01


class Gearman(Target):
    """gearmand, one C worker, one C client."""

    name = "gearman"

    def __init__(self) -> None:
        self.size = 0
        self.port = 0
        self._client = Path()
        self._processes: list[subprocess.Popen[str]] = []

    def install(self) -> None:
        """Install Debian's packages when they are missing."""
        if find_server() is None or not has_header("libgearman/gearman.h"):
            apt_install(*PACKAGES)

    def start(self, size: int) -> None:
        """Start gearmand on a free port and the worker; wait until the worker is registered."""
        server = find_server()
        if server is None or not has_header("libgearman/gearman.h"):
            raise UnavailableError(f"not installed; run: {apt_line(*PACKAGES)}")
        self.size = size
        worker = compile_c("gearman_worker", "gearman")
        self._client = compile_c("gearman_client", "gearman")
        self.port = free_port()
        options = ("--listen=127.0.0.1", f"--port={self.port}", "--threads=0")
        self._processes.append(spawn(server, *options, "--verbose=ERROR", "--log-file=stderr"))
        self._wait_for("", "gearmand does not listen")
        self._processes.append(spawn(worker, str(self.port)))
        self._wait_for("upper\t0\t0\t1", "the worker does not register")

    def roundtrip(self, seconds: float) -> list[float]:
        """One foreground job in flight; microseconds per job."""
        words = ("rtt", str(self.port), str(self.size), str(seconds))
        return parse_roundtrips(measure(seconds, self._client, *words))

    def throughput(self, seconds: float, window: int) -> float:
        """Batches of `window` tasks; tasks per second."""
        words = ("stream", str(self.port), str(self.size), str(seconds), str(window))
        return parse_throughput(measure(seconds, self._client, *words))

    def stop(self) -> None:
        """End the worker, then the server."""
        while self._processes:
            end(self._processes.pop())

    def _wait_for(self, line: str, complaint: str) -> None:
        """Poll the server's `status` text until it holds `line` (empty: until it answers)."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            dead = [p for p in self._processes if p.poll() is not None]
            if dead:
                raise TargetError(f"{dead[0].args!r} ended with status {dead[0].returncode}")
            status = read_status(self.port)
            if status is not None and line in status:
                return
            time.sleep(POLL_S)
        raise TargetError(f"{complaint} after {START_S:g} s")


def find_server() -> str | None:
    """gearmand's path; Debian keeps it in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which("gearmand") or shutil.which("gearmand", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A loopback port nobody listens on now. Another program may take it before gearmand does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def read_status(port: int) -> str | None:
    """The answer to the text command `status` (function, queued, running, workers), or None."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as link:
            link.sendall(b"status\n")
            text = b""
            while not text.endswith(b".\n"):
                piece = link.recv(4096)
                if not piece:
                    return None
                text += piece
    except OSError:
        return None
    return text.decode("ascii", "replace")


TARGET = Gearman
