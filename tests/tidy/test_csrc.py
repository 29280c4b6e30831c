"""The C layers: who may include whom, and what the pure ones may not call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.tree import ROOT, c_code, expect_none, plant, relative, sources

# Each layer, and the headers it may include besides its own. Add a layer here when csrc/src gets a folder.
LAYERS = {
    "codes": set[str](),
    "wire": {"codes"},
    "journal": {"codes", "wire", "plant"},
    "store": {"codes", "wire", "journal"},
    "cron": set[str](),  # in csrc/src/core
    "core": {"codes", "wire", "cron", "plant"},
    "plant": set[str](),
    "link": {"codes", "wire", "runtime"},  # csrc/src/link holds both
    "runtime": {"codes", "wire", "link"},
    "loop": {"codes", "wire", "core", "journal", "store"},
}
PURE = ("wire", "core", "journal")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)
PURE_HEADERS = {
    *("assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "math.h", "stdalign.h"),
    *("stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h"),
    "sys/auxv.h",  # what the processor can do
}
# stdio.h is there for snprintf, stdlib.h for malloc: what else they hold is named here.
IMPURE_CALLS = re.compile(
    r"(?<![\w.>])("
    r"time|clock|clock_\w+|gettimeofday|timer_\w+|timerfd_\w+|sleep|usleep|nanosleep|"
    r"s?rand|rand_r|s?random|getrandom|getentropy|arc4random\w*|[dejlmn]rand48|"
    r"socket|connect|accept4?|bind|listen|send|sendto|sendm?msg|recv|recvfrom|recvm?msg|"
    r"poll|ppoll|p?select|epoll_\w+|eventfd|open|openat|creat|close|p?readv?|p?writev?|"
    r"mmap|shm_\w+|mq_\w+|flock|fcntl|ioctl|f?stat|"
    r"v?f?printf|v?dprintf|puts|fputs|f?putc|putchar|perror|fopen|fread|fwrite|f?gets|f?scanf|fflush|"
    r"syslog|getenv|secure_getenv|system|exec[lv]\w*|v?fork|pthread_\w+|thrd_\w+|exit|abort|raise|signal"
    r")\s*\("
)
# A function of the file's own that has such a name is not the one of the C library.
OWN = re.compile(r"^static\b[^;={(]*?(\w+)\s*\(", re.MULTILINE)


def layer_of(name: str) -> str | None:
    """Of a file below csrc; None for the tests, which may use everything, and the kernels (test_kernels.py)."""
    parts = Path(name).parts
    if parts[:2] == ("csrc", "src") and len(parts) > 3:
        return parts[2]
    if parts[:3] == ("csrc", "include", "ganglion") and "kernels" not in name:
        return parts[-1].removesuffix(".h")
    return None


def included_layer(target: str) -> str | None:
    """The layer that a quoted include names: "ganglion/core.h", "core/task.h"; None for a neighbour."""
    head, _, rest = target.removeprefix("../").partition("/")
    if head == "ganglion":
        return rest.removesuffix(".h")
    return head if rest else None


def wrong_includes(root: Path) -> list[str]:
    faults = []
    for path in sources(root, ".c", ".h"):
        name = relative(root, path)
        if not name.startswith("csrc/"):
            continue
        layer = layer_of(name)
        for quote, target in INCLUDE.findall(path.read_text()):
            if target == "Python.h":
                faults.append(f"{name}: csrc knows nothing of Python")
            if layer is None:
                continue
            if layer not in LAYERS:
                faults.append(f"{name}: the layer {layer} is not in the table of layers")
                break
            other = included_layer(target) if quote == '"' else None
            if other is not None and other not in {layer, *LAYERS[layer]}:
                faults.append(f"{name}: {layer} may not include {target}")
            if layer in PURE and quote == "<" and target not in PURE_HEADERS:
                faults.append(f"{name}: {layer} does no IO and may not include <{target}>")
    return faults


def impure_calls(root: Path) -> list[str]:
    """Calls in the wire and the core that read a clock, draw a number or touch the world."""
    faults = []
    for path in sources(root, ".c", ".h"):
        name = relative(root, path)
        if layer_of(name) not in PURE:
            continue
        code = c_code(path.read_text())
        own = set(OWN.findall(code))
        for number, line in enumerate(code.split("\n"), 1):
            faults += [
                f"{name}:{number}: {match[1]}() in a layer that does no IO"
                for match in IMPURE_CALLS.finditer(line)
                if match[1] not in own
            ]
    return faults


def test_includes_run_one_way() -> None:
    expect_none(wrong_includes(ROOT))


def test_wire_and_core_do_no_io() -> None:
    expect_none(impure_calls(ROOT))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("csrc/src/wire/a.c", '#include "ganglion/core.h"\n'),
        ("csrc/src/wire/a.c", '#include "../loop/loop.h"\n'),
        ("csrc/src/core/a.c", '#include "ganglion/link.h"\n'),
        ("csrc/src/core/a.c", '#include "loop/peer.h"\n'),
        ("csrc/src/core/a.c", "#include <mqueue.h>\n"),
        ("csrc/src/link/a.c", '#  include "core/task.h"\n'),
        ("csrc/include/ganglion/core.h", '#include "ganglion/loop.h"\n'),
        ("csrc/src/loop/a.c", "#include <Python.h>\n"),
        ("csrc/src/new/a.c", "#include <stdio.h>\n"),
    ],
)
def test_a_wrong_include_is_found(tmp_path: Path, path: str, text: str) -> None:
    assert len(wrong_includes(plant(tmp_path, {path: text}))) == 1


@pytest.mark.parametrize(
    "call",
    [
        "clock_gettime(CLOCK_MONOTONIC, &t)",
        "x = rand()",
        "random ()",
        "write(2, s, n)",
        "nanosleep(&t, 0)",
        'printf("x")',
        "time(NULL)",
        "mq_send(q, b, n, 0)",
        "pthread_mutex_lock(&m)",
    ],
)
def test_an_impure_call_is_found(tmp_path: Path, call: str) -> None:
    text = f"static void f(void)\n{{\n    {call};\n}}\n"
    assert len(impure_calls(plant(tmp_path, {"csrc/src/core/a.c": text}))) == 1


def test_words_and_names_are_no_calls(tmp_path: Path) -> None:
    text = '/* time() */ // rand()\nint f(void) { gn_write(1); x->send(2); snprintf(b, 9, "write()"); }\n'
    text += "static int\naccept(int a)\n{\n    return open_tables(accept(a));\n}\n"
    assert impure_calls(plant(tmp_path, {"csrc/src/core/a.c": text})) == []
