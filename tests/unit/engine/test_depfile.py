"""Depfiles as compilers write them."""

from __future__ import annotations

from bldr.engine.depfile import read_paths


def test_paths_of_the_workspace_are_taken_from_a_rule() -> None:
    text = "out/a.o: src/a.c /workspace/lib/my\\ b.h \\\n  /usr/include/stdio.h ./src/../c.h ../outside.h\nlib/x.h:\n"

    assert read_paths(text) == {"src/a.c", "lib/my b.h", "c.h"}


def test_special_letters_are_read_as_make_reads_them() -> None:
    assert read_paths("a.o: pri$$ce \\#1.h\r\n") == {"pri$ce", "#1.h"}
    assert read_paths("") == set()
