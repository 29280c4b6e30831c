"""The coordinator's journal as an operator sees it: settings, where it lies, what recovery says.

Owns: the words. The files are csrc/src/store's, what is in them is the core's.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

from ganglion.daemons.announce import announce
from ganglion.protocol._native import ffi, lib
from ganglion.protocol.config import Config
from ganglion.protocol.errors import UsageError

log = logging.getLogger("ganglion")

POLICIES = {
    "memory": lib.GN_POLICY_MEMORY,
    "group": lib.GN_POLICY_GROUP,
    "sync": lib.GN_POLICY_SYNC,
}
NOWHERE = "none"
SEGMENT_BYTES_MIN = 65_536
GROUP_MS_MAX = 60_000
WITHOUT = (
    "or run without one: --journal-policy memory --journal-dir none "
    "(tasks and results are then lost when the coordinator ends)"
)
# A recovery that takes longer than this says how far it is.
PATIENCE_S = 1.0


def directory(config: Config) -> Path | None:
    """Where the journal lies; None: there is to be none.

    Raises:
        UsageError: an unknown policy, or a directory ``none`` with one that promises something.
    """
    policy, where = config["journal.policy"], config["journal.dir"]
    if policy not in POLICIES:
        raise UsageError(
            f"journal.policy = {policy!r} ({config.origins['journal.policy']}): "
            f"{', '.join(sorted(POLICIES))}"
        )
    if where == NOWHERE:
        if policy != "memory":
            raise UsageError(
                f"journal.dir = none keeps nothing, but journal.policy = {policy} promises that "
                "accepted tasks are on disk: set journal.policy to memory, or name a directory"
            )
        return None
    return Path(where) if where else config.instance.state_dir / "journal"


def settings(config: Config) -> dict[str, Any]:
    """The fields of ``gn_loop_config`` that are about the journal. Makes its directory.

    Raises:
        UsageError: a setting that makes no sense, or a directory that cannot be had; the text says what to do.
    """
    folder = directory(config)
    if folder is None:
        return {"journal": lib.GN_POLICY_NONE}
    for key, least, most in (
        ("segment_bytes", SEGMENT_BYTES_MIN, 1 << 40),
        ("compact_bytes", SEGMENT_BYTES_MIN, 1 << 50),
        ("group_ms", 0, GROUP_MS_MAX),
    ):
        if not least <= config[f"journal.{key}"] <= most:
            raise UsageError(f"journal.{key} = {config[f'journal.{key}']}: {least} to {most}")
    copies = folder.parent / "blobs"
    if len(os.fsencode(folder)) > 1000 or len(os.fsencode(copies)) > 900:
        raise UsageError(f"the path of the journal's directory is too long: {folder}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot create the journal's directory {folder}: {error.strerror}; {advice()}"
        ) from error
    return {
        "journal": POLICIES[config["journal.policy"]],
        "journal_dir": os.fsencode(folder),
        "copies_dir": os.fsencode(copies),
        "instance": config.instance.name.encode(),
        **{k: config[f"journal.{k}"] for k in ("group_ms", "segment_bytes", "compact_bytes")},
    }


def advice() -> str:
    return (
        "the journal needs a directory of its own that this user may write to: set "
        f"GANGLION_STATE_DIR or --journal-dir to one, {WITHOUT}"
    )


def open_journal(loop: Any) -> None:
    """Lock the journal and look at it.

    Raises:
        UsageError: it is in use, may not be written to, is another instance's, or of a later version.
    """
    if lib.gn_loop_open_journal(loop) < 0:
        raise UsageError(f"{trouble(loop)}; {advice()}")


def trouble(loop: Any) -> str:
    return str(ffi.string(lib.gn_loop_trouble(loop)).decode(errors="replace"))


def recover(loop: Any) -> bool:
    """Read the journal into the core, on a thread that does not hold the GIL; say how far it is when it takes long.

    Returns:
        False when it was told to stop before it was through.

    Raises:
        UsageError: nothing can be written behind it.
    """
    result: list[int] = []
    thread = threading.Thread(
        target=lambda: result.append(lib.gn_loop_recover(loop)), name="recover", daemon=True
    )
    progress = ffi.new("gn_loop_progress *")
    begin = time.monotonic()
    thread.start()
    thread.join(PATIENCE_S)
    told = thread.is_alive()
    while thread.is_alive():
        lib.gn_loop_read_progress(loop, progress)
        announce(f"recovering: {_share(progress)} of the journal read")
        thread.join(PATIENCE_S)
    lib.gn_loop_read_progress(loop, progress)
    if result[0] < 0:
        if not trouble(loop):
            return False
        raise UsageError(f"{trouble(loop)}; {advice()}")
    if progress.bytes_total or progress.lost:
        (announce if told else log.info)(
            f"recovered {progress.tasks} tasks from {_megabytes(progress.bytes)} of journal "
            f"in {time.monotonic() - begin:.2f} s"
        )
    if progress.lost:
        log.warning(
            "journal: %d batches could not be read back; the lines above say which, and which tasks",
            progress.lost,
        )
    return True


def _share(progress: Any) -> str:
    total = progress.bytes_total
    percent = 100 * progress.bytes // total if total else 0
    return f"{percent} % ({_megabytes(progress.bytes)} of {_megabytes(total)})"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
