# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hearth-undo-firewall, called as hearth-undo calls it: it hands over to the one program that loads rules."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

ROLES = pathlib.Path(__file__).resolve().parents[4] / "roles"
LOADER = '#!/bin/sh\necho "$@" >> "$HEARTH_ROOT/called"\nexit ${STATUS:-0}\n'


@pytest.fixture(name="root")
def _root(tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a root with the command and the script where a host has them."""
    places = {
        "usr/local/sbin/hearth-undo": ROLES / "boot/files/hearth-undo",
        "etc/hearth/undo.d/firewall": ROLES / "firewall/files/hearth-undo-firewall",
    }
    for place, source in places.items():
        (tmp_path / place).parent.mkdir(parents=True)
        shutil.copy(source, tmp_path / place)
    return tmp_path


def install(root: pathlib.Path) -> None:
    loader = root / "usr/local/libexec/hearth-firewall"
    loader.parent.mkdir(parents=True)
    loader.write_text(LOADER)
    loader.chmod(0o755)


def run(
    root: pathlib.Path, *arguments: str, script: str = "usr/local/sbin/hearth-undo", **more: str
) -> tuple[int, str, str]:
    environment = {"PATH": os.environ["PATH"], "HEARTH_ROOT": str(root), **more}
    done = subprocess.run(
        [str(root / script), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_list_says_in_one_line_what_it_does(root: pathlib.Path) -> None:
    status, out, err = run(root)
    assert (status, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("firewall\t")]
    assert "puts back the firewall that was there before the last change" in line


def test_undo_is_the_loaders_undo_and_nothing_else(root: pathlib.Path) -> None:
    install(root)
    assert run(root, "firewall")[0] == 0
    assert (root / "called").read_text() == "undo\n"


def test_its_failure_is_not_hidden(root: pathlib.Path) -> None:
    install(root)
    assert run(root, "firewall", STATUS="1")[0] == 1


def test_a_host_without_the_loader_says_what_to_look_at(root: pathlib.Path) -> None:
    status, out, err = run(root, "firewall")
    assert (status, out) == (1, "")
    assert "no firewall of hearth.gpu_host is on this host" in err
    assert "iptables-save" in err


def test_describing_changes_nothing_and_other_words_are_refused(root: pathlib.Path) -> None:
    install(root)
    script = "etc/hearth/undo.d/firewall"
    assert run(root, "describe", script=script)[0] == 0
    assert run(root, "flush", script=script)[0] == run(root, script=script)[0] == 2
    assert not (root / "called").exists()
