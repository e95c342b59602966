# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import hashlib
import pathlib
import subprocess
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import (
    STAMP_FUNCTION,
    Content,
    digest,
    note,
    parse_note,
    stamps,
)

NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True), max_size=3).map(tuple)


@given(NAMES, NAMES)
def test_what_is_noted_is_read_back(modules: tuple[str, ...], files: tuple[str, ...]) -> None:
    content = Content(modules, tuple(f"/{name}" for name in files))
    assert parse_note("hook", f"#!/bin/sh\n{note(content)}force_load x\n") == content
    assert bool(content) is bool(modules or files)


@pytest.mark.parametrize(
    "text", ["", "# hearth: {}", "# hearth: {half", '# hearth: {"files": 1, "modules": 2}']
)
def test_a_file_of_somebody_else_is_named(text: str) -> None:
    with pytest.raises(ParseError, match="hook is not what this module writes"):
        parse_note("hook", f"{text}\n")


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c.conf", "d.conf", "B.conf"]), st.binary(max_size=9)),
        max_size=6,
    )
)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_shell_and_the_module_compute_one_digest(shell: str, files: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, content in files:
            (root / name).write_bytes(content)
        # As in the hook: names of which some are missing, then a pattern that may match nothing.
        script = f'LC_ALL=C\n{STAMP_FUNCTION}\nhearth_digest "$1/b" "$1/missing" "$1"/*.conf\n'
        done = subprocess.run(
            [shell, "-c", script, "hook", folder], capture_output=True, text=True, check=True
        )
        inputs = [root / "b", *sorted(root.glob("*.conf"))]
        sums = [(str(p), hashlib.sha256(p.read_bytes()).hexdigest()) for p in inputs if p.exists()]
        assert done.stdout.strip() == digest(sums)


def test_stamps_are_found_by_their_name_alone() -> None:
    assert stamps(["etc/hearth/initramfs.0123456789abcdef", "etc/fstab"]) == ("0123456789abcdef",)
    assert stamps(["etc/hearth/initramfs.0123", "x/etc/hearth/initramfs.0123456789abcdef"]) == ()
