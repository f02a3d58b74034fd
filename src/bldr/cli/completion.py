"""Completion scripts for bash, zsh and fish, written from the table of options."""

from __future__ import annotations

from bldr.cli.catalogue import VERBS
from bldr.cli.messages import page
from bldr.cli.options import COMMAND, UsageError, nearest, parse
from bldr.cli.verbs import COMPLETION, SHELLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.cli.options import Option, Verb

__all__ = ["main", "script"]


def main(arguments: Sequence[str]) -> int:
    """``bldr completion SHELL``."""
    parsed = parse(COMPLETION, arguments)
    if len(parsed.rest) != 1:
        raise UsageError("completion needs one shell: bash, fish or zsh", hint="source <(bldr completion bash)")
    page(script(parsed.rest[0]))
    return 0


def script(shell: str) -> str:
    """The completion script for a shell.

    Raises:
        UsageError: There is none for it.
    """
    if shell not in SHELLS:
        near = nearest(shell, SHELLS)
        raise UsageError(
            f"there is no completion for {shell!r}",
            hint=f"did you mean {near}?" if near else "bash, fish and zsh are supported",
        )
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _spellings(option: Option) -> list[str]:
    return ([f"-{option.short}"] if option.short else []) + [f"--{option.name}"]


def _bash() -> str:
    verbs = " ".join(verb.name for verb in VERBS)
    lines = [
        "# bash completion for bldr; made by 'bldr completion bash'",
        "_bldr() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        "    local verb= index=1 skip=",
        "    COMPREPLY=()",
        "    if (( COMP_CWORD == 1 )); then",
        f'        COMPREPLY=($(compgen -W "{verbs} --help --version" -- "$word"))',
        "        return",
        "    fi",
        '    verb="${COMP_WORDS[1]}"',
        '    local flags= values= command= files= words=""',
        '    case "$verb" in',
    ]
    for verb in VERBS:
        lines += [
            f"        {verb.name})",
            f'            flags="{_bash_names(verb, valued=False)}"',
            f'            values="{_bash_names(verb, valued=True)}"',
            f"            command={'yes' if verb.takes == COMMAND else ''}",
            f'            words="{" ".join(verb.words)}"',
            f"            files={'yes' if verb.completes else ''} ;;",
        ]
    lines += [
        "        *) return ;;",
        "    esac",
        "    # find where the command begins: after --, or at the first word that is no option and no value",
        '    if [[ -n "$command" ]]; then',
        "        for (( index = 2; index < COMP_CWORD; index++ )); do",
        '            if [[ -n "$skip" ]]; then skip=; continue; fi',
        '            case "${COMP_WORDS[index]}" in',
        "                --) (( index++ )); _bldr_command $index; return ;;",
        "                --*=*) ;;",
        '                -*) [[ " $values " == *" ${COMP_WORDS[index]} "* ]] && skip=yes ;;',
        "                =) skip=yes ;;",
        "                *) _bldr_command $index; return ;;",
        "            esac",
        "        done",
        "    fi",
        '    if [[ "$before" == "=" ]]; then before="${COMP_WORDS[COMP_CWORD-2]}"; fi',
        '    if [[ "$word" == "=" ]]; then before="${COMP_WORDS[COMP_CWORD-1]}"; word=; fi',
        '    case "$before" in',
        *_bash_values(),
        "    esac",
        '    if [[ "$word" == -* ]]; then',
        '        COMPREPLY=($(compgen -W "$flags $values" -- "$word"))',
        '    elif [[ -n "$words" ]]; then',
        '        COMPREPLY=($(compgen -W "$words" -- "$word"))',
        '    elif [[ -n "$files" ]]; then',
        '        COMPREPLY=($(compgen -f -- "$word"))',
        '    elif [[ -n "$command" ]]; then',
        '        COMPREPLY=($(compgen -c -- "$word"))',
        "    fi",
        "}",
        "_bldr_command() {",
        '    if declare -F _command_offset > /dev/null; then _command_offset "$1"',
        '    elif (( COMP_CWORD == $1 )); then COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))',
        '    else COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")); fi',
        "}",
        "complete -o filenames -F _bldr bldr",
    ]
    return "\n".join(lines) + "\n"


def _bash_names(verb: Verb, *, valued: bool) -> str:
    return " ".join(name for option in verb.options if option.needs_value == valued for name in _spellings(option))


def _valued_options() -> list[Option]:
    """Every option with a value, once; a name means the same in each verb."""
    found: dict[str, Option] = {}
    for verb in VERBS:
        for option in verb.options:
            if option.needs_value:
                found.setdefault(option.name, option)
    return list(found.values())


def _bash_values() -> list[str]:
    lines = []
    for option in _valued_options():
        if option.choices:
            answer = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word"))'
        elif option.completes:
            answer = f'COMPREPLY=($(compgen -{"d" if option.completes == "dir" else "f"} -- "$word"))'
        else:
            answer = "COMPREPLY=()"
        # a flag of the same name in another verb takes no value
        lines.append(f"        {'|'.join(_spellings(option))})")
        lines.append(f'            if [[ " $values " == *" $before "* ]]; then {answer}; return; fi ;;')
    return lines


