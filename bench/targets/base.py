"""What a target is, and how it compiles and runs its programs.

A new target is a file `bench/targets/NAME.py` with a `Target` subclass and the line
`TARGET = ThatClass`. Every target does the same work: a worker in another process answers a payload
of `size` lower-case letters with the same letters in upper case, and the client checks the answer.

Knows nothing about rounds, medians or output; that is harness.py.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

BENCH = Path(__file__).resolve().parent.parent
BUILD = BENCH.parent / "build" / "bench"
GRACE_S = (
    15.0  # what a measuring program may take beyond its measuring time before it counts as hung
)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)  # loaded here: between fork and exec nothing may be imported
Me = TypeVar("Me", bound="Target")  # typing.Self needs Python 3.11


class UnavailableError(Exception):
    """The target cannot run on this machine; the message is one line that says what to install."""


class TargetError(Exception):
    """The target started and then went wrong: its figures of this run are not to be trusted."""


class Target(ABC):
    """Something that answers tasks. As a context manager, it is stopped whatever happens."""

    name: ClassVar[str]
    max_window: ClassVar[int | None] = None  # the most tasks in flight, where bounded

    def install(self) -> None:  # noqa: B027 - most targets need nothing
        """Install through apt what the target needs. Most need nothing."""

    @abstractmethod
    def start(self, size: int) -> None:
        """Start everything for payloads of `size` bytes; return when the first task can be sent.

        Raises UnavailableError when something this target needs is not on the machine.
        """

    @abstractmethod
    def roundtrip(self, seconds: float) -> list[float]:
        """Send one task after the other for `seconds`; each round trip in microseconds."""

    @abstractmethod
    def throughput(self, seconds: float, window: int) -> float:
        """Keep `window` tasks in flight for `seconds`; finished tasks per second."""

    def stop(self) -> None:  # noqa: B027 - nothing to end is fine
        """End every process and remove every queue of this target. May be called twice."""

    def __enter__(self: Me) -> Me:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def apt_install(*packages: str) -> None:
    """Install Debian packages (root only; apt's own output goes to stderr)."""
    if os.geteuid() != 0:
        raise UnavailableError(f"--install needs root; run: {apt_line(*packages)}")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, stdout=2, env=environment, check=False)
    except FileNotFoundError:
        raise UnavailableError(f"no apt-get here; install by hand: {' '.join(packages)}") from None
    if done.returncode != 0:
        raise UnavailableError(f"apt-get failed with status {done.returncode}")


def apt_line(*packages: str) -> str:
    """The command a person types to install `packages`."""
    return f"sudo apt-get install {' '.join(packages)}"


def find_compiler() -> str:
    """The C compiler's path: $CC, else cc."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise UnavailableError(f"no C compiler; run: {apt_line('gcc', 'libc6-dev')}")
    return compiler


def has_header(header: str) -> bool:
    """Whether the C compiler finds `header`."""
    command = [find_compiler(), "-x", "c", "-E", "-o", os.devnull, "-"]
    text = f"#include <{header}>\n"
    return subprocess.run(command, input=text, text=True, stderr=subprocess.DEVNULL).returncode == 0


def compile_c(name: str, *libraries: str, flags: Sequence[str] = ()) -> Path:
    """Compile bench/c/NAME.c into build/bench/NAME unless that is newer than all of bench/c."""
    program = BUILD / name
    newest = max(p.stat().st_mtime for p in (BENCH / "c").iterdir())
    if program.exists() and program.stat().st_mtime > newest:
        return program
    BUILD.mkdir(parents=True, exist_ok=True)
    fresh = BUILD / f"{name}.{os.getpid()}"  # renamed when whole: two runs may compile at once
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *flags]
    links = [f"-l{library}" for library in libraries]
    command = [find_compiler(), *flags, "-o", str(fresh), str(BENCH / "c" / f"{name}.c"), *links]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise TargetError(f"{name}.c does not compile:\n{done.stderr}")
    fresh.replace(program)
    return program


def _as_child() -> None:
    """In the child, before exec: ends with us, and is not hit by the terminal's Ctrl-C.

    A process group and not a session: a session is scheduled as a group of its own (autogroup).
    """
    os.setpgid(0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def spawn(*command: str | Path, output: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """Start a program that dies with this one. Its stdout goes to `output`; stderr is ours."""
    return subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        text=True,
        preexec_fn=_as_child,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Terminate a program; kill it when it has not ended after two seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def measure(seconds: float, *command: str | Path) -> str:
    """Run a measuring program that works for `seconds` and give what it printed."""
    process = spawn(*command, output=subprocess.PIPE)
    try:
        text, _ = process.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        raise TargetError(f"{command[0]} hangs") from None
    finally:
        end(process)
    if process.returncode != 0:
        raise TargetError(f"{command[0]} ended with status {process.returncode}")
    return text


def parse_roundtrips(text: str) -> list[float]:
    """One round trip in nanoseconds per line, as the C programs print it, in microseconds."""
    return [int(line) / 1e3 for line in text.splitlines()]


def parse_throughput(text: str) -> float:
    """`TASKS NANOSECONDS`, as the C programs print it, in tasks per second."""
    tasks, nanoseconds = text.split()
    return int(tasks) / int(nanoseconds) * 1e9
