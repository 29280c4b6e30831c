"""The demo reads the corpus on which retrieval is measured; it may not import the daemons' list of it."""

from __future__ import annotations

from ganglion.clients.demo import EXCLUDE
from ganglion.daemons.retrieval.corpus import DEMO_SKIP


def test_the_demo_leaves_out_what_the_bench_leaves_out() -> None:
    assert set(EXCLUDE.split(",")) == DEMO_SKIP
