"""Completion scripts come from the parsers; bash's is run in bash."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from ganglion.clients.cli import completion, completion_scripts
from ganglion.clients.cli.commands import COMMANDS


def test_every_command_and_flag_is_there() -> None:
    specs = completion.specs()
    assert [spec.name for spec in specs] == list(COMMANDS)
    by_name = {spec.name: spec for spec in specs}
    flags = {flag for option in by_name["call"].options for flag in option.flags}
    assert {"--each", "--task", "--instance", "-i", "--json"} <= flags
    assert by_name["call"].argument == "action"
    assert by_name["cancel"].argument == "task"
    assert by_name["drain"].argument == "agent"
    assert by_name["ingest"].argument == "path"
    assert by_name["help"].argument.split()[1:] == list(COMMANDS)
    values = {option.flags[0]: option.value for option in by_name["tasks"].options}
    assert values["--state"].split() == ["words", *_states()]
    assert values["--json"] == ""
    assert "--list" not in {f for o in by_name["completion"].options for f in o.flags}


def _states() -> tuple[str, ...]:
    from ganglion.clients.cli.tasks import STATES

    return STATES


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_scripts_are_accepted_by_their_shells(shell: str) -> None:
    text = completion_scripts.script(shell, completion.specs(), completion.common())
    assert "ganglion" in text
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed: its script is not checked")
    done = subprocess.run([program, "-n"], input=text.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


ASK = """
ganglion() {{ printf '%s\\n' "asked:$*" UPPER LOWER; }}
source /dev/stdin <<'END'
{script}
END
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_ganglion; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ganglion ca", {"call", "cancel"}),
        ("ganglion call --ea", {"--each"}),
        ("ganglion -i x call UP", {"UPPER"}),
        ("ganglion call --via LO", {"LOWER"}),
        ("ganglion tasks --state le", {"leased"}),
        ("ganglion completion b", {"bash"}),
        ("ganglion call asked", {"asked:completion"}),
        ("ganglion -i box call asked", {"asked:-i"}),
        ("ganglion call --ct j", set()),
        ("ganglion --tr", {"--transport"}),
        ("ganglion serve X -- basen", {"basenc", "basename"}),
    ],
)
def test_bash_completes(words: str, expected: set[str]) -> None:
    script = completion_scripts.script("bash", completion.specs(), completion.common())
    done = subprocess.run(
        ["bash", "-c", ASK.format(script=script, words=words)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    found = set(done.stdout.split())
    assert found == expected or (expected and "basename" in expected & found), done.stderr
