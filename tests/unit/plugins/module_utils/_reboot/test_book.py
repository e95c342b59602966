# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger's files, and the evidence that is read for its requests."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from machine import Machine

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import book, ledger
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import Check, Expect, Request

PROM = "/var/lib/hearth/metrics/hearth_reboot.prom"
# In the words of Linux 6.1: init/main.c, print_unknown_bootoptions().
KERNEL_LOG = (
    "[    0.000000] Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP PREEMPT_DYNAMIC\n"
    "[    0.000000] Kernel command line: BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro imomu=pt\n"
    '[    0.021934] Unknown kernel command line parameters "BOOT_IMAGE=/vmlinuz imomu=pt",'
    " will be passed to user space.\n"
)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def request(name: str = "kernel-args", expect: Expect | None = None, **fields: str) -> Request:
    given = {"reason": "pages", "requested_by": "vfio", "since": "2027-01-15T08:00:00Z", "boot_id": "boot-1"}
    return Request(name=name, **{**given, **fields}, expect=expect or Expect(present=("iommu=pt",)))


def current(machine: Machine, **options: str) -> book.Book:
    return book.parse_book(book.read_book(machine.host, **options))


def enter(machine: Machine, *requests: Request) -> tuple[str, ...]:
    """Make the ledger hold just these; return what was done."""
    before = current(machine)
    actions, after = book.plan_book(before, {item.name: item for item in requests})
    gate = Gate(machine.host, check_mode=False, lock=no_lock)
    gate.apply(actions)
    assert current(machine) == after
    return tuple(gate.actions)


def test_the_ledger_is_written_before_its_views_and_all_go_with_the_last_request(machine: Machine) -> None:
    paths = [ledger.LEDGER, ledger.FACT_FILE, PROM]
    assert enter(machine, request()) == tuple(f"write {path} (0644)" for path in paths)
    assert enter(machine, request()) == ()
    assert enter(machine) == tuple(f"remove {path}" for path in paths)
    assert machine.ours() == {}


def test_edpm_648_a_pending_reboot_is_visible_to_the_operator(machine: Machine) -> None:
    """As the ledger, as a local fact with the reasons, and as a metric with its time."""
    enter(machine, request(requested_by='vfio, "my\\role"\n'))
    fact = json.loads(machine.text(ledger.FACT_FILE))["requests"][0]
    assert (fact["name"], fact["reason"], fact["since"]) == ("kernel-args", "pages", "2027-01-15T08:00:00Z")
    assert machine.text(PROM).splitlines()[1:] == [
        "# TYPE hearth_reboot_requested_timestamp_seconds gauge",
        'hearth_reboot_requested_timestamp_seconds{request="kernel-args",'
        'requested_by="vfio, \\"my\\\\role\\"\\n"} 1800000000',
    ]


def test_a_view_that_was_lost_or_edited_is_written_again(machine: Machine) -> None:
    enter(machine, request())
    machine.write(ledger.FACT_FILE, "mine")
    (machine.root / PROM[1:]).unlink()
    assert enter(machine, request()) == (f"write {ledger.FACT_FILE} (0644)", f"write {PROM} (0644)")


def test_views_that_outlived_the_ledger_go(machine: Machine) -> None:
    enter(machine, request())
    (machine.root / ledger.LEDGER[1:]).unlink()
    assert enter(machine) == (f"remove {ledger.FACT_FILE}", f"remove {PROM}")


def test_metrics_go_where_node_exporter_reads(machine: Machine) -> None:
    before = current(machine, metrics_dir="/srv/prom")
    _actions, after = book.plan_book(before, {"kernel-args": request()}, "/srv/prom")
    assert "/srv/prom/hearth_reboot.prom" in after.files
    with pytest.raises(ParseError, match="metrics_dir is 'metrics'"):
        current(machine, metrics_dir="metrics")


def test_an_unreadable_ledger_is_no_empty_ledger(machine: Machine) -> None:
    machine.blind(ledger.LEDGER)
    with pytest.raises(ParseError, match="Is a directory") as caught:
        current(machine)
    assert "make /var/lib/hearth/reboot.json readable" in caught.value.remedy


@pytest.mark.parametrize(
    ("check", "text", "held"),
    [
        (Check("/sys/x", "at_least", "64"), "64\n", True),
        (Check("/sys/x", "at_least", "64"), "63\n", False),
        (Check("/sys/x", "at_least", "64"), "many\n", False),
        (Check("/sys/x", "equals", "1"), "Y\n", True),
        (Check("/sys/x", "equals", "N"), "0\n", True),
        (Check("/sys/x", "equals", "1"), "N\n", False),
        (Check("/sys/x", "equals", "2-3"), "2-3\n", True),
        (Check("/sys/x", "equals", "2-3"), "2-30\n", False),
        (Check("/sys/x", "matches", r"\[madvise\]"), "always [madvise] never\n", True),
        (
            Check("/sys/x", "matches", r"^Hugepagesize: +1048576 kB$"),
            "A: 1\nHugepagesize:    2048 kB\n",
            False,
        ),
        (Check("/sys/x", "equals", "1"), None, False),
        (Check("/sys", "filled"), "", True),
        (Check("/sys/y", "filled"), None, False),
    ],
)
def test_what_a_check_finds(machine: Machine, check: Check, text: str | None, held: bool) -> None:
    if text is not None:
        machine.write("/sys/x", text)
    found, said = book.read_evidence(machine.host, [check], ask_kernel=False).held[check]
    assert found is held
    assert check.path in said


