"""The comparison itself: a planted fault in a ledger is found, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash import kinds
from crash.audit import Verdict, compare
from crash.ledger import Ledger, Order, Told, digest, read_runs, read_told
from crash.reask import TASKS_MAX, youngest

ORDER = Order("plain", "-")


def done(task: str, run: str, order: Order = ORDER) -> str:
    return f"R {task} done {digest(kinds.payload(task, order))}/{run}"


def write(folder: Path, name: str, *lines: str) -> None:
    Ledger(folder / name).write(lines)


def verdict(folder: Path, *damaged: str) -> Verdict:
    told = read_told(folder.glob("told.*"))
    return compare(told, read_runs(folder.glob("runs.*")), frozenset(damaged))


def good(folder: Path) -> None:
    """Two tasks, each run and told as it should be; one of them twice on the way."""
    write(folder, "told.c.001", "S a plain -", "A a", done("a", "x.1"), "S b plain -", "A b")
    write(folder, "told.c.002", done("b", "x.3"), done("b", "x.3"))
    write(folder, "runs.x", "a ECHO 1 7 x.1", "b ECHO 1 8 x.2", "b ECHO 2 9 x.3")


def test_a_good_run_has_no_faults(tmp_path: Path) -> None:
    good(tmp_path)
    found = verdict(tmp_path)
    assert found.faults() == {}
    assert (found.submitted, found.acked, found.ended) == (2, 2, 2)
    assert (found.duplicates, found.redelivered) == (1, 1)


@pytest.mark.parametrize(
    ("ledger", "line", "name"),
    [
        ("told.c.003", "S c plain -\nA c", "lost"),
        ("told.c.003", "L a", "lost"),
        ("told.c.003", done("a", "x.1").replace("x.1", "x.2"), "changed"),
        ("told.c.003", "S c plain -\nA c\nR c done 0123456789/x.1", "foreign"),
        ("told.c.003", "S c plain -\nA c\n" + done("c", "never.1"), "foreign"),
        ("told.c.003", done("d", "x.1"), "foreign"),
        ("told.c.003", "S c plain -\nA c\nR c buried tries", "given up"),
        ("told.c.003", "S c plain -\nA c\nR c cancelled -", "given up"),
        ("told.c.003", "S c once -\nA c\nR c buried tries", "given up"),
        ("told.c.003", "F c rejected with exists", "other"),
        ("runs.y", "e ECHO 1 7 y.1", "other"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, ledger: str, line: str, name: str) -> None:
    good(tmp_path)
    write(tmp_path, ledger, line)
    assert name in verdict(tmp_path).faults()


def test_at_most_once(tmp_path: Path) -> None:
    order = Order("once", "-")
    write(tmp_path, "told.c.001", "S a once -", "A a", done("a", "x.1", order), "S b once -", "A b")
    write(tmp_path, "told.c.002", "R b buried once")
    write(tmp_path, "runs.x", "a ECHO 1 7 x.1", "b ECHO 1 8 x.2")
    assert verdict(tmp_path).faults() == {}
    write(tmp_path, "runs.y", "b ECHO 2 9 y.1")
    assert list(verdict(tmp_path).faults()) == ["repeated"]


def test_what_waits_for_a_task_that_was_given_up_has_a_cause(tmp_path: Path) -> None:
    order = Order("after", "b")
    write(tmp_path, "told.c.001", "S a once -", "A a", "S b after a", "A b", "S c after b", "A c")
    write(tmp_path, "told.c.002", "R a buried once", "R b buried after", "R c buried after")
    assert verdict(tmp_path).faults() == {}
    write(tmp_path, "told.c.003", "S d after c", "A d", "R b " + done("b", "x.1", order)[4:])
    assert set(verdict(tmp_path).faults()) == {"changed", "foreign", "given up", "lost"}


def test_a_first_try_that_fails_by_design_is_no_duplicate(tmp_path: Path) -> None:
    write(tmp_path, "told.c.001", "S a flaky -", "A a", done("a", "x.2", Order("flaky", "-")))
    write(tmp_path, "runs.x", "a FLAKY 1 7 x.1 !", "a FLAKY 2 8 x.2")
    found = verdict(tmp_path)
    assert (found.faults(), found.duplicates) == ({}, 0)


def test_what_was_damaged_is_excused_with_all_that_waits_for_it(tmp_path: Path) -> None:
    write(tmp_path, "told.c.001", "S a plain -", "A a", "S b after a", "A b", "S c plain -", "A c")
    assert verdict(tmp_path, "a").lost == ["c (unknown there)"]
    assert verdict(tmp_path, "a", "c").faults() == {}
    assert verdict(tmp_path, "a").excused == 2


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    good(tmp_path)
    with (tmp_path / "told.c.001").open("a") as ledger:
        ledger.write("S lo")
    assert verdict(tmp_path).submitted == 2


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_an_order_is_rebuilt_from_its_name(kind: str) -> None:
    order = Order(kind, "other" if kind == "after" else "-")
    assert kinds.line("t", order) == kinds.line("t", order)
    assert kinds.is_as_ordered("t", order, digest(kinds.payload("t", order)))
    assert not kinds.is_as_ordered("u", order, digest(kinds.payload("t", order)))


def test_the_youngest_are_the_last_of_each_client() -> None:
    told = Told(endings={f"{who}-001-{n}": set() for who in "ab" for n in range(TASKS_MAX)})
    found = youngest(told)
    assert len(found) == TASKS_MAX
    assert found[0] == f"a-001-{TASKS_MAX // 2}"
    assert found[-1] == f"b-001-{TASKS_MAX - 1}"
