# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `make bench`, with an ansible-playbook that is a script, and the record of the test steps."""

from __future__ import annotations

import json
import os
import re
import subprocess

import bench
import pytest
import tree


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Pretend that a lab with two hosts is up."""
    config = tmp_path / "ssh_config"
    config.write_text(
        "Host gpu01\n    Port 1\n\nHost gpu02\n    Port 2\n\nHost *\n    User root\n", encoding="utf-8"
    )
    monkeypatch.setenv("HEARTH_LAB_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def playbook(tmp_path, monkeypatch):
    """Put an ansible-playbook first on the PATH that prints a text and ends with a status."""

    def install(text, status=0):
        (tmp_path / "printed").write_text(text, encoding="utf-8")
        script = tmp_path / "ansible-playbook"
        script.write_text(f"#!/bin/sh\ncat '{tmp_path}/printed'\nexit {status}\n", encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return install


def printed(*tasks):
    """Build the callback's output: tasks as (name, result)."""
    duration = {"start": "2026-01-02T03:04:05.000000Z", "end": "2026-01-02T03:04:06.500000Z"}
    entries = [
        {"task": {"name": name, "duration": duration}, "hosts": {"gpu01": {"action": "x", **result}}}
        for name, result in tasks
    ]
    return json.dumps({"plays": [{"tasks": entries}]}, indent=4)


def test_without_a_lab_it_says_make_lab_and_ends_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEARTH_LAB_STATE", str(tmp_path))
    assert bench.main(["--output", str(tmp_path / "out")]) == 2
    assert "make lab" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_host_that_does_not_answer_is_no_lab_either(lab, playbook, capsys):
    playbook(printed(), status=4)
    assert bench.main(["--output", str(lab / "out")]) == 2
    assert "gpu01 does not answer" in capsys.readouterr().err


def test_the_hosts_are_those_that_are_up(lab):
    assert bench.lab_hosts(lab / "ssh_config") == ["gpu01", "gpu02"]


def test_a_failed_task_is_named_with_its_message(lab, playbook, capsys):
    playbook(printed(("fine", {}), ("broken", {"failed": True, "msg": "no disk"})), status=2)
    assert bench.main(["gpu01", "--output", str(lab / "out")]) == 1
    err = capsys.readouterr().err
    assert "broken: no disk" in err and "fine" not in err


def test_a_site_that_changes_something_is_not_timed(playbook):
    playbook(printed(("Set it", {"changed": True})))
    with pytest.raises(bench.BenchError, match=r"changed gpu01 \(Set it\)"):
        bench.site_run("gpu01")


def test_round_trips_are_counted_where_ssh_is_run(playbook):
    verbose = "<gpu01> SSH: EXEC ssh -C ...\n<gpu01> (0, b'', b'')\n<gpu01> SSH: EXEC ssh -C ...\n"
    playbook(verbose + printed(("a", {})) + "\nsomething after it\n")
    trips, timings = bench.measure_site("gpu01", 2)
    assert trips == 2
    assert timings[0] == bench.cases.Timing(bench.cases.SITE, (1.5, 1.5))


def test_the_floor_of_a_site_without_the_proof_lacks_its_ping(playbook):
    ping = {"action": "ansible.builtin.ping"}
    playbook(printed(("ping", ping), ("ping", ping)))
    seconds = {timing.name: timing.seconds for timing in bench.measure_site("gpu01", 1)[1]}
    assert seconds[bench.cases.PINGS] == (3.0,)
    assert seconds[bench.cases.PINGS_BUT_PROOF] == (1.5,)


# --- built trees -----------------------------------------------------------------------------


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """Pretend that any machine has a tree of its own; return the folder to write to."""
    monkeypatch.setattr(bench.tree, "inside", lambda root: ["env", f"HEARTH_TREE={root}"])
    monkeypatch.setattr(bench.cases, "TREES", {8: 1.3})
    return tmp_path / "out"


def tree_run(driver="vfio-pci", **result):
    """Build the output of one run on a tree: each task twice, on localhost."""
    devices = [{"driver": driver}] * bench.tree.GIVEN
    asked = ("driverctl list-overrides", "lspci -nnk")
    tasks = [("ping", {}), ("vfio_bind", {"devices": devices, **result}), *((name, {}) for name in asked)]
    return printed(*((f"Measure {name}", found) for name, found in tasks * 2)).replace("gpu01", "localhost")


def test_the_trees_need_no_lab_and_have_a_page_of_their_own(trees, playbook, monkeypatch):
    monkeypatch.setenv("HEARTH_LAB_STATE", str(trees / "nothing here"))
    playbook(tree_run())
    assert bench.main(["--trees", "--repeats", "3", "--output", str(trees)]) == 0
    assert sorted(path.name for path in trees.iterdir()) == ["bench-trees.json", "bench-trees.md"]
    case = json.loads((trees / "bench-trees.json").read_text(encoding="utf-8"))["trees"]["8"][0]
    assert case["timings"][0]["seconds"] == [1.5, 1.5, 1.5]


def test_a_tree_on_which_the_module_finds_something_else_is_not_timed(trees, playbook, capsys):
    playbook(tree_run(driver="nouveau"))
    assert bench.main(["--trees", "--output", str(trees)]) == 1
    assert "vfio_bind found ['nouveau'" in capsys.readouterr().err and not trees.exists()


def test_a_tree_on_which_the_module_changes_something_has_no_time(trees, playbook):
    playbook(tree_run(changed=True))
    assert bench.measure_tree(8, 1)["vfio_bind"].failure == "changed something"


def test_a_machine_without_namespaces_says_so(trees, playbook, monkeypatch, capsys):
    monkeypatch.setattr(
        bench.tree, "inside", lambda root: ["sh", "-c", "echo 'unshare: not here' >&2; exit 1"]
    )
    assert bench.main(["--trees", "--output", str(trees)]) == 1
    assert "unshare: not here" in capsys.readouterr().err


def test_the_environment_that_only_this_machine_has_does_not_reach_the_tasks(playbook, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    playbook("")
    (tmp_path / "ansible-playbook").write_text('#!/bin/sh\necho "[$PYTHONUNBUFFERED]"\n', encoding="utf-8")
    assert bench.play("any.yml", "gpu01") == "[]\n"


def test_output_without_a_document_is_told():
    with pytest.raises(bench.BenchError, match="printed no result: oops"):
        bench.document_of("oops")


@pytest.mark.parametrize(("status", "verdict"), [(0, "ok"), (3, "FAILED with status 3")])
def test_record_writes_each_steps_verdict_and_keeps_the_status(tmp_path, status, verdict):
    step = f"'{tree.ROOT}/tools/timed' unit true; '{tree.ROOT}/tools/timed' lab sh -c 'exit {status}'"
    done = subprocess.run(
        [tree.ROOT / "tools/record", "test-full", "sh", "-c", step],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    page = (tmp_path / "docs/results/test-full.md").read_text(encoding="utf-8")
    assert done.returncode == status and "==> unit: true" in done.stdout
    assert re.search(r"\| unit \| ok \| \d+ \|", page)
    assert f"| lab | {verdict} |" in page and f"| all | {verdict} |" in page


def test_a_machine_without_git_can_measure_too() -> None:
    assert bench.output("hearth-no-such-command", "describe") == ""
