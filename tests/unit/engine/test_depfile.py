"""Depfiles as compilers write them."""

from __future__ import annotations

from bldr.engine.depfile import counted, named_paths


def test_paths_of_the_workspace_are_taken_from_a_rule() -> None:
    text = "out/a.o: src/a.c /workspace/lib/my\\ b.h \\\n  /usr/include/stdio.h ./src/../c.h ../outside.h\nlib/x.h:\n"

    assert named_paths(text) == {"src/a.c", "lib/my b.h", "c.h", "../outside.h"}


def test_special_letters_are_read_as_make_reads_them() -> None:
    assert named_paths("a.o: pri$$ce \\#1.h\r\n") == {"pri$ce", "#1.h"}
    assert named_paths("") == set()


def test_only_headers_that_are_not_named_do_not_count() -> None:
    inputs = {"a.c", "a.h", "b.h", "/opt/x.h", "/opt/y.h", "/opt/bin/cc", "blob.bin", "Dense"}

    assert counted({"a.c", "a.h", "/opt/x.h"}, inputs) == inputs - {"b.h", "/opt/y.h"}
    assert named_paths("a.o: a.c /opt/x.h /usr/local/z.h /lib/w.h") == {"a.c", "/opt/x.h", "/usr/local/z.h"}


def test_a_header_by_another_name_lets_all_count() -> None:
    assert counted({"a.c", "real/a.h"}, {"a.c", "link/a.h", "b.h"}) == {"a.c", "link/a.h", "b.h"}
