# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading


def test_paths_are_rerooted(tmp_path: pathlib.Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/x").write_text(" text\n")
    host = Host(root=str(tmp_path))
    assert host.path("/etc/x") == str(tmp_path / "etc/x")
    assert host.read("/etc/x") == Reading(text=" text\n")
    assert host.text("/etc/x") == "text"
    assert host.read_bytes("/etc/x") == b" text\n"


def test_missing_is_not_unknown(tmp_path: pathlib.Path) -> None:
    reading = Host(root=str(tmp_path)).read("/etc/x")
    assert reading.missing and not reading.unknown and reading.text is None
    assert reading.why == "/etc/x: No such file or directory"


def test_a_path_through_a_file_is_missing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    assert Host(root=str(tmp_path)).read("/file/x").missing


def test_what_is_there_and_cannot_be_read_is_unknown(tmp_path: pathlib.Path) -> None:
    # A directory: root may read every file, so permissions would prove nothing here.
    (tmp_path / "x").mkdir()
    reading = Host(root=str(tmp_path)).read("/x")
    assert reading.unknown and not reading.missing
    assert "Is a directory" in reading.why
    assert Host(root=str(tmp_path)).read_bytes("/x") is None


def test_an_empty_file_is_known_and_empty(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_text("")
    reading = Host(root=str(tmp_path)).read("/x")
    assert reading == Reading(text="") and not reading.unknown


def test_bytes_that_are_no_utf8_are_readable(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xffb")
    assert Host(root=str(tmp_path)).text("/x") == "a\N{REPLACEMENT CHARACTER}b"


def test_listdir_is_sorted_and_empty_when_missing(tmp_path: pathlib.Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_text("")
    assert Host(root=str(tmp_path)).listdir("/") == ["a", "b", "c"]
    assert Host(root=str(tmp_path)).listdir("/nowhere") == []


def test_link_is_the_last_component_even_when_it_dangles(tmp_path: pathlib.Path) -> None:
    os.symlink("../../bus/pci/drivers/vfio-pci", tmp_path / "driver")
    (tmp_path / "plain").write_text("")
    host = Host(root=str(tmp_path))
    assert host.link("/driver") == "vfio-pci"
    assert host.target("/driver") == "../../bus/pci/drivers/vfio-pci"
    assert host.target("/plain") is None
    assert host.exists("/driver")
    assert host.link("/plain") is None
    assert host.link("/nowhere") is None and not host.exists("/nowhere")