def test_a_check_that_cannot_be_read_is_unknown(machine: Machine) -> None:
    machine.blind("/sys/x")
    check = Check("/sys/x", "equals", "1")
    enter(machine, request(expect=Expect(checks=(check,))))
    machine.boot("")
    (judged,) = current(machine).judgements()
    assert judged.status == "unknown"
    assert judged.lacking == ("/sys/x: /sys/x: Is a directory",)


@pytest.mark.parametrize("path", [book.BOOT_ID, book.CMDLINE])
def test_without_boot_id_or_command_line_nothing_is_known(machine: Machine, path: str) -> None:
    enter(machine, request())
    machine.boot("iommu=pt")
    machine.blind(path)
    assert [judged.status for judged in current(machine).judgements()] == ["unknown"]


def test_a_machine_that_reboots_by_itself_fulfils_the_wish(machine: Machine) -> None:
    enter(machine, request())
    assert [judged.status for judged in current(machine).judgements()] == ["pending"]
    machine.boot("iommu=pt")
    assert [judged.status for judged in current(machine).judgements()] == ["fulfilled"]


def test_a_word_that_the_kernel_does_not_know_is_seen_in_its_log(machine: Machine) -> None:
    enter(machine, request(expect=Expect(present=("imomu=pt",))))
    machine.boot("imomu=pt")
    machine.kernel_log = KERNEL_LOG
    (judged,) = current(machine).judgements()
    assert (judged.status, judged.lacking) == ("failed", ("the kernel does not know imomu=pt",))


LINES = KERNEL_LOG.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("log", "journal", "asked", "status"),
    [
        (KERNEL_LOG, None, ["dmesg"], "failed"),
        (LINES[0], KERNEL_LOG, ["dmesg"], "fulfilled"),
        (LINES[2], None, ["dmesg"], "failed"),
        ("[  900.000000] later\n", KERNEL_LOG, ["dmesg", "journalctl"], "failed"),
        ("", "", ["dmesg", "journalctl"], "fulfilled"),
        (None, KERNEL_LOG, ["dmesg", "journalctl"], "failed"),
        (None, None, ["dmesg", "journalctl"], "fulfilled"),
    ],
)
def test_the_journal_is_asked_only_where_the_kernel_has_lost_the_beginning_of_its_log(
    machine: Machine, log: str | None, journal: str | None, asked: list[str], status: str
) -> None:
    """Searching the journal takes seconds on a small machine."""
    enter(machine, request(expect=Expect(present=("imomu=pt",))))
    machine.boot("imomu=pt")
    machine.kernel_log, machine.journal = log, journal
    machine.called.clear()
    assert [judged.status for judged in current(machine).judgements()] == [status]
    assert [argv[0] for argv in machine.called] == asked


def test_the_kernel_log_is_not_searched_when_no_word_is_asked_for(machine: Machine) -> None:
    enter(machine, request(expect=Expect(boot=True)))
    machine.called.clear()
    current(machine)
    assert machine.called == []


def test_what_becomes_of_a_request_is_told(machine: Machine) -> None:
    enter(machine, request())
    before = current(machine)
    (stays,) = book.outcome(before, before, "kernel-args")
    assert (stays["status"], stays["lacking"]) == ("pending", ["iommu=pt is not in /proc/cmdline"])
    _actions, empty = book.plan_book(before, {})
    (gone,) = book.outcome(before, empty, "kernel-args")
    assert (gone["status"], gone["name"]) == ("withdrawn", "kernel-args")
    machine.boot("iommu=pt")
    (done,) = book.outcome(current(machine), empty, "kernel-args")
    assert done["status"] == "fulfilled"
    assert book.outcome(empty, empty, "kernel-args") == []


def test_the_diff_says_who_and_why(machine: Machine) -> None:
    enter(machine, request())
    assert book.show_book(current(machine)) == "reboot asked for by vfio: pages\n"


def test_a_word_that_user_space_reads_is_no_typo(machine: Machine) -> None:
    """Ubuntu has "splash": the kernel passes it on, and plymouth reads it."""
    enter(machine, request(expect=Expect(present=("splash", "biosdevname=0", "imomu=pt"))))
    machine.boot("splash biosdevname=0 imomu=pt")
    machine.kernel_log = KERNEL_LOG.replace('vmlinuz imomu=pt"', 'vmlinuz splash biosdevname=0 imomu=pt"')
    (judged,) = current(machine).judgements()
    assert judged.lacking == ("the kernel does not know imomu=pt",)


def test_a_line_that_the_kernel_cut_off_says_what_it_says(machine: Machine) -> None:
    """A line of the log has 1024 characters, and the kernel's report may be longer (printk.c, PRINTKRB_RECORD_MAX)."""
    enter(machine, request(expect=Expect(present=("imomu=pt",))))
    machine.boot("imomu=pt")
    machine.kernel_log = KERNEL_LOG.partition('",')[0] + " a.\n"
    (judged,) = current(machine).judgements()
    assert judged.lacking == ("the kernel does not know imomu=pt",)


def test_a_module_reads_the_evidence_of_its_own_request_only(machine: Machine) -> None:
    """Another one may have to search the kernel's log, which takes seconds."""
    check = Check("/sys/x", "equals", "1")
    enter(machine, request(), request("module-options", Expect(checks=(check,))))
    machine.called.clear()
    found = book.parse_book(book.read_book(machine.host, own="module-options"))
    assert (machine.called, set(found.evidence.held)) == ([], {check})
    assert set(found.ledger) == {"kernel-args", "module-options"}
    assert set(book.read_book(machine.host, own="kernel-args").evidence.held) == set()
    assert ("dmesg",) in machine.called
