# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import struct
import termios

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Listing, Reading


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


def test_a_folder_that_is_there_and_cannot_be_listed_is_unknown(tmp_path: pathlib.Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    host = Host(root=str(tmp_path))
    assert host.listing("/folder") == Listing(("x",)) and not host.listing("/folder").unknown
    assert host.listing("/nowhere").missing and not host.listing("/nowhere").unknown
    assert host.listing("/loop").unknown and "/loop: " in host.listing("/loop").why


def test_the_number_of_a_device_is_what_its_links_lead_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert Host().device_number("/dev/null") == "c1:3"
    assert Host().device_number(str(tmp_path / "link")) == "c1:3"
    assert Host().device_number("/dev/nowhere") == ""
    assert Host().device_number("/dev") == ""


def test_links_of_another_root_are_followed_inside_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd/0").symlink_to("/dev/null")
    host = Host(root=str(tmp_path))
    assert host.device_number("/fd/0") == ""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/null").symlink_to(os.path.relpath("/dev/null", tmp_path / "dev"))
    assert host.device_number("/fd/0") == "c1:3"


def test_the_descriptors_of_a_process_tell_their_device() -> None:
    with open("/dev/null", "rb") as stream:
        assert Host().device_number(f"/proc/self/fd/{stream.fileno()}") == "c1:3"


def test_an_exclusive_open_tells_why_it_failed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "disk").write_text("")
    host = Host(root=str(tmp_path))
    assert host.open_exclusive("/disk") == 0
    assert host.open_exclusive("/nowhere") == errno.ENOENT


def test_a_device_is_asked_about_each_argument(tmp_path: pathlib.Path) -> None:
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    name = os.ttyname(follower)
    assert (
        Host().ioctl(name, termios.TIOCGWINSZ, [bytes(8), bytes(8)]) == (struct.pack("4H", 24, 80, 0, 0),) * 2
    )
    assert Host().ioctl("/dev/null", termios.TIOCGWINSZ, [bytes(8)]) is None
    assert Host(root=str(tmp_path)).ioctl("/dev/null", termios.TIOCGWINSZ, [bytes(8)]) is None
    os.close(leader)
    os.close(follower)