def _zsh() -> str:
    lines = ["#compdef bldr", "# zsh completion for bldr; made by 'bldr completion zsh'", "", "_bldr() {"]
    lines += ["    local context state state_descr line", "    typeset -A opt_args", "    local -a verbs=("]
    lines += [f"        {_quoted(verb.name + ':' + verb.summary)}" for verb in VERBS]
    lines += [
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe -t verbs verb verbs",
        "        _arguments '(-h --help)'{-h,--help}'[show the verbs]' '(-V --version)'{-V,--version}'[show it]'",
        "        return",
        "    fi",
        "    local verb=$words[2]",
        "    shift words; (( CURRENT-- ))",
        '    case "$verb" in',
    ]
    for verb in VERBS:
        specs = [_zsh_option(option) for option in verb.options]
        lines.append(f"        {verb.name})")
        if verb.takes == COMMAND:
            specs.append(_quoted("*::command:_normal"))
            lines += [
                "            local dashes=${words[(i)--]}",
                "            if (( dashes < CURRENT )); then",
                "                shift dashes words; (( CURRENT -= dashes )); _normal; return",
                "            fi",
            ]
        elif verb.completes:
            specs.append(_quoted("*:file:_files"))
        elif verb.words:
            specs.append(_quoted(f"*:word:({' '.join(verb.words)})"))
        lines.append("            _arguments -s -S \\")
        lines += [f"                {spec} \\" for spec in specs[:-1]]
        lines.append(f"                {specs[-1]} ;;")
    lines += ["    esac", "}", "", 'if [[ "$funcstack[1]" == "_bldr" ]]; then _bldr "$@"; else compdef _bldr bldr; fi']
    return "\n".join(lines) + "\n"


_REPEATABLE = ("input", "output", "temp", "env", "allow-host", "require", "allow-degraded")


def _zsh_option(option: Option) -> str:
    text = option.summary.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    action = ""
    if option.metavar:
        how = {"file": "_files", "dir": "_files -/", "": " "}[option.completes]
        if option.choices:
            how = f"({' '.join(option.choices)})"
        metavar = option.metavar.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
        action = f"{':' if option.stands_alone else ''}:{metavar}:{how}"
    star = "*" if option.name in _REPEATABLE else ""
    long = f"--{option.name}{'=-' if option.stands_alone else '=' if option.metavar else ''}"
    if not option.short:
        return _quoted(f"{star}{long}[{text}]{action}")
    short = f"-{option.short}+" if option.metavar else f"-{option.short}"
    exclusive = star or f"(-{option.short} --{option.name})"
    return f"{_quoted(exclusive)}{{{short},{long}}}{_quoted(f'[{text}]{action}')}"


def _fish() -> str:
    names = " ".join(verb.name for verb in VERBS)
    valued = " ".join(name for option in _valued_options() for name in _spellings(option))
    lines = [
        "# fish completion for bldr; made by 'bldr completion fish'",
        "function __bldr_verb",
        "    set -l words (commandline -opc)",
        "    test (count $words) -ge 2; and contains -- $words[2] $argv",
        "end",
        "# whether the command has not begun: no -- and no word yet that is neither an option nor its value",
        "function __bldr_options_of",
        "    __bldr_verb $argv; or return 1",
        "    set -l words (commandline -opc)",
        "    set -e words[1 2]",
        "    set -l skip no",
        "    for word in $words",
        "        if test $skip = yes",
        "            set skip no",
        f"        else if contains -- $word {valued}",
        "            set skip yes",
        "        else if test $word = --; or not string match -q -- '-*' $word",
        "            return 1",
        "        end",
        "    end",
        "end",
        "complete -c bldr -f",
        f"complete -c bldr -n 'not __bldr_verb {names}' -s h -l help -d 'show the list of verbs'",
        f"complete -c bldr -n 'not __bldr_verb {names}' -s V -l version -d 'show the version'",
    ]
    lines += [
        f"complete -c bldr -n 'not __bldr_verb {names}' -a {verb.name} -d {_quoted(verb.summary)}" for verb in VERBS
    ]
    for verb in VERBS:
        guard = "__bldr_options_of" if verb.takes == COMMAND else "__bldr_verb"
        lines += [f"complete -c bldr -n '{guard} {verb.name}' {_fish_option(option)}" for option in verb.options]
        subcommand = f"(__fish_complete_subcommand --fcs-skip=2 {valued})"
        words = subcommand if verb.takes == COMMAND else " ".join(verb.words)
        if verb.completes:
            lines.append(f"complete -c bldr -n '__bldr_verb {verb.name}' -F")
        elif words:
            lines.append(f"complete -c bldr -n '__bldr_verb {verb.name}' -a {_quoted(words)}")
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    parts = [f"-s {option.short}"] if option.short else []
    parts.append(f"-l {option.name}")
    if option.needs_value:
        parts.append("-r -F" if option.completes else "-x")
        if option.choices:
            parts.append(f"-a {_quoted(' '.join(option.choices))}")
    parts.append(f"-d {_quoted(option.summary)}")
    return " ".join(parts)


def _quoted(text: str) -> str:
    """Quote for zsh and fish: between single quotes neither expands anything in our texts."""
    return "'" + text.replace("'", "'\\''") + "'"
