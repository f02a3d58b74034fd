"""Targets to text: a Builderfile that declares them, in the layout of ``bldr fmt``."""

from __future__ import annotations

from bldr.builderfile.formatting import format_file
from bldr.builderfile.parse import KEYWORD, parse
from bldr.builderfile.quoting import quoted
from bldr.builderfile.schema import RESOURCES, camel
from bldr.builderfile.source import Source
from bldr.builderfile.target import Hermetic
from bldr.model.process import ProcessPolicy
from bldr.model.toolchain import SYSTEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.builderfile.label import Label
    from bldr.builderfile.target import Options, Target

__all__ = ["text_of"]

_SIZES = {"memory", "file_size", "disk_io", "disk_rate", "network_io", "core_size", "tmp_size"}


def text_of(targets: Iterable[Target]) -> str:
    """Return the text of a Builderfile that declares targets of one folder; what has its default is left out."""
    text = "".join(f"{KEYWORD}({quoted(one.label.name)}) {{ {_target(one)} }}\n" for one in targets)
    return format_file(parse(Source("Builderfile", text)))


def _target(target: Target) -> str:
    folder = target.label.folder
    entries = [f"type: {target.type};"]
    if target.language:
        entries.append(f"language: {target.language};")
    lists = {
        "sources": [_path(path, folder) for path in target.sources],
        "headers": [_path(path, folder) for path in target.headers],
        "deps": [_label(label, folder) for label in target.deps],
        "command": target.command,
        "output": [_path(path, folder) for path in target.output],
    }
    entries += [f"{key}: {_list(texts)};" for key, texts in lists.items() if texts]
    entries += _options(target.options, folder)
    if target.hermetic != Hermetic():
        entries.append(f"hermetic: {{ {_hermetic(target.hermetic, folder)} }}")
    return " ".join(entries)


def _options(options: Options, folder: str) -> list[str]:
    entries = [f"flags: {_list(options.flags)};"] if options.flags else []
    if options.defines:
        entries.append(f"defines: {_map(options.defines)};")
    lists = {"includes": [_path(path, folder) for path in options.includes], "linkFlags": options.link_flags}
    entries += [f"{key}: {_list(texts)};" for key, texts in lists.items() if texts]
    words = {"linkage": options.linkage, "main": options.main and quoted(options.main), "runner": options.runner}
    return entries + [f"{key}: {word};" for key, word in words.items() if word]


def _hermetic(hermetic: Hermetic, folder: str) -> str:
    entries = [] if hermetic.enabled else ["enabled: false;"]
    for key in ("inputs", "outputs", "temps"):
        paths = getattr(hermetic, key)
        if paths:
            entries.append(f"{key}: {_list([_path(path, folder) for path in paths])};")
    if not hermetic.network.is_hermetic:
        entries.append(f"network: {{ allowHosts: {_list([str(one) for one in hermetic.network.endpoints])}; }}")
    if hermetic.timeout is not None:
        entries.append(f"timeout: {quoted(_duration(hermetic.timeout))};")
    limits = [
        f"{key}: {quoted(_quantity(name, getattr(hermetic.limits, name)))};"
        for key, name in RESOURCES.items()
        if name in hermetic.limits.names_set
    ]
    if limits:
        entries.append(f"resources: {{ {' '.join(limits)} }}")
    if hermetic.process != ProcessPolicy():
        usual = ProcessPolicy()
        fields = [(name, getattr(hermetic.process, name)) for name in ProcessPolicy.__match_args__]
        process = [f"{camel(name)}: {_plain(one)};" for name, one in fields if one != getattr(usual, name)]
        entries.append(f"process: {{ {' '.join(process)} }}")
    if hermetic.env:
        entries.append(f"env: {_map(hermetic.env.items())};")
    if hermetic.toolchain != SYSTEM.name:
        entries.append(f"toolchain: {hermetic.toolchain};")
    return " ".join(entries)


def _path(path: str, folder: str) -> str:
    """Return a path of the workspace as a Builderfile in a folder writes it; one of the host stays as it is."""
    mark = "!" * path.startswith("!")
    rest = path[len(mark) :]
    if rest.startswith("/") or not folder:
        return path
    if rest == ".":
        return "//"
    below = rest.removeprefix(folder + "/")
    return mark + (below if below != rest else f"//{rest}")


def _label(label: Label, folder: str) -> str:
    return f":{label.name}" if label.folder == folder else str(label)


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, texts))}]"


def _map(pairs: Iterable[tuple[str, str]]) -> str:
    return f"{{ {', '.join(f'{quoted(name)}: {quoted(text)}' for name, text in pairs)} }}"


def _plain(number: object) -> str:
    return str(number).lower()


def _quantity(name: str, number: float) -> str:
    if name == "cpu_time":
        return _duration(number)
    if name not in _SIZES:
        return _decimal(number)
    size = int(number)
    for unit in "TGMK":
        factor = 1024 ** ("KMGT".index(unit) + 1)
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _duration(seconds: float) -> str:
    """Return a duration in the largest unit that needs no fraction; only what survives the way back is used."""
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds % factor == 0:
            return f"{int(seconds // factor)}{unit}"
    return f"{_decimal(seconds)}s"


def _decimal(number: float) -> str:
    """Return a number without an exponent, which reads as the same number."""
    from decimal import Decimal

    return format(Decimal(repr(number)), "f")
