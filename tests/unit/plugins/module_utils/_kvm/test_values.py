# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import values

SWITCHES = [
    ("Y\n", True),
    ("1", True),
    ("y", True),
    ("N", False),
    ("0", False),
    ("2", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("text", "answer"), SWITCHES)
def test_module_parameters_of_both_kinds(text: str | None, answer: bool | None) -> None:
    assert values.switch(text) is answer


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("none [integrity] confidentiality", "integrity"),
        ("[none] integrity", "none"),
        ("none", None),
        (None, None),
    ],
)
def test_the_choice_in_brackets(text: str | None, choice: str | None) -> None:
    assert values.chosen(text) == choice


def test_peers_regression_versions_are_compared_as_numbers() -> None:
    assert values.version("10.0") > values.version("9.0")
    assert values.version("6.12.63+deb13-amd64") == (6, 12, 63)
    assert values.version("rolling") == values.version(None) == ()


@pytest.mark.parametrize(
    ("text", "number"), [("12\n", 12), ("-1", -1), ("", None), ("1.5", None), ("²", None), (None, None)]
)
def test_numbers(text: str | None, number: int | None) -> None:
    assert values.number(text) == number


def test_the_journal_comes_first_and_dmesg_second(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path, log="from the journal\n")
    assert values.kernel_log(machine.host) == "from the journal\n"
    machine = hosts.Machine(tmp_path, commands={"dmesg": Completed(0, "from dmesg\n", "")})
    assert values.kernel_log(machine.host) == "from dmesg\n"
    assert [call[0] for call in machine.calls] == ["journalctl", "dmesg"]


@pytest.mark.parametrize("answer", [Completed(1, "", "Operation not permitted"), Completed(0, " \n", "")])
def test_a_log_that_may_not_be_read_is_none(answer: Completed, tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path, commands={"dmesg": answer, "journalctl": answer})
    assert values.kernel_log(machine.host) is None


def test_evidence_is_each_line_once() -> None:
    log = "x KVM: disabled by BIOS\nnothing\nx KVM: disabled by BIOS\n"
    assert values.evidence(log, ["disabled by bios"]) == ["x KVM: disabled by BIOS"]
    assert values.evidence(None, ["."]) == []
