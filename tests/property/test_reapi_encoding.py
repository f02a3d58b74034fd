"""The bytes of messages are those that the real library writes for the same message, and can be read back.

No ``.proto`` is kept here: the classes are made from names and numbers of fields, as the specification has them.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from bldr.store.messages import (
    Action,
    ActionResult,
    Command,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    Metadata,
    OutputDirectory,
    SymlinkNode,
    Tree,
)
from bldr.store.wire import WireError, fields_of

Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "int64": Field.TYPE_INT64,
    "int32": Field.TYPE_INT32,
    "uint32": Field.TYPE_UINT32,
    "bool": Field.TYPE_BOOL,
}

# build.bazel.remote.execution.v2, and the well-known types that it uses. "*" is repeated.
SCHEMA = {
    "Digest": {"hash": (1, "string"), "size_bytes": (2, "int64")},
    "Time": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "UInt32Value": {"value": (1, "uint32")},
    "NodeProperty": {"name": (1, "string"), "value": (2, "string")},
    "NodeProperties": {"properties": (1, "*NodeProperty"), "mtime": (2, "Time"), "unix_mode": (3, "UInt32Value")},
    "FileNode": {
        "name": (1, "string"),
        "digest": (2, "Digest"),
        "is_executable": (4, "bool"),
        "node_properties": (6, "NodeProperties"),
    },
    "DirectoryNode": {"name": (1, "string"), "digest": (2, "Digest")},
    "SymlinkNode": {"name": (1, "string"), "target": (2, "string"), "node_properties": (4, "NodeProperties")},
    "Directory": {
        "files": (1, "*FileNode"),
        "directories": (2, "*DirectoryNode"),
        "symlinks": (3, "*SymlinkNode"),
        "node_properties": (5, "NodeProperties"),
    },
    "Tree": {"root": (1, "Directory"), "children": (2, "*Directory")},
    "Pair": {"name": (1, "string"), "value": (2, "string")},
    "Platform": {"properties": (1, "*Pair")},
    "Command": {
        "arguments": (1, "*string"),
        "environment_variables": (2, "*Pair"),
        "output_files": (3, "*string"),
        "output_directories": (4, "*string"),
        "platform": (5, "Platform"),
        "working_directory": (6, "string"),
        "output_paths": (7, "*string"),
        "output_node_properties": (8, "*string"),
    },
    "Action": {
        "command_digest": (1, "Digest"),
        "input_root_digest": (2, "Digest"),
        "timeout": (6, "Time"),
        "do_not_cache": (7, "bool"),
        "salt": (9, "bytes"),
        "platform": (10, "Platform"),
    },
    "OutputDirectory": {
        "path": (1, "string"),
        "tree_digest": (3, "Digest"),
        "is_topologically_sorted": (4, "bool"),
        "root_directory_digest": (5, "Digest"),
    },
    "ExecutedActionMetadata": {
        "worker": (1, "string"),
        "execution_start_timestamp": (7, "Time"),
        "execution_completed_timestamp": (8, "Time"),
    },
    "ActionResult": {
        "output_directories": (3, "*OutputDirectory"),
        "exit_code": (4, "int32"),
        "stdout_raw": (5, "bytes"),
        "stdout_digest": (6, "Digest"),
        "stderr_raw": (7, "bytes"),
        "stderr_digest": (8, "Digest"),
        "execution_metadata": (9, "ExecutedActionMetadata"),
    },
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="reapi.proto", package="reapi", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.lstrip("*")
            added = message.field.add(name=field, number=number)
            added.label = Field.LABEL_REPEATED if kind != plain else Field.LABEL_OPTIONAL
            added.type = _TYPES.get(plain, Field.TYPE_MESSAGE)
            if plain not in _TYPES:
                added.type_name = f".reapi.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"reapi.{name}")) for name in SCHEMA}


REAL = _classes()

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda name: name not in (".", "..")
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
digests = st.builds(
    Digest, st.binary(min_size=32, max_size=32).map(bytes.hex), st.one_of(st.just(0), st.integers(0, 2**63 - 1))
)
modes = st.one_of(st.none(), st.integers(0, 0o7777))
pairs = st.lists(st.tuples(names, texts), max_size=4, unique_by=lambda pair: pair[0]).map(tuple)
times = st.one_of(st.just(0), st.integers(1, 2**62))


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    found = draw(st.lists(names, max_size=6, unique=True))
    cut = draw(st.integers(0, len(found)))
    middle = draw(st.integers(cut, len(found)))
    return Directory(
        tuple(FileNode(name, draw(digests), draw(st.booleans()), draw(modes)) for name in found[:cut]),
        tuple(DirectoryNode(name, draw(digests)) for name in found[cut:middle]),
        tuple(SymlinkNode(name, draw(texts)) for name in found[middle:]),
        draw(modes),
    )


commands = st.builds(
    Command,
    st.lists(texts, max_size=4).map(tuple),
    pairs,
    st.lists(texts, max_size=3, unique=True).map(tuple),
    pairs,
    texts,
)
actions = st.builds(
    Action,
    digests,
    digests,
    st.one_of(st.none(), st.integers(0, 10**9), st.sampled_from([0.25, 1.5, 0.000001])),
    st.booleans(),
    st.binary(max_size=20),
    pairs,
)
outputs = st.builds(OutputDirectory, names, digests, digests)
results = st.builds(
    ActionResult,
    st.lists(outputs, max_size=3, unique_by=lambda one: one.path).map(tuple),
    st.integers(0, 255),
    st.one_of(st.none(), digests),
    st.one_of(st.none(), digests),
    st.one_of(st.none(), st.builds(Metadata, texts, times, times)),
)


def by_bytes(name: str) -> bytes:
    return name.encode()


def real_digest(digest: Digest) -> Any:
    return REAL["Digest"](hash=digest.hash, size_bytes=digest.size)


def real_time(nanoseconds: int) -> Any:
    return REAL["Time"](seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def set_mode(message: Any, mode: int | None) -> None:
    if mode is not None:
        message.node_properties.unix_mode.value = mode
        message.node_properties.unix_mode.SetInParent()


def set_pairs(repeated: Any, some: tuple[tuple[str, str], ...]) -> None:
    for name, content in sorted(some, key=lambda pair: (by_bytes(pair[0]), by_bytes(pair[1]))):
        repeated.add(name=name, value=content)


def real_directory(directory: Directory) -> Any:
    message = REAL["Directory"]()
    for file in sorted(directory.files, key=lambda node: by_bytes(node.name)):
        node = message.files.add(name=file.name, digest=real_digest(file.digest), is_executable=file.is_executable)
        set_mode(node, file.mode)
    for inner in sorted(directory.directories, key=lambda node: by_bytes(node.name)):
        message.directories.add(name=inner.name, digest=real_digest(inner.digest))
    for link in sorted(directory.symlinks, key=lambda node: by_bytes(node.name)):
        message.symlinks.add(name=link.name, target=link.target)
    set_mode(message, directory.mode)
    return message


def written(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


@given(digests)
def test_digests(digest: Digest) -> None:
    assert digest.encode() == written(real_digest(digest))
    assert Digest.decode(digest.encode()) == digest


@given(directories())
def test_directories(directory: Directory) -> None:
    encoded = directory.encode()
    read = Directory.decode(encoded)

    assert encoded == written(real_directory(directory))
    assert read.encode() == encoded
    assert {node.name for node in read.files} == {node.name for node in directory.files}
    assert read.mode == directory.mode


@given(directories(), st.lists(directories(), max_size=3))
def test_trees(root: Directory, children: list[Directory]) -> None:
    message = REAL["Tree"](root=real_directory(root), children=[real_directory(child) for child in children])
    encoded = Tree(root, tuple(children)).encode()

    assert encoded == written(message)
    assert Tree.decode(encoded).encode() == encoded


@given(commands)
def test_commands(command: Command) -> None:
    message = REAL["Command"](
        arguments=command.arguments,
        working_directory=command.working_directory,
        output_paths=sorted(set(command.output_paths), key=by_bytes),
    )
    set_pairs(message.environment_variables, command.environment)
    if command.platform:
        set_pairs(message.platform.properties, command.platform)
    encoded = command.encode()

    assert encoded == written(message)
    assert Command.decode(encoded).encode() == encoded
    assert Command.decode(encoded).arguments == command.arguments


@given(actions)
def test_actions(action: Action) -> None:
    message = REAL["Action"](
        command_digest=real_digest(action.command),
        input_root_digest=real_digest(action.input_root),
        do_not_cache=action.do_not_cache,
        salt=action.salt,
    )
    if action.timeout is not None:
        message.timeout.CopyFrom(real_time(round(action.timeout * 10**9)))
    if action.platform:
        set_pairs(message.platform.properties, action.platform)
    encoded = action.encode()

    assert encoded == written(message)
    assert Action.decode(encoded).encode() == encoded
    assert Action.decode(encoded).timeout == action.timeout


@given(results)
def test_results(result: ActionResult) -> None:
    message = REAL["ActionResult"](exit_code=result.exit_code)
    for output in sorted(result.directories, key=lambda one: by_bytes(one.path)):
        message.output_directories.add(
            path=output.path, tree_digest=real_digest(output.tree), root_directory_digest=real_digest(output.root)
        )
    if result.stdout is not None:
        message.stdout_digest.CopyFrom(real_digest(result.stdout))
    if result.stderr is not None:
        message.stderr_digest.CopyFrom(real_digest(result.stderr))
    if result.metadata is not None:
        message.execution_metadata.worker = result.metadata.worker
        if result.metadata.started:
            message.execution_metadata.execution_start_timestamp.CopyFrom(real_time(result.metadata.started))
        if result.metadata.completed:
            message.execution_metadata.execution_completed_timestamp.CopyFrom(real_time(result.metadata.completed))
        message.execution_metadata.SetInParent()
    encoded = result.encode()

    assert encoded == written(message)
    assert ActionResult.decode(encoded).encode() == encoded


@given(directories(), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter(directory: Directory, random: Any) -> None:
    files, inner, links = list(directory.files), list(directory.directories), list(directory.symlinks)
    for nodes in (files, inner, links):
        random.shuffle(nodes)

    assert Directory(tuple(files), tuple(inner), tuple(links), directory.mode).encode() == directory.encode()


@given(st.binary(max_size=60))
def test_whatever_the_bytes_are_reading_them_ends_in_a_message_or_an_error(encoded: bytes) -> None:
    for kind in (Action, ActionResult, Command, Digest, Directory, Tree):
        try:
            kind.decode(encoded)
        except WireError:
            pass


@given(directories(), st.data())
def test_a_message_that_is_cut_off_is_noticed_or_shorter(directory: Directory, data: st.DataObject) -> None:
    encoded = directory.encode()
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    try:
        read = Directory.decode(cut)
    except WireError:
        return

    assert read.encode() == cut


def test_undecodable_bytes_of_names_are_kept() -> None:
    directory = Directory((FileNode("caf\udce9", Digest.of(b"")),))

    assert b"caf\xe9" in directory.encode()
    assert Directory.decode(directory.encode()) == directory


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(WireError):
        Directory.decode(Directory((FileNode(name, Digest.of(b"")),)).encode())


@pytest.mark.parametrize("encoded", [b"\x08", b"\x0a\x05ab", b"\x0b", b"\x80" * 11, b"\x02\x00", b"\x0d\x00"])
def test_what_is_no_message_is_refused(encoded: bytes) -> None:
    with pytest.raises(WireError):
        fields_of(encoded)
