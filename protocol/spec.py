"""Writes the generated parts of protocol/SPEC.md from the C registries.

    python -m ganglion.protocol.spec            rewrite them
    python -m ganglion.protocol.spec --check    exit 1 and name the parts that are out of date

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. Parameters come from
the list in csrc/include/ganglion/wire.h (their text is the comment there), states and codes from the
compiled library. For a checkout: an installed package has no SPEC.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from ganglion.protocol._native import ffi, lib

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "protocol" / "SPEC.md"
WIRE = ROOT / "csrc" / "include" / "ganglion" / "wire.h"
PARAM = re.compile(r'X\(([A-Z_]+), "([a-z]+)", (U64|STR)\)\s*/\* (.*?) \*/')
PART = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
KINDS = {"U64": "number", "STR": "text"}
OWNERS = {"PEER": "the sender", "STATE": "the state of things", "HOST": "this host"}


def word(text: object) -> str:
    """A C string."""
    return bytes(ffi.string(text)).decode()


def parameters() -> str:
    rows = ["| key | kind | meaning |", "|---|---|---|"]
    for _, key, kind, text in PARAM.findall(WIRE.read_text()):
        rows.append(f"| `{key}` | {KINDS[kind]} | {text} |")
    return "\n".join(rows)


def codes() -> str:
    rows = ["| number | code | who | text |", "|---|---|---|---|"]
    for code in range(int(lib.gn_code_count())):
        owner = OWNERS[word(lib.gn_code_owner(code))]
        name, text = word(lib.gn_code_word(code)), word(lib.gn_code_text(code))
        rows.append(f"| {code} | `{name}` | {owner} | {text} |")
    return "\n".join(rows)


def cell(state: int, event: int) -> tuple[str | None, str, str]:
    """Where the event leads (None: it cannot happen), the code of a refusal or "", what is done."""
    out = ffi.new("gn_cell *")
    lib.gn_table_cell(state, event, out)
    after = word(lib.gn_state_word(out.next)) if out.next >= 0 else None
    code = word(lib.gn_code_word(out.code)) if out.code else ""
    return after, code, word(out.verb) if out.verb else ""


def states() -> list[str]:
    return [word(lib.gn_state_word(s)) for s in range(int(lib.gn_state_count()))]


def events() -> list[str]:
    return [word(lib.gn_event_name(e)) for e in range(int(lib.gn_event_count()))]


def diagram() -> str:
    """Every change of state, grouped by where it starts and where it leads."""
    lines = ["```text"]
    for s, state in enumerate(states()):
        leads: dict[str, list[str]] = {}
        for e, event in enumerate(events()):
            after, code, _ = cell(s, e)
            if after is not None and not code and after != state:
                leads.setdefault(after, []).append(event)
        start = state
        for after, names in leads.items():
            lines.append(f"{start:<11} --> {after:<11} {' '.join(names)}")
            start = ""
    return "\n".join([*lines, "```"])


def table() -> str:
    """Events down, states across: the next state, the code of a refusal, or a dot for what cannot happen."""
    rows = ["| event | " + " | ".join(states()) + " |", "|---|" + "---|" * len(states())]
    for e, event in enumerate(events()):
        cells = []
        for s in range(len(states())):
            after, code, _ = cell(s, e)
            cells.append("·" if after is None else f"`{code}`" if code else after)
        rows.append(f"| {event} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


PARTS: dict[str, Callable[[], str]] = {
    "parameters": parameters,
    "diagram": diagram,
    "table": table,
    "codes": codes,
}


def generate(text: str) -> str:
    """The text with its generated parts made anew."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}\n{m[3]}", text)


def outdated(text: str) -> list[str]:
    """The parts that are missing or not as they would be generated."""
    found = {m[2]: m[0] for m in PART.finditer(text)}
    fresh = {m[2]: m[0] for m in PART.finditer(generate(text))}
    return [name for name in PARTS if name not in found or found[name] != fresh[name]]


def main(arguments: list[str]) -> int:
    text = SPEC.read_text()
    if arguments == ["--check"]:
        wrong = outdated(text)
        if wrong:
            print(f"{SPEC}: out of date: {', '.join(wrong)}", file=sys.stderr)
        return 1 if wrong else 0
    if arguments:
        print("usage: python -m ganglion.protocol.spec [--check]", file=sys.stderr)
        return 64
    SPEC.write_text(generate(text))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
