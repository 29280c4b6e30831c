"""The three shells' scripts. Everything that changes with the commands is put in from their specs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ganglion.clients.cli.completion import ASKED, Option, Spec
from ganglion.clients.cli.options import WITH_VALUE

Specs = Sequence[Spec]


def script(shell: str, specs: Specs, common: tuple[Option, ...]) -> str:
    """The script for one shell."""
    return _SHELLS[shell](specs, common)


def _flags(options: tuple[Option, ...]) -> str:
    return " ".join(flag for option in options for flag in option.flags)


def _cases(specs: Specs, common: tuple[Option, ...]) -> tuple[list[str], list[str], list[str]]:
    """Patterns of a shell ``case``: flags, kinds of option values, kinds of arguments, by command."""
    flags = [f"        {s.name}) flags='{_flags(s.options)}' ;;" for s in specs]
    values = []
    for name, options in [*((s.name, s.options) for s in specs), ("", common)]:
        for option in options:
            if option.value:
                pattern = "|".join(f"{name}:{flag}" for flag in option.flags)
                values.append(f"        {pattern}) kind='{option.value}' ;;")
    arguments = [f"        {s.name}) kind='{s.argument}' ;;" for s in specs if s.argument]
    return flags, values, arguments


_BASH = """\
# bash completion for ganglion; made by: ganglion completion bash
_ganglion() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local command= instance= kind= flags= words= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -i|--instance) instance=${COMP_WORDS[i+1]}; ((i++)) ;;
        %(with_value)s) ((i++)) ;;
        --) COMPREPLY=($(compgen -c -- "$cur")); return ;;
        -*) ;;
        *) command=${command:-${COMP_WORDS[i]}} ;;
        esac
    done
    case $command:$prev in
%(values)s
        *)
        case $command in
        '') flags='%(common)s'; kind='words %(commands)s' ;;
%(flags)s
        esac
        case $command in
%(arguments)s
        esac
        [[ $cur == -* ]] && kind="words $flags" ;;
    esac
    case $kind in
        words*) words=${kind#words } ;;
        %(asked)s)
            words=$("${COMP_WORDS[0]}" ${instance:+-i "$instance"} completion --list "$kind" \\
                    2>/dev/null) ;;
        path) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; return ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _ganglion ganglion
"""


def _bash(specs: Specs, common: tuple[Option, ...]) -> str:
    flags, values, arguments = _cases(specs, common)
    return _BASH % {
        "with_value": "|".join(flag for flag in WITH_VALUE if flag not in ("-i", "--instance")),
        "common": _flags(common),
        "commands": " ".join(spec.name for spec in specs),
        "flags": "\n".join(flags),
        "values": "\n".join(values),
        "arguments": "\n".join(arguments),
        "asked": "|".join(ASKED),
    }


_ZSH = """\
#compdef ganglion
# zsh completion for ganglion; made by: ganglion completion zsh
_ganglion() {
    local cur=${words[CURRENT]} prev=${words[CURRENT-1]}
    local command= instance= kind= flags= i
    local -a found
    for ((i = 2; i < CURRENT; i++)); do
        case ${words[i]} in
        -i|--instance) instance=${words[i+1]}; ((i++)) ;;
        %(with_value)s) ((i++)) ;;
        --) _command_names -e; return ;;
        -*) ;;
        *) command=${command:-${words[i]}} ;;
        esac
    done
    case $command:$prev in
%(values)s
        *)
        case $command in
        '') flags='%(common)s'; kind='words %(commands)s' ;;
%(flags)s
        esac
        case $command in
%(arguments)s
        esac
        [[ $cur == -* ]] && kind="words $flags" ;;
    esac
    case $kind in
        words*) found=(${=kind#words }) ;;
        %(asked)s)
            found=(${(f)"$(${words[1]} ${instance:+-i} ${instance:+$instance} \\
                   completion --list $kind 2>/dev/null)"}) ;;
        path) _files; return ;;
    esac
    compadd -a found
}
if [[ ${funcstack[1]} == _ganglion ]]; then _ganglion "$@"; else compdef _ganglion ganglion; fi
"""


def _zsh(specs: Specs, common: tuple[Option, ...]) -> str:
    flags, values, arguments = _cases(specs, common)
    return _ZSH % {
        "with_value": "|".join(flag for flag in WITH_VALUE if flag not in ("-i", "--instance")),
        "common": _flags(common),
        "commands": " ".join(spec.name for spec in specs),
        "flags": "\n".join(flags),
        "values": "\n".join(values),
        "arguments": "\n".join(arguments),
        "asked": "|".join(ASKED),
    }


_FISH = """\
# fish completion for ganglion; made by: ganglion completion fish
function __ganglion_names
    set -l words (commandline -opc)
    set -l instance
    for i in (seq 2 (count $words))
        if contains -- $words[$i] -i --instance; and test $i -lt (count $words)
            set instance -i $words[(math $i + 1)]
        end
    end
    $words[1] $instance completion --list $argv[1] 2>/dev/null
end
complete -c ganglion -f
"""


def _fish(specs: Specs, common: tuple[Option, ...]) -> str:
    names = " ".join(spec.name for spec in specs)
    none = f"not __fish_seen_subcommand_from {names}"
    lines = [_fish_option(none, option) for option in common]
    for spec in specs:
        lines.append(f"complete -c ganglion -n '{none}' -a {spec.name} -d {_quoted(spec.help)}")
        seen = f"__fish_seen_subcommand_from {spec.name}"
        lines += [_fish_option(seen, option) for option in spec.options]
        if spec.argument and spec.argument != "any":
            lines.append(f"complete -c ganglion -n '{seen}' {_fish_values(spec.argument)}")
    return _FISH + "\n".join(lines) + "\n"


def _fish_option(condition: str, option: Option) -> str:
    parts = [f"complete -c ganglion -n '{condition}'"]
    for flag in option.flags:
        parts.append(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}")
    if option.value:
        parts.append("-x" if option.value == "any" else "-r " + _fish_values(option.value))
    return " ".join([*parts, f"-d {_quoted(option.help)}"])


def _fish_values(value: str) -> str:
    if value.startswith("words "):
        return f"-a {_quoted(value.removeprefix('words '))}"
    return "-F" if value == "path" else f"-a '(__ganglion_names {value})'"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SHELLS: dict[str, Callable[[Specs, tuple[Option, ...]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
