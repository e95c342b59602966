# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a daemon has read: systemd's answer, the note, and the order of times."""

from __future__ import annotations

import json
import pathlib

import pytest
from fakesystemd import FakeSystemd

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import daemon

# As systemd 252 of Debian 12 says it; the order of the properties is its own.
SHOWN = """\
ExecMainStartTimestamp=Sun 2026-11-22 02:47:24.523864 UTC
ActiveState=active
InvocationID=ac18b2f4df8e4319afa53fca2d24872d
"""
STARTED = 1795315644.523864
PATH = "/etc/libvirt/qemu.conf"
NOTE = "run/hearth/libvirt/libvirtd.json"

# name, answer, what runs
ANSWERS = [
    ("active", SHOWN, daemon.Process("ac18b2f4df8e4319afa53fca2d24872d", STARTED)),
    (
        "no main process yet",
        "ActiveState=activating\nInvocationID=a\nExecMainStartTimestamp=\n",
        daemon.Process("a", 0.0),
    ),
    ("ended when idle", SHOWN.replace("=active", "=inactive"), None),
    ("failed", SHOWN.replace("=active", "=failed"), None),
    ("unknown to systemd", "ExecMainStartTimestamp=\nActiveState=inactive\nInvocationID=\n", None),
    ("in a chroot", "Running in chroot, ignoring command 'show'\n", None),
]

# name, notes, file changed at, now, what has been read (the run started at 100)
READ = [
    ("older file", {}, 50.0, 200.0, "now"),
    ("younger file", {}, 150.0, 200.0, daemon.UNKNOWN),
    ("within a tick of the clock", {}, 99.99, 200.0, daemon.UNKNOWN),
    ("missing file", {}, 0.0, 200.0, "now"),
    ("the clock went back", {}, 50.0, 99.0, daemon.UNKNOWN),
    ("note of a younger file", {PATH: "noted"}, 150.0, 200.0, "noted"),
    ("note that nothing is known", {PATH: daemon.UNKNOWN}, 50.0, 200.0, daemon.UNKNOWN),
    ("note of another file", {"/x": "noted"}, 50.0, 200.0, "now"),
]


@pytest.mark.parametrize(("text", "process"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_answers_of_systemd(text: str, process: daemon.Process | None) -> None:
    assert daemon.parse(text) == process


def test_a_time_that_is_none_is_an_error() -> None:
    with pytest.raises(ParseError, match="'yesterday', which is no time"):
        daemon.parse("ActiveState=active\nInvocationID=a\nExecMainStartTimestamp=yesterday\n")


@pytest.mark.parametrize(
    ("notes", "changed", "now", "read"), [row[1:] for row in READ], ids=[row[0] for row in READ]
)
def test_what_a_run_has_read(notes: dict[str, str], changed: float, now: float, read: str) -> None:
    assert daemon.Process("a", 100.0, notes).has_read(PATH, "now", changed, now) == read


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"run": "a"}',
        '{"run": "a", "digests": []}',
        '{"run": "b", "digests": {"x": "1"}}',
    ],
)
def test_a_damaged_note_and_one_of_another_run_count_as_none(text: str | None) -> None:
    assert daemon.parse_note(text, "a") == {}


def test_a_note_does_not_hold_for_a_run_without_id() -> None:
    assert daemon.parse_note('{"run": "", "digests": {"x": "1"}}', "") == {}


def test_a_note_is_added_to_for_the_same_run_and_replaced_for_another(tmp_path: pathlib.Path) -> None:
    systemd = FakeSystemd(tmp_path)
    host = Host(root=str(tmp_path), run=systemd)
    systemd.start()
    daemon.Note("libvirtd", {"/a": "1", "/b": "1"}).perform(host)
    daemon.Note("libvirtd", {"/b": "2"}).perform(host)
    process = daemon.look(host, "libvirtd")
    assert process is not None and process.notes == {"/a": "1", "/b": "2"}
    systemd.start()
    daemon.Note("libvirtd", {"/c": "3"}).perform(host)
    assert json.loads((tmp_path / NOTE).read_text())["digests"] == {"/c": "3"}
    assert (tmp_path / NOTE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / NOTE).parent.iterdir()] == ["libvirtd.json"]


def test_nothing_is_noted_of_a_daemon_that_does_not_run(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path), run=FakeSystemd(tmp_path))
    daemon.Note("libvirtd", {"/a": "1"}).perform(host)
    assert not (tmp_path / NOTE).exists()


def test_without_systemd_nobody_is_asked(tmp_path: pathlib.Path) -> None:
    def asked(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a command was run")

    assert daemon.look(Host(root=str(tmp_path), run=asked), "libvirtd") is None
