# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens to files, daemon and module: after a run that ended, the daemon has read its files."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import tempfile
import typing as t

from fakesystemd import FakeSystemd
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.conf_files import ConfFiles, RawFile

QEMU = "/etc/libvirt/qemu.conf"
DAEMON = "/etc/libvirt/libvirtd.conf"

SETTINGS = st.dictionaries(st.sampled_from("ab"), st.integers(0, 1), max_size=2)
DECLARED = st.tuples(SETTINGS, SETTINGS)
EVENTS = st.one_of(
    st.tuples(st.just("declare"), DECLARED),
    st.tuples(st.just("declare and die"), st.tuples(DECLARED, st.integers(0, 5))),
    st.tuples(st.just("somebody writes"), st.sampled_from(["a = 1\n", "# a comment\n", "b = 0\na = 0\n"])),
    st.tuples(st.just("the clock jumps"), st.sampled_from([-7200.0, 7200.0])),
    st.tuples(st.just("the daemon starts"), st.none()),
    st.tuples(st.just("the daemon ends"), st.none()),
)


class Killed(BaseException):
    """The module dies here."""


class World:
    """A host with one daemon, two files and a clock, on which each thing that happens takes a second."""

    def __init__(self, root: pathlib.Path) -> None:
        self.now = 1.8e9
        self.systemd = FakeSystemd(root, QEMU, DAEMON, clock=lambda: self.now)
        self.host = Host(root=str(root), run=self.systemd, now=lambda: self.now)
        self._files = {path: root / path.lstrip("/") for path in (QEMU, DAEMON)}
        self._files[QEMU].parent.mkdir(parents=True)
        self._content = {path: "" for path in self._files}
        self.changed = dict.fromkeys(self._files, 0.0)

    def happens(self, deed: t.Callable[[], object]) -> None:
        self.now += 1
        deed()
        for path, file in self._files.items():
            content = file.read_text() if file.exists() else ""
            if content != self._content[path]:
                self._content[path] = content
                self.changed[path] = self.now if content else 0.0

    def declare(
        self, declared: tuple[t.Any, t.Any], check: bool = False, lives: int | None = None
    ) -> dict[str, t.Any]:
        files = [
            {"path": path, "daemon": "libvirtd", "settings": wanted, "exclusive": True}
            for path, wanted in zip(self._files, declared)
        ]
        return Timed(self, {"files": files, "restart": True}).execute(WorldGate(self, check, lives))

    def event(self, name: str, detail: t.Any) -> None:
        if name == "declare":
            self.declare(detail)
        elif name == "declare and die":
            with contextlib.suppress(Killed):
                self.declare(detail[0], lives=detail[1])
        elif name == "somebody writes":
            self.happens(lambda: self._files[QEMU].write_text(detail))
        elif name == "the clock jumps":
            self.now += detail
        else:
            self.happens(self.systemd.start if name == "the daemon starts" else self.systemd.stop)


class Timed(ConfFiles):
    """The capability, with the times of the world's clock: nobody can set a file's ctime."""

    def __init__(self, world: World, params: dict[str, t.Any]) -> None:
        super().__init__(params, world.host)
        self._world = world

    def _file(self, path: str) -> RawFile:
        return dataclasses.replace(super()._file(path), changed=self._world.changed[path])


class WorldGate(Gate):
    """A gate in the world's time; its process is killed after a number of actions."""

    def __init__(self, world: World, check: bool, lives: int | None) -> None:
        super().__init__(world.host, check)
        self._world = world
        self._lives = lives

    def _perform(self, action: Action) -> None:
        if self._lives is not None and len(self.actions) > self._lives:
            raise Killed
        self._world.happens(lambda: action.perform(self._world.host))


@settings(max_examples=200)
@given(st.lists(EVENTS, max_size=8), DECLARED)
def test_after_any_history_a_run_ends_with_a_daemon_that_has_read_its_files(
    history: list[tuple[str, t.Any]], declared: tuple[t.Any, t.Any]
) -> None:
    names = [name for name, _unused in history]
    # There and back again, with a write by somebody else in between, cannot be seen by anybody.
    assume(names.count("the clock jumps") <= 1)
    with tempfile.TemporaryDirectory() as folder:
        world = World(pathlib.Path(folder))
        for name, detail in history:
            world.event(name, detail)
        runs, had_read = world.systemd.runs, world.systemd.has_read
        foretold = world.declare(declared, check=True)
        assert world.systemd.runs == runs
        assert world.declare(declared) == foretold
        if world.systemd.active:
            assert world.systemd.has_read == world.systemd.on_disk()
        assert world.declare(declared)["actions"] == []
        if not {"somebody writes", "the clock jumps"} & set(names):
            restarted = world.systemd.runs > runs
            assert restarted == (world.systemd.active and had_read != world.systemd.on_disk())
