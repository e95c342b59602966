# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as Ansible finds them: by name, in a pipe and in a map, and refusing in words."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]
ANSIBLE = pathlib.Path(sys.executable).with_name("ansible")


def evaluate(expression: str) -> tuple[int, str]:
    """Let a command of Ansible's own evaluate it: the tests' process has no collection loader."""
    command = [str(ANSIBLE), "localhost", "-i", "localhost,", "-c", "local", "-m", "ansible.builtin.debug"]
    done = subprocess.run(
        [*command, "-a", "msg={{" + expression + "}}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, "".join((done.stdout + done.stderr).split())


def test_networks_work_in_a_pipe_and_in_a_map() -> None:
    status, said = evaluate("{'a':['192.0.2.7']}.values()|map('hearth.gpu_host.networks',where='x')|list")
    assert status == 0
    assert "192.0.2.7/32" in said


def test_a_refusal_names_what_the_value_belongs_to() -> None:
    status, said = evaluate("['x.example']|hearth.gpu_host.networks(where='here')")
    assert status != 0
    assert "herehas'x.example',whichisnoaddressandnonetwork" in said


def test_both_are_documented() -> None:
    command = [
        str(ANSIBLE) + "-doc",
        "-t",
        "filter",
        "hearth.gpu_host.networks",
        "hearth.gpu_host.firewall_policy",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "spelled as the kernel spells it" in " ".join(done.stdout.split())
    assert "laid over it" in " ".join(done.stdout.split())
