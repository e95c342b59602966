# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback and the report in real runs of ansible-playbook: what one process records, another reads."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
PLAYBOOK = """\
- hosts: one,two
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy: {content: "TOKEN", dest: "{{ folder }}/{{ inventory_hostname }}", mode: "0600"}
    - name: Write it again
      ansible.builtin.copy: {content: "TOKEN", dest: "{{ folder }}/{{ inventory_hostname }}", mode: "0600"}
      when: not ansible_check_mode
    - name: Write secretly
      ansible.builtin.copy: {content: "PASSWORD", dest: "{{ folder }}/secret-of-{{ inventory_hostname }}", mode: "0600"}
      no_log: true
    - name: Change on the way and fail
      ansible.builtin.command: {argv: ["false"]}
      ignore_errors: true
      when: inventory_hostname == 'two'
    - name: Report
      tags: [report]
      hearth.gpu_host.readiness_report:
        dest: "{{ folder }}/reports"
      register: written
    - name: The report is no change
      ansible.builtin.assert:
        that: [written is not changed, written.paths.html is file]
"""


class Run:
    """Runs the playbook and reads what the report says of a host."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "play.yml").write_text(PLAYBOOK, encoding="utf-8")
        (folder / "ansible.cfg").touch()

    def __call__(self, *options: str, recording: bool = True, **environment: str) -> str:
        settings = {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".collections"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "tmp"),
        }
        if recording:
            settings["ANSIBLE_CALLBACKS_ENABLED"] = "hearth.gpu_host.changes"
        # What the caller's shell says about Ansible is not what is tested.
        kept = {
            name: text for name, text in os.environ.items() if not name.startswith(("ANSIBLE_", "HEARTH_"))
        }
        argv = [
            *(sys.executable, "-m", "ansible", "playbook"),
            *("-i", "one,two,", "-c", "local"),
        ]
        argv += ["-e", f"folder={self.folder}", *options, "play.yml"]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**kept, **settings, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def report(self, host: str, kind: str = "json") -> str:
        return (self.folder / "reports" / host / f"readiness.{kind}").read_text(encoding="utf-8")

    def changes(self, host: str) -> dict[str, dict[str, t.Any]]:
        return {change["task"]: change for change in json.loads(self.report(host))["journal"]["changes"]}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("real"))
    run(HEARTH_JOURNAL=str(run.folder / "journal"))
    return run


def test_the_report_lists_what_the_run_changed_on_this_host(real: Run) -> None:
    changes = real.changes("one")
    assert list(changes) == ["Write a file", "Write secretly"]
    assert changes["Write a file"]["files"] == [str(real.folder / "one")]
    assert changes["Write a file"]["module"] == "ansible.builtin.copy"
    assert "Write a file" in real.report("one", "html")
    assert "Write a file" in real.report("one", "md")


def test_hosts_are_kept_apart_and_failures_are_marked(real: Run) -> None:
    assert real.changes("two")["Change on the way and fail"]["failed"] is True
    assert str(real.folder / "one") not in real.report("two")


def test_secrets_stay_out_of_every_file(real: Run) -> None:
    assert real.changes("one")["Write secretly"]["hidden"] is True
    written = [path.read_text(encoding="utf-8") for path in real.folder.glob("reports/*/*")]
    written.append((real.folder / "journal").read_text(encoding="utf-8"))
    assert len(written) == 7
    assert not [text for text in written if "PASSWORD" in text or "TOKEN" in text or "secret-of-" in text]


def test_reports_are_whole_readable_files_and_nothing_else(real: Run) -> None:
    found = {path.name: path.stat().st_mode & 0o777 for path in real.folder.glob("reports/one/*")}
    assert found == {"readiness.html": 0o644, "readiness.json": 0o644, "readiness.md": 0o644}


def test_the_file_of_the_journal_names_the_run(real: Run) -> None:
    (line,) = (real.folder / "journal").read_text(encoding="utf-8").splitlines()
    run = json.loads(line)
    assert run["check_mode"] is False
    assert sorted(run["hosts"]) == ["one", "two"]


def test_check_mode_predicts_the_same_changes_and_writes_the_report_only(
    real: Run, tmp_path: pathlib.Path
) -> None:
    run = Run(tmp_path)
    run("--check", HEARTH_JOURNAL=str(real.folder / "journal"))
    *_earlier, line = (real.folder / "journal").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["check_mode"] is True
    assert sorted(run.changes("one")) == sorted(real.changes("one"))
    assert all(change["predicted"] for change in run.changes("one").values())
    assert json.loads(run.report("one"))["predicted"] is True
    assert not (tmp_path / "one").exists()


def test_without_the_callback_changes_are_unknown_and_not_none(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    run("--limit", "one", "--tags", "report", recording=False)
    assert json.loads(run.report("one"))["journal"] is None
    assert "Changes were not recorded" in run.report("one", "html")


def test_a_journal_that_cannot_be_written_is_a_warning(tmp_path: pathlib.Path) -> None:
    run = Run(tmp_path)
    output = run(
        "--limit", "one", "--tags", "report", HEARTH_JOURNAL=str(tmp_path / "no/such/folder/journal")
    )
    assert "The journal of this run cannot be written" in output
    assert "Remedy" in output
    assert "Traceback" not in output
    assert json.loads(run.report("one"))["changes_recorded"] is True
