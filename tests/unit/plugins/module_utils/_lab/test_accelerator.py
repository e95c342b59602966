# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accelerator is chosen by what a kernel says on the serial line, by nothing else."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab import accelerator


def emulator(serial: str, err: str = "", hang: bool = False) -> t.Callable[..., Completed]:
    """Return a runner that behaves like QEMU writing ``serial`` to the serial line."""

    def run(argv: t.Sequence[str], **options: t.Any) -> Completed:
        target = argv[argv.index("-serial") + 1].partition(":")[2]
        Path(target).write_text(serial)
        if hang:
            raise CommandError("no answer")
        return Completed(0 if not err else 1, "", err)

    return run


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: True)


@pytest.mark.parametrize(
    ("serial", "err", "hang", "chosen", "why"),
    [
        ("Linux version 6.1.0\nKernel panic", "", False, "kvm", "booted"),
        ("Linux version 6.1.0\n", "", True, "kvm", "booted"),  # it came up, and then never ended
        ("", "failed to set MSR 0x10a to 0x69\n", False, "tcg", "MSR 0x10a"),
        ("", "", True, "tcg", "no answer"),
        ("SeaBIOS", "", False, "tcg", "no kernel boots"),  # firmware alone is no proof
    ],
)
def test_choice(serial: str, err: str, hang: bool, chosen: str, why: str) -> None:
    answer = accelerator.choose(Host(run=emulator(serial, err, hang)), "/vmlinuz")
    assert answer[0] == chosen
    assert why in answer[1]


def test_without_the_device_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert accelerator.choose(Host(run=emulator("Linux version")), "/vmlinuz")[0] == "tcg"
