# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host must show after the site has run, seen with independent tools."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest


@pytest.fixture(scope="module", name="runs")
def _runs() -> list[dict[str, t.Any]]:
    """Every run of ansible-playbook in this scenario, in order."""
    lines = pathlib.Path(os.environ["HEARTH_JOURNAL"]).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(name="name")
def _name(host: t.Any) -> str:
    return str(host.check_output("hostname"))


def changes(run: dict[str, t.Any], name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return role, task and actions of everything that a run changed, or said it would, in order."""
    return [
        (change["role"], change["task"], tuple(change["actions"]))
        for change in run["hosts"].get(name, {}).get("changes", [])
    ]


def test_check_mode_predicted_exactly_what_the_run_did(runs: list[dict[str, t.Any]], name: str) -> None:
    predicted = next(run for run in runs if run["check_mode"])
    real = next(run for run in runs if run["playbook"].endswith("converge.yml"))
    assert changes(predicted, name) == changes(real, name)
    assert changes(real, name), "a bare host that needs no change proves nothing"


def test_later_runs_changed_nothing(runs: list[dict[str, t.Any]], name: str) -> None:
    later = [run for run in runs if run["playbook"].endswith("converge.yml")][1:]
    assert later
    assert [changes(run, name) for run in later] == [[]] * len(later)


def test_the_report_is_of_a_real_run(name: str) -> None:
    path = pathlib.Path(os.environ["HEARTH_REPORTS"], name, "readiness.json")
    assert json.loads(path.read_text(encoding="utf-8"))["predicted"] is False


def test_declarations_are_on_the_host_and_readable_as_facts(host: t.Any) -> None:
    declared = json.loads(host.file("/etc/hearth/declarations.d/kvm.json").content_string)
    assert "vhost_net" in declared["modules"]
    facts = json.loads(host.file("/etc/ansible/facts.d/hearth_declarations.fact").content_string)
    assert "kvm" in json.dumps(facts)


def test_libvirt_answers_with_an_active_pool_and_network(host: t.Any) -> None:
    assert host.socket("unix:///run/libvirt/libvirt-sock").is_listening
    assert host.service("libvirtd.service").is_enabled
    for kind in ("net", "pool"):
        listed = host.check_output(f"virsh --connect qemu:///system {kind}-list --name --autostart")
        active = host.check_output(f"virsh --connect qemu:///system {kind}-list --name")
        assert "default" in listed.split()
        assert "default" in active.split()


def test_the_lease_was_given_back(host: t.Any) -> None:
    assert host.file("/run/hearth/lock").content_string.strip() == ""


def test_no_half_written_file_is_left(host: t.Any) -> None:
    assert (
        host.check_output("find /etc /var/lib/hearth /run/hearth -name '*.hearth-new' -o -name '*.new'") == ""
    )


def test_systemd_is_content(host: t.Any) -> None:
    assert host.check_output("systemctl --failed --no-legend --plain") == ""
