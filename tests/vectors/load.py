"""Read good.json and bad.json; as a program, print them in a form that a C test reads without JSON.

The printed form is one record a line, fields separated by tabs, bytes in hexadecimal, "-" for none:

    V name kind inline bytes                            a vector; what it must give follows
    M type action task params payload params_code       a message
    E code task                                         an error
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def raw(text: Any) -> bytes:
    """The bytes of a field: text of latin-1, or a list of such texts and repetitions."""
    if isinstance(text, str):
        return text.encode("latin-1")
    if isinstance(text, dict):
        return raw(text["repeat"]) * int(text["times"])
    return b"".join(map(raw, text))


def vectors(*names: str) -> Iterator[dict[str, Any]]:
    """The vectors of the named files, their bytes spelled out."""
    for name in names or ("good", "bad"):
        for vector in json.loads((HERE / f"{name}.json").read_text()):
            vector["bytes"] = raw(vector["bytes"])
            for item in vector["expect"]:
                for key in ("action", "task", "params", "payload"):
                    if item.get(key) is not None:
                        item[key] = raw(item[key])
            yield vector


def _hex(value: bytes | None) -> str:
    return "-" if value is None else value.hex()


def _lines(vector: dict[str, Any]) -> Iterator[str]:
    head = "V", vector["name"], vector.get("kind", "both"), str(vector.get("inline", 0))
    yield "\t".join((*head, _hex(vector["bytes"])))
    for item in vector["expect"]:
        if "code" in item:
            yield "\t".join(("E", item["code"], _hex(item["task"])))
            continue
        fields = [_hex(item[key]) for key in ("action", "task", "params", "payload")]
        yield "\t".join(("M", item["type"], *fields, item.get("params_code", "ok")))


if __name__ == "__main__":
    for each in vectors():
        print("\n".join(_lines(each)))
