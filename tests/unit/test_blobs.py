"""Blobs: content-addressed, verified, held by locks, nothing half-made."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import posix_ipc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganglion.protocol._native import lib
from ganglion.protocol.blobs import Spool
from ganglion.protocol.errors import PeerError
from ganglion.protocol.instance import Instance

SHM = Path("/dev/shm")


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    instance = Instance(f"t{uuid.uuid4().hex[:10]}", Path("/nowhere"), Path("/nowhere"))
    yield instance
    for path in SHM.glob(instance.blob_prefix[1:] + "*"):
        path.unlink()


def segment(instance: Instance, data: bytes) -> str:
    return instance.blob_prefix + hashlib.sha256(data).hexdigest()


@given(data=st.binary(max_size=20_000))
@settings(max_examples=40, deadline=None)
def test_what_is_published_is_fetched(instance: Instance, data: bytes) -> None:
    spool = Spool(instance)
    hold, again = spool.publish(data), spool.publish(bytearray(data))
    assert hold.ref == again.ref == f"{hashlib.sha256(data).hexdigest()}.{len(data)}"
    assert bytes(spool.fetch(hold.ref)) == data
    hold.release()
    name = segment(instance, data).encode()
    assert lib.gn_blob_unlink(name) == 0  # still held by the other
    again.release()
    assert lib.gn_blob_unlink(name) == 1
    with pytest.raises(PeerError, match="not in the spool"):
        spool.fetch(hold.ref)


def test_other_content_under_the_name_is_refused(instance: Instance) -> None:
    data = b"x" * 9000
    spool = Spool(instance)
    hold = spool.publish(data)
    path = SHM / segment(instance, data)[1:]
    path.write_bytes(b"y" * 9000)
    with pytest.raises(PeerError, match="does not match"):
        spool.fetch(hold.ref)
    path.write_bytes(b"x" * 10)
    with pytest.raises(PeerError, match="has 10 bytes"):
        spool.fetch(hold.ref)
    hold.release()
    again = spool.publish(data)  # a half-written segment is made whole
    assert bytes(spool.fetch(again.ref)) == data
    again.release()
    path.unlink()


@pytest.mark.parametrize("ref", ["", "abc.3", "0" * 64, "0" * 64 + ".", "G" * 64 + ".1", "../x.1"])
def test_malformed_references_are_refused(instance: Instance, ref: str) -> None:
    with pytest.raises(PeerError, match="bad_param"):
        Spool(instance).fetch(ref)


def test_a_killed_publisher_holds_nothing(instance: Instance) -> None:
    program = f"""
import os, signal
from pathlib import Path
from ganglion.protocol.blobs import Spool
from ganglion.protocol.instance import Instance
hold = Spool(Instance({instance.name!r}, Path("/r"), Path("/s"))).publish(b"z" * 5000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    assert (SHM / segment(instance, b"z" * 5000)[1:]).exists()
    assert lib.gn_blob_unlink(segment(instance, b"z" * 5000).encode()) == 1


def test_publishers_and_a_sweeper_at_once(instance: Instance) -> None:
    """A hold is a promise: whatever the sweeper does, what is held can be fetched."""
    spool, data, stop = Spool(instance), b"q" * 7000, threading.Event()
    name = segment(instance, data).encode()

    def sweep() -> None:
        while not stop.is_set():
            lib.gn_blob_unlink(name)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(300):
            hold = spool.publish(data)
            assert bytes(spool.fetch(hold.ref)) == data
            hold.release()
    finally:
        stop.set()
        sweeper.join()
    lib.gn_blob_unlink(name)


def test_a_lock_of_anybody_keeps_the_segment(instance: Instance) -> None:
    spool = Spool(instance)
    spool.publish(b"k" * 5000).release()
    opened = posix_ipc.SharedMemory(segment(instance, b"k" * 5000), 0)
    fcntl.flock(opened.fd, fcntl.LOCK_SH)
    assert lib.gn_blob_unlink(segment(instance, b"k" * 5000).encode()) == 0
    os.close(opened.fd)
    assert lib.gn_blob_unlink(segment(instance, b"k" * 5000).encode()) == 1
