"""The state x event table: total, and what SPEC.md says in words."""

from __future__ import annotations

import pytest

from ganglion.protocol.spec import cell, events, states

STATES, EVENTS = states(), events()
PAIRS = [(s, e) for s in range(len(STATES)) for e in range(len(EVENTS))]
OUTCOMES = {
    "COMPLETE",
    "COMPLETE_ON",
    "COMPLETE_WAIT",
    "FAIL_RETRY",
    "FAIL_FINAL",
    "RELEASE",
    "BURY",
}
REQUESTS = {
    *OUTCOMES,
    "SUBMIT_READY",
    "SUBMIT_DELAYED",
    "SUBMIT_WAITING",
    "DISPATCH",
    "CANCEL",
    "KICK",
    "REPLACE",
}
ENDED = {"done", "buried", "cancelled"}
HELD = {"leased", "cancelling"}


@pytest.mark.parametrize(("s", "e"), PAIRS, ids=[f"{STATES[s]}-{EVENTS[e]}" for s, e in PAIRS])
def test_every_cell_is_filled(s: int, e: int) -> None:
    after, code, verb = cell(s, e)
    state, event = STATES[s], EVENTS[e]
    assert verb, "a cell nobody filled"
    assert (verb == "never") == (after is None)
    assert (verb == "refuse") == bool(code)
    if code:
        assert after == state
    if event in REQUESTS:
        assert after is not None, "whoever asks gets an answer"
    else:
        assert not code, "nobody asked"


def leads(event: str) -> dict[str, str]:
    """From where to where an event goes."""
    found = {}
    for s, state in enumerate(STATES):
        after, code, _ = cell(s, EVENTS.index(event))
        if after is not None and not code:
            found[state] = after
    return found


def test_only_a_submission_begins_a_task_and_only_forgetting_or_replacing_ends_it() -> None:
    for event in EVENTS:
        for before, after in leads(event).items():
            assert (before == "none") == event.startswith("SUBMIT_")
            assert (after == "none") == (event in ("FORGET", "REPLACE"))


def test_outcomes_count_only_under_a_lease() -> None:
    for event in OUTCOMES:
        assert set(leads(event)) == HELD
        for s, state in enumerate(STATES):
            code = "" if state in HELD else "unknown_task" if state == "none" else "stale"
            assert cell(s, EVENTS.index(event))[1] == code


def test_what_was_cancelled_ends_cancelled_unless_it_was_done() -> None:
    ends = {event: leads(event)["cancelling"] for event in EVENTS if "cancelling" in leads(event)}
    assert ends.pop("COMPLETE") == "done"
    assert ends.pop("CANCEL") == "cancelling"
    assert set(ends.values()) == {"cancelled"}


def test_nothing_accepted_is_forgotten_before_it_has_ended() -> None:
    assert set(leads("FORGET")) == ENDED


def test_nothing_is_replaced_under_an_agent() -> None:
    assert set(leads("REPLACE")) == set(STATES) - HELD - {"none"}


def test_every_state_can_be_reached_and_left() -> None:
    moves = {(before, after) for event in EVENTS for before, after in leads(event).items()}
    for state in STATES:
        assert any(after == state != before for before, after in moves)
        assert any(before == state != after for before, after in moves)


def test_done_and_cancelled_stay() -> None:
    for event in EVENTS:
        for state in ("done", "cancelled"):
            assert leads(event).get(state, "none") == "none"


def test_outside_the_table_nothing_can_happen() -> None:
    assert cell(-1, 0)[0] is None
    assert cell(len(STATES), len(EVENTS))[0] is None
