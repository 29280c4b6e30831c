"""What `ganglion send` remembers: every order in which answers may come."""

from __future__ import annotations

import pytest

from ganglion.clients.cli.tracking import Tracker
from ganglion.protocol._native import lib
from ganglion.protocol.batch import VERB, Incoming
from ganglion.protocol.fields import format_params
from ganglion.protocol.message import Message

TYPES = {"CONTROL": 0, "DATA": 1, "RESPONSE": 2, "ACK": 3}


def came(tracker: Tracker, line: str) -> None:
    message = Message.parse(line)
    verb, action, task = VERB.get(message.action, 0), message.action.encode(), message.task.encode()
    params = format_params(message.params)
    tracker.came(Incoming(TYPES[message.type], 0, verb, action, task, params, message.payload))


def play(script: str) -> Tracker:
    """``>`` lines are sent, ``<`` lines come in, ``=a,r`` is the count of open and running."""
    tracker = Tracker("me")
    for line in script.split():
        if line[0] == ">":
            tracker.sent(Message.parse(line[1:]))
        elif line[0] == "<":
            came(tracker, line[1:])
        else:
            assert line == f"={tracker.unacknowledged},{tracker.running}", line
    return tracker


@pytest.mark.parametrize(
    ("script", "bad"),
    [
        (">DATA:A:t:x =1,0 <ACK:RECEIVED:t =0,1 <RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        (">DATA:A:t:x <ACK:RECEIVED:t <RESPONSE:TASK_BURIED:t:X =0,0", 1),
        (">DATA:A:t:x <ACK:RECEIVED:t <RESPONSE:TASK_CANCELLED:t: =0,0", 1),
        (">DATA:A:t:x <RESPONSE:REJECTED:t:busy =0,0", 1),
        (">DATA:A:t;ack=0:x =0,1 <RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        (">DATA:A:t;ack=0:x =0,1 <RESPONSE:REJECTED:t:busy =0,0", 1),
        # the same name twice: before and after it has ended
        (">DATA:A:t:x >DATA:A:t:x =2,0 <ACK:RECEIVED:t <ACK:RECEIVED:t =0,1 "
         "<RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        (">DATA:A:t:x >DATA:A:t:x <ACK:RECEIVED:t <RESPONSE:TASK_COMPLETED:t:X =1,0 "
         "<ACK:RECEIVED:t =0,1 <RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        # the same name with other content: the first goes on
        (">DATA:A:t:x >DATA:A:t:y <ACK:RECEIVED:t <RESPONSE:REJECTED:t:exists =0,1 "
         "<RESPONSE:TASK_COMPLETED:t:X =0,0", 1),
        (">CONTROL:STATUS >CONTROL:STATUS:r =2,0 <RESPONSE:STATE::{} <RESPONSE:STATE:r:{} =0,0", 0),
        (">CONTROL:RESULT:t =1,0 <RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        (">CONTROL:RESULT:t <RESPONSE:STATE:t:{} =0,0", 0),
        # what came late ends nothing
        (">CONTROL:RESULT:t;late=1 <RESPONSE:TASK_FAILED:t;late=1;token=1:X =0,0", 0),
        (">DATA:A:t:x <ACK:RECEIVED:t >CONTROL:RESULT:t;late=1 =1,1 "
         "<RESPONSE:TASK_BURIED:t;late=1;token=1:X =0,1 <RESPONSE:TASK_COMPLETED:t;late=1:X =0,0",
         0),
        (">CONTROL:WATCH:t <ACK:DONE:t =0,1 <RESPONSE:TASK_COMPLETED:t:X =0,0", 0),
        (">CONTROL:WATCH <ACK:DONE =0,0", 0),
        (">DATA:A:t:x >CONTROL:CANCEL:t <ACK:RECEIVED:t =1,1 <RESPONSE:TASK_CANCELLED:t: "
         "<ACK:DONE:t =0,0", 1),
        (">CONTROL:CANCEL:t <RESPONSE:REJECTED:t:unknown_task =0,0", 1),
        (">DATA:A:t;from=you:x =0,0", 0),
        (">RESPONSE:TASK_COMPLETED:t:x =0,0 <RESPONSE:REJECTED:t:stale =0,0", 1),
        ("<RESPONSE:REJECTED::bad_type =0,0", 1),
        (">DATA:A:t:x <ACK:RECEIVED:t <RESPONSE:PROGRESS:t:1 <RESPONSE:PARTIAL:t:2 =0,1", 0),
    ],
)  # fmt: skip
def test_dialogues(script: str, bad: int) -> None:
    assert play(script).bad == bad


def test_after_the_fence_only_outcomes_are_due() -> None:
    tracker = play(">DATA:A:t:x >CONTROL:PING:p <ACK:RECEIVED:t =1,1")
    tracker.settle()
    assert (tracker.unacknowledged, tracker.running) == (0, 1)


def test_types_are_those_of_the_wire() -> None:
    assert TYPES == {
        "CONTROL": lib.GN_CONTROL, "DATA": lib.GN_DATA, "RESPONSE": lib.GN_RESPONSE,
        "ACK": lib.GN_ACK,
    }  # fmt: skip
