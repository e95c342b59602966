# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader without a kernel: its folders and links, its words, its unit. What it does to tables is in tests/netns."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import (
    DOCKER_DROPIN,
    LOADER,
    PROGRAM,
    UNIT,
    unit_text,
)

# The tools of a host without a firewall. A restore fails when the file "broken" is there, as iptables 1.8.9 says it.
SAVE = "#!/bin/sh\n"
RESTORE = """#!/bin/sh
cat >> "$HEARTH_ROOT/restored"
[ -e "$HEARTH_ROOT/broken" ] || exit 0
echo "iptables-restore v1.8.9 (nf_tables): unknown option \\"--bogus\\"" >&2
echo "Error occurred at line: 3" >&2
exit 2
"""
VERSION = "#!/bin/sh\necho 'iptables v1.8.9 (nf_tables)'\n"
EARLY = ":HEARTH-EARLY - [0:0]\n-A HEARTH-EARLY -j DROP\n"


class Machine:
    """A root with the loader, and tools that note what they are told."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.base = root / "etc/hearth/firewall"
        (root / "stubs").mkdir()
        (root / "hearth-firewall").write_text(LOADER)
        for tool in ("iptables", "ip6tables"):
            for name, text in ((tool, VERSION), (f"{tool}-save", SAVE), (f"{tool}-restore", RESTORE)):
                self.stub(name, text)
        self.stub("logger", '#!/bin/sh\necho "$*" >> "$HEARTH_ROOT/logged"\n')
        self.stub("ipset", "#!/bin/sh\nexit 1\n")

    def stub(self, name: str, text: str) -> None:
        (self.root / "stubs" / name).write_text(text)
        (self.root / "stubs" / name).chmod(0o755)

    def folder(self, name: str, **files: str) -> str:
        (self.base / name).mkdir(parents=True, exist_ok=True)
        for file, text in {"backend": "iptables\n", **files}.items():
            (self.base / name / file).write_text(text)
        return str(self.base / name)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ("sh", str(self.root / "hearth-firewall"), *argv),
            env={**os.environ, "HEARTH_ROOT": str(self.root)},
            text=True,
            capture_output=True,
            check=False,
        )

    def links(self) -> dict[str, str]:
        return {path.name: os.readlink(path) for path in self.base.iterdir() if path.is_symlink()}

    def text(self, name: str) -> str:
        path = self.root / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_every_shell_can_read_it(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.fail(f"{shell} is missing")
    done = subprocess.run((shell, "-n"), input=LOADER, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_kept_moves_on_and_what_is_older_goes(machine: Machine) -> None:
    names = ["aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"]
    folders = [machine.folder(name) for name in names]
    (machine.base / "of-somebody").mkdir()
    assert machine.run("commit", folders[0]).returncode == 0
    assert machine.links() == {"current": names[0]}
    for name in names[1:]:
        assert machine.run("commit", machine.folder(name)).returncode == 0
    assert machine.links() == {"current": names[2], "previous": names[1]}
    assert sorted(path.name for path in machine.base.iterdir() if not path.is_symlink()) == [
        *names[1:],
        "of-somebody",
    ]
    assert machine.run("commit", f"{folders[2]}/").returncode == 0
    assert machine.links() == {"current": names[2], "previous": names[1]}, "once more is not one more"


def test_a_commit_that_died_between_its_two_links_is_finished_by_the_next(machine: Machine) -> None:
    machine.run("commit", machine.folder("aaaaaaaaaaaa"))
    (machine.base / "previous").symlink_to("aaaaaaaaaaaa")
    (machine.base / ".current").symlink_to("elsewhere")
    assert machine.run("commit", machine.folder("bbbbbbbbbbbb")).returncode == 0
    assert machine.links() == {"current": "bbbbbbbbbbbb", "previous": "aaaaaaaaaaaa"}


def test_only_a_folder_beside_the_others_is_kept(machine: Machine, tmp_path: pathlib.Path) -> None:
    machine.run("commit", machine.folder("aaaaaaaaaaaa"))
    (tmp_path / "aaaaaaaaaaaa").mkdir()
    for wrong in (
        str(tmp_path / "aaaaaaaaaaaa"),
        str(machine.base / "current"),
        str(machine.base / "missing"),
    ):
        done = machine.run("commit", wrong)
        assert done.returncode == 1
        assert "is no folder in" in done.stderr
    assert machine.links() == {"current": "aaaaaaaaaaaa"}


def test_a_boot_with_nothing_kept_says_so(machine: Machine) -> None:
    done = machine.run("boot")
    assert done.returncode == 0
    assert "nothing is kept" in done.stderr


def test_a_boot_whose_folder_is_gone_shouts(machine: Machine) -> None:
    machine.base.mkdir(parents=True)
    (machine.base / "current").symlink_to("aaaaaaaaaaaa")
    done = machine.run("boot")
    assert done.returncode == 1
    assert "is gone: no rules are loaded" in done.stderr
    assert "is gone" in machine.text("logged")
    assert "is gone" in machine.text("run/hearth/firewall.failed")


def test_a_boot_that_fails_tries_the_rescue_and_tells_the_log(machine: Machine) -> None:
    folder = machine.folder("aaaaaaaaaaaa", rules4=EARLY, rescue4=EARLY, jumps="4 INPUT HEARTH-EARLY first\n")
    machine.run("commit", folder)
    (machine.root / "broken").touch()
    done = machine.run("boot")
    assert done.returncode == 1
    assert machine.text("restored").count("-I INPUT 1 -j HEARTH-EARLY") == 2
    assert "that line is: -A HEARTH-EARLY -j DROP" in done.stderr
    assert "could not be loaded either: everything that listens can be reached" in machine.text("logged")


def test_a_table_in_which_rules_do_not_stay_is_given_up(machine: Machine) -> None:
    done = machine.run("load", machine.folder("aaaaaaaaaaaa", rules4=EARLY))
    assert done.returncode == 1
    assert machine.text("restored").count("COMMIT") == 4
    assert "the IPv4 rules do not stay where they are put" in done.stderr


@pytest.mark.parametrize("word", ["", "nftables", "iptables;reboot"])
def test_a_back_end_that_is_none_is_refused(machine: Machine, word: str) -> None:
    done = machine.run("load", machine.folder("aaaaaaaaaaaa", backend=f"{word}\n"))
    assert done.returncode == 1
    assert f"the back end '{word}' of" in done.stderr


def test_a_block_list_needs_ipset(machine: Machine) -> None:
    (machine.root / "stubs" / "ipset").write_text("#!/bin/sh\necho 'no set' >&2\nexit 1\n")
    done = machine.run(
        "load", machine.folder("aaaaaaaaaaaa", rules4=EARLY, sets4="create hearth-block4 hash:net\n")
    )
    assert done.returncode == 1
    assert machine.text("restored") == "", "rules that ask a list that is not there are not tried"


def test_a_save_that_fails_is_not_taken_for_an_empty_table(machine: Machine) -> None:
    machine.stub("iptables-save", "#!/bin/sh\nexit 1\n")
    done = machine.run("load", machine.folder("aaaaaaaaaaaa", rules4=EARLY))
    assert done.returncode == 1
    assert "iptables-save failed" in done.stderr
    assert machine.text("restored") == ""


def test_undo_swaps_what_is_kept(machine: Machine) -> None:
    for name in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        machine.run("commit", machine.folder(name))
    assert (
        machine.run("undo").stdout
        == "The firewall of hearth.gpu_host is aaaaaaaaaaaa; it was bbbbbbbbbbbb.\n"
    )
    assert machine.links() == {"current": "aaaaaaaaaaaa", "previous": "bbbbbbbbbbbb"}
    machine.run("undo")
    assert machine.links() == {"current": "bbbbbbbbbbbb", "previous": "aaaaaaaaaaaa"}


def test_undo_that_cannot_load_changes_no_link(machine: Machine) -> None:
    machine.run("commit", machine.folder("aaaaaaaaaaaa", rules4=EARLY))
    machine.run("commit", machine.folder("bbbbbbbbbbbb"))
    (machine.root / "broken").touch()
    done = machine.run("undo")
    assert done.returncode == 1
    assert "not taken back" in done.stderr
    assert machine.links() == {"current": "bbbbbbbbbbbb", "previous": "aaaaaaaaaaaa"}


def test_undo_does_not_take_a_folder_that_is_gone_for_a_firewall_without_rules(machine: Machine) -> None:
    for name in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"):
        machine.run("commit", machine.folder(name, rules4=EARLY))
    shutil.rmtree(machine.base / "aaaaaaaaaaaa")
    done = machine.run("undo")
    assert done.returncode == 1
    assert "aaaaaaaaaaaa is gone. The rules stay as they are" in done.stderr
    assert machine.text("restored") == ""
    assert machine.links() == {"current": "bbbbbbbbbbbb", "previous": "aaaaaaaaaaaa"}


def test_a_boot_that_does_not_know_the_back_end_still_lets_management_in_only(machine: Machine) -> None:
    machine.run("commit", machine.folder("aaaaaaaaaaaa", backend="torn\n", rules4=EARLY, rescue4=EARLY))
    assert machine.run("boot").returncode == 1
    assert "-A HEARTH-EARLY -j DROP" in machine.text("restored")
    assert "could not be loaded at boot" in machine.text("logged")


def test_a_log_that_does_not_answer_cannot_hold_up_the_boot(machine: Machine) -> None:
    machine.stub("timeout", '#!/bin/sh\necho "$*" >> "$HEARTH_ROOT/bounded"\n')
    (machine.base / "gone").mkdir(parents=True)
    (machine.base / "current").symlink_to("aaaaaaaaaaaa")
    machine.run("boot")
    assert machine.text("bounded").startswith("5 logger -t hearth-firewall")
    assert "is gone" in machine.text("run/hearth/firewall.failed")


def test_rules_that_load_after_a_boot_that_failed_mend_the_unit(machine: Machine) -> None:
    machine.stub("systemctl", '#!/bin/sh\necho "$*" >> "$HEARTH_ROOT/told"\n')
    machine.run("commit", machine.folder("aaaaaaaaaaaa"))
    assert (machine.run("load").returncode, machine.text("told")) == (0, "")
    (machine.root / "run/hearth/firewall.failed").write_text("shouted\n")
    assert machine.run("load").returncode == 0
    assert machine.text("told") == "reset-failed hearth-firewall.service\n"
    assert not (machine.root / "run/hearth/firewall.failed").exists()


def test_el_starts_nftables_too_late_to_be_waited_for() -> None:
    assert "After=ufw.service nftables.service netfilter-persistent.service\n" in unit_text(False)
    assert "After=ufw.service netfilter-persistent.service\n" in unit_text(True)
    assert "nftables" not in unit_text(True)


def test_the_unit_is_up_before_the_network_and_closes_nothing_when_it_stops() -> None:
    assert "Before=network-pre.target sysinit.target shutdown.target\n" in UNIT
    assert f"ExecStart={PROGRAM} boot\n" in UNIT
    assert "\nExecStop" not in UNIT
    assert f"ExecStartPost=-{PROGRAM} docker\n" in DOCKER_DROPIN
