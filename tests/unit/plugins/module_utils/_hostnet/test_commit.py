# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that puts the files of a confirmed move in their places, run for real below a root of its own."""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.commit import commit_text, staged
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Persistence

FOREIGN, OWN, GONE = "/etc/network/interfaces", "/etc/hearth/own file", "/etc/hearth/gone"
MADE = Persistence(
    "ifupdown",
    "eth9",
    "br-ex",
    {OWN: "own\n", FOREIGN: "new\n", GONE: None},
    runtime={"/run/hearth-test-nothing": ""},
    settle='echo settled >> "$root/settled"\n',
)


class Place:
    """A root with the files, and the folder in which the guard runs the script."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.write(FOREIGN, "old\n")
        self.write(GONE, "gone\n")
        self.stage(MADE)

    def stage(self, persistence: Persistence) -> None:
        before = {path: self.text(path) for path in persistence.files}
        for name, text in staged(persistence, before).items():
            self.write(f"change/{name}", text)
        self.script = commit_text(persistence, {FOREIGN: 0o640})

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def text(self, path: str) -> str | None:
        file = self.root / path.lstrip("/")
        return file.read_text() if file.exists() else None

    def texts(self) -> tuple[str | None, ...]:
        return tuple(self.text(path) for path in (OWN, FOREIGN, GONE))

    def commit(self, mode: str = "now") -> tuple[int, str]:
        """Run it as the guard does."""
        done = subprocess.run(
            ("/bin/sh", "-s", mode),
            input=self.script,
            text=True,
            capture_output=True,
            cwd=self.root / "change",
            env={"HEARTH_ROOT": str(self.root), "PATH": "/nowhere"},
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(("mode", "settled"), [("now", "settled\n"), ("boot", None)])
def test_files_are_put_in_place_and_what_was_there_is_kept(
    place: Place, mode: str, settled: str | None
) -> None:
    assert place.commit(mode) == (0, "")
    assert place.texts() == ("own\n", "new\n", None)
    assert place.text("settled") == settled
    backups = "/var/lib/hearth/backup/etc!network!interfaces"
    assert [place.text(f"{backups}.{which}") for which in ("original", "previous")] == ["old\n", "old\n"]
    assert place.text("/var/lib/hearth/backup/etc!hearth!gone.original") == "gone\n"
    modes = {
        path: (place.root / path.lstrip("/")).stat().st_mode & 0o777 for path in (OWN, FOREIGN, "etc/hearth")
    }
    assert modes == {OWN: 0o644, FOREIGN: 0o640, "etc/hearth": 0o755}


def test_done_twice_is_done_once(place: Place) -> None:
    place.commit()
    kept = {path: path.read_text() for path in (place.root / "var").rglob("*.*") if path.is_file()}
    assert place.commit() == (0, "")
    assert place.texts() == ("own\n", "new\n", None)
    assert kept == {path: path.read_text() for path in (place.root / "var").rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("already", [OWN, FOREIGN, GONE])
def test_what_was_cut_off_half_way_is_done(place: Place, already: str) -> None:
    text = MADE.files[already]
    if text is None:
        (place.root / already.lstrip("/")).unlink()
    else:
        place.write(already, text)
    assert place.commit() == (0, "")
    assert place.texts() == ("own\n", "new\n", None)


@pytest.mark.parametrize("changed", [OWN, FOREIGN, GONE])
def test_what_somebody_changed_meanwhile_is_left_alone_and_all_else_put_back(
    place: Place, changed: str
) -> None:
    place.write(changed, "by hand\n")
    expected = tuple(
        "by hand\n" if path == changed else old
        for path, old in zip((OWN, FOREIGN, GONE), (None, "old\n", "gone\n"))
    )
    rc, said = place.commit()
    assert (rc, said) == (1, f"{changed} was changed meanwhile, so it is left alone\n")
    assert place.texts() == expected
    assert place.text("settled") is None


def test_the_first_original_is_kept_for_ever_and_the_last_one_too(place: Place) -> None:
    place.commit()
    place.stage(Persistence("ifupdown", "eth9", "br-ex", {FOREIGN: "newer\n"}))
    assert place.commit() == (0, "")
    backups = "/var/lib/hearth/backup/etc!network!interfaces"
    assert [place.text(f"{backups}.{which}") for which in ("original", "previous")] == ["old\n", "new\n"]


def test_a_link_stays_and_its_file_is_written(place: Place) -> None:
    real = place.write("/srv/interfaces", "old\n")
    (place.root / FOREIGN.lstrip("/")).unlink()
    (place.root / FOREIGN.lstrip("/")).symlink_to(real)
    assert place.commit() == (0, "")
    assert real.read_text() == "new\n"
    assert (place.root / FOREIGN.lstrip("/")).is_symlink()


@pytest.mark.parametrize(
    ("tool", "rc", "said"),
    [("echo fine", 0, ""), ("true", 1, "ask-it does not understand the files\n"), (None, 0, "")],
)
def test_files_that_the_manager_does_not_understand_are_put_back(
    place: Place, tool: str | None, rc: int, said: str
) -> None:
    place.stage(dataclasses.replace(MADE, check=("ask-it", "br-ex")))
    if tool:
        place.write("stubs/ask-it", f"#!/bin/sh\n{tool}\n").chmod(0o755)
    assert place.commit() == (rc, said)
    assert place.texts() == (("own\n", "new\n", None) if rc == 0 else (None, "old\n", "gone\n"))


def test_nothing_to_write_is_no_fault(place: Place) -> None:
    place.stage(Persistence("networkd", "eth9", "br-ex"))
    assert place.commit() == (0, "")
    assert place.texts() == (None, "old\n", "gone\n")


def test_files_of_the_runtime_go_once_the_others_are_there() -> None:
    script = commit_text(MADE, {})
    order: list[t.Any] = [
        script.index(part) for part in ("each place", "exit 0\nrm -f /run/hearth-test-nothing\n")
    ]
    assert order == sorted(order)
