# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real ``main()`` of kernel_args on an injected root, and what becomes of its requests over reboots."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_boot"))

from fakegrub import DEFAULTS, DROPIN, STOCK, GrubHost
from kernel_args_main import Task

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.kernel_args import KernelArgs
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import LEDGER

BOOK = [
    f"write {path}"
    for path in (
        LEDGER,
        "/etc/ansible/facts.d/hearth_reboot.fact",
        "/var/lib/hearth/metrics/hearth_reboot.prom",
    )
]
UNBOOK = [step.replace("write", "remove") for step in BOOK]
WRITE, GENERATE, REMOVE = f"write {DROPIN}", "generate /boot/grub/grub.cfg", f"remove {DROPIN}"
PAGES = ["hugepagesz=1G", "hugepages=2"]
DEFAULT_PARAMS = {
    "args": None,
    "remove": None,
    "owners": {},
    "backend": "auto",
    "running": True,
    "sev_snp": False,
    "planned": [],
}


Make = t.Callable[..., Task]


@pytest.fixture
def make(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Make:
    def build(defaults: str | None = STOCK, **dropins: str) -> Task:
        fake = GrubHost(tmp_path / "host", defaults, **dropins).generate()
        fake.boot()
        return Task(fake, monkeypatch, capsys)

    return build


@pytest.fixture
def task(make: Make) -> Task:
    return make()


def steps(result: dict[str, t.Any]) -> list[str]:
    return [action.split(" (")[0] for action in result["actions"]]


def statuses(result: dict[str, t.Any]) -> dict[str, str]:
    return {argument["name"]: argument["status"] for argument in result["arguments"]}


def test_arguments_are_configured_wait_for_a_reboot_and_are_effective(task: Task) -> None:
    result = task.settled(args=PAGES, owners={"hugepages": ["kvm"]})
    assert steps(result) == [*BOOK, WRITE, GENERATE]
    assert result["arguments"] == [
        {
            "name": "hugepages",
            "wanted": "hugepagesz=1G hugepages=2",
            "configured": "hugepagesz=1G hugepages=2",
            "effective": None,
            "status": "pending",
            "why": "it takes effect with the next boot",
            "owners": ["kvm"],
        }
    ]
    (request,) = result["requests"]
    assert (request["name"], request["status"], request["requested_by"]) == ("kernel-args", "pending", "kvm")
    assert request["since"] == "2026-01-31T12:00:00Z"
    assert [(entry["bare"], entry["complete"]) for entry in result["entries"]] == [
        (False, True),
        (False, True),
        (True, False),
    ]
    assert result["backend"] == "grub"
    assert f"{DROPIN}:" in result["diff"]["after"] and "lacks hugepagesz=1G" in result["diff"]["before"]
    task.fake.boot()
    done = task.settled(args=PAGES)
    assert (steps(done), statuses(done)) == (UNBOOK, {"hugepages": "effective"})
    assert [item["status"] for item in done["requests"]] == ["fulfilled"], (
        "a later task in check mode counts on it"
    )
    assert done["arguments"][0]["effective"] == "hugepagesz=1G hugepages=2"


def test_everything_taken_back_gives_the_host_back_as_it_was(task: Task) -> None:
    before = task.fake.tree()
    task(args=["iommu=pt"], remove=["quiet"])
    result = task.settled(args=[], remove=[])
    assert steps(result) == [*UNBOOK, WRITE, GENERATE, REMOVE]
    assert task.fake.tree() == before


def test_arguments_that_leave_ask_for_a_reboot_too(task: Task) -> None:
    task(args=["iommu=pt"])
    task.fake.boot()
    task(args=["iommu=pt"])
    result = task.settled(args=[])
    assert steps(result) == [*BOOK, WRITE, GENERATE, REMOVE]
    assert result["requests"][0]["lacking"] == ["iommu=pt is still in /proc/cmdline"]
    task.fake.boot()
    assert [item["status"] for item in task.settled(args=[])["requests"]] == ["fulfilled"]


def test_a_wish_that_is_given_up_before_the_reboot_is_withdrawn(task: Task) -> None:
    """Or else a run in check mode would foretell a reboot for it: the ledger on the host still has it then."""
    task(args=["iommu=pt"])
    assert [item["status"] for item in task.settled(args=[])["requests"]] == ["withdrawn"]


OTHER = {
    "name": "module-options",
    "reason": "options",
    "requested_by": "vfio",
    "since": "2026-01-31T12:00:00Z",
    "boot_id": "boot-1",
    "expect": {"present": [], "absent": [], "checks": [], "boot": True},
    "status": "pending",
    "lacking": ["the host has not booted since"],
}


@pytest.mark.parametrize("enters", [True, False])
def test_what_the_task_before_does_to_the_ledger_counts_in_check_mode(task: Task, enters: bool) -> None:
    """Ours goes: with another one that comes the files stay, and with another one that goes, too, they go."""
    task(args=["iommu=pt"])
    path = task.fake.root / LEDGER[1:]
    own = json.loads(path.read_text())["requests"]
    known = {key: value for key, value in OTHER.items() if key not in ("status", "lacking")}
    if not enters:
        path.write_text(json.dumps({"requests": [*own, known]}))
    planned = [{**OTHER, "status": "pending" if enters else "withdrawn"}]
    foretold = task(check=True, args=[], planned=planned)
    path.write_text(json.dumps({"requests": [*own, known] if enters else own}))
    result = task(args=[])
    assert (foretold["actions"], foretold["requests"]) == (result["actions"], result["requests"])
    assert steps(result)[:3] == (BOOK if enters else UNBOOK)


def test_what_is_planned_is_refused_where_it_would_be_carried_out(task: Task) -> None:
    assert "check mode only" in task.refused(args=[], planned=[OTHER])["msg"]
    assert "planned is no request" in task(check=True, args=[], planned=[{}])["msg"]


def test_what_is_left_out_stays_as_it_is(task: Task) -> None:
    task(args=["iommu=pt"], remove=["quiet"])
    for options in ({}, {"args": ["iommu=pt"]}, {"remove": ["quiet"]}):
        result = task.predicted(**options)
        assert (result["changed"], [argument["wanted"] for argument in result["arguments"]]) == (
            False,
            ["iommu=pt"],
        )
    task(remove=[])
    assert task.fake.entries()[0] == "console=ttyS0 quiet iommu=pt"
    task(args=[])
    assert task.fake.entries()[0] == "console=ttyS0 quiet"


def test_a_capability_that_is_there_needs_no_reboot(task: Task) -> None:
    task.fake.write("/sys/class/iommu/dmar0/address", "fed90000\n")
    result = task.settled(args=["intel_iommu=on"])
    assert (steps(result), result["requests"], statuses(result)) == (
        [WRITE, GENERATE],
        [],
        {"intel_iommu": "not_needed"},
    )


@pytest.mark.parametrize(
    ("how", "lacking"),
    [
        ({"ignores": "hugepages=2"}, "hugepagesz=1G hugepages=2 is not in /proc/cmdline"),
        ({"works": False}, "huge pages of 1G: "),
    ],
)
def test_a_wish_that_a_reboot_does_not_fulfil_fails_with_the_evidence_and_asks_for_no_other(
    task: Task, how: dict[str, t.Any], lacking: str
) -> None:
    task(args=PAGES)
    for _boot in range(3):
        task.fake.boot(**how)
        result = task.settled(args=PAGES)
        assert result["changed"] is False
        assert result["requests"][0]["status"] == "failed"
        assert result["requests"][0]["lacking"][0].startswith(lacking)
        assert statuses(result) == {"hugepages": "failed"}


def test_a_typo_is_told_by_the_kernel_after_the_reboot(task: Task) -> None:
    task(args=["intel_iomu=on"])
    task.fake.strange = "BOOT_IMAGE=/boot/vmlinuz intel_iomu=on"
    task.fake.boot()
    result = task.settled(args=["intel_iomu=on"])
    assert (result["requests"][0]["status"], result["arguments"][0]["why"]) == (
        "failed",
        "the kernel does not know intel_iomu=on",
    )


def test_firmware_that_has_the_iommu_off_is_no_reason_to_reboot(make: Make) -> None:
    task = make('GRUB_CMDLINE_LINUX="intel_iommu=on"\n')
    task.fake.boot(works=False)
    shutil.rmtree(task.fake.root / "sys/class/iommu")
    result = task.settled(args=["intel_iommu=on"])
    assert (result["changed"], result["requests"], statuses(result)) == (False, [], {"intel_iommu": "failed"})
    assert "firmware" in result["arguments"][0]["why"]


def test_what_the_operator_says_already_is_not_said_twice(make: Make) -> None:
    task = make('GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt"\n')
    result = task.settled(args=["iommu=pt"])
    assert (result["changed"], statuses(result)) == (False, {"iommu": "effective"})


def test_the_operators_edit_without_update_grub_is_brought_into_the_menu(task: Task) -> None:
    task.fake.write(DEFAULTS, 'GRUB_CMDLINE_LINUX="iommu=pt"\n')
    result = task.settled(args=["iommu=pt"])
    assert steps(result) == [*BOOK, GENERATE]
    assert task.fake.entries() == ["iommu=pt", "iommu=pt"]


def test_hand_edits_and_comments_of_the_operator_are_kept(make: Make) -> None:
    text = "# mine\nGRUB_CMDLINE_LINUX_DEFAULT='quiet vfio-pci.ids=1:1' # why\n"
    task = make(text)
    task.settled(args=["vfio_pci.ids=2:2"])
    assert task.fake.text(DEFAULTS) == text
    assert task.fake.entries()[0].split()[-1] == "vfio_pci.ids=1:1,2:2"
    task.fake.write(DEFAULTS, text.replace("1:1", "3:3"))
    task.settled(args=["vfio_pci.ids=2:2"])
    assert task.fake.entries()[0].split()[-1] == "vfio_pci.ids=3:3,2:2"


def test_a_drop_in_changed_by_hand_is_written_anew(task: Task) -> None:
    task(args=["iommu=pt"])
    task.fake.write(DROPIN, (task.fake.text(DROPIN) or "").replace("DEFAULT iommu=pt", "DEFAULT iommu=off"))
    assert WRITE in steps(task.settled(args=["iommu=pt"]))


@pytest.mark.parametrize("wrong", ["amd_iommu=on", "iommu=1"])
def test_arguments_that_do_nothing_are_pointed_out_and_not_written(task: Task, wrong: str) -> None:
    result = task.settled(args=[wrong])
    assert (result["changed"], result["arguments"]) == (False, [])
    assert result["notices"] == [
        f"{wrong} does nothing: the kernel ignores this value. {result['notices'][0].split('value. ')[1]}"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"args": ["intel_iommu=on"], "owners": {"intel_iommu": ["vfio"]}},
            "wanted by role vfio, and /etc/default/grub says intel_iommu=off",
        ),
        (
            {"args": ["iommu=pt"], "sev_snp": True, "owners": {"iommu": ["vfio"]}},
            "SEV-SNP is wanted on this host, and role vfio says iommu=pt",
        ),
        ({"args": ["isolcpus=0-3"]}, "covers CPU 0"),
        ({"args": ["hugepagesz=1G", "hugepages=15"]}, "leave too little of the 15935 MiB of memory"),
        ({"args": ["a=" + "x" * 2000]}, "characters; it takes 2047"),
        ({"args": ["a=$(reboot)"]}, "is changed on its way"),
        ({"args": ["None"]}, "is the word None"),
        ({"args": None, "remove": ["root"]}, "one that the host starts by"),
        ({"args": ["hugepagesz=1G"]}, "has no count"),
        ({"args": ["a=1", "a=2"]}, "Two values of one kernel argument"),
        ({"args": [], "backend": "lilo"}, "value of backend must be one of"),
        ({"args": {"a": 1}}, "args"),
        ({"args": [], "owners": {"iommu": "vfio"}}, "The owners of iommu are 'vfio'"),
    ],
)
def test_refusals_come_before_the_first_write(make: Make, options: dict[str, t.Any], message: str) -> None:
    task = make('GRUB_CMDLINE_LINUX="intel_iommu=off"\n')
    result = task.refused(**options)
    assert message in result["msg"]
    assert "Traceback" not in str(result.get("exception", ""))


def test_a_contradiction_is_resolved_by_taking_the_other_word_out(make: Make) -> None:
    task = make('GRUB_CMDLINE_LINUX="intel_iommu=off"\n')
    result = task.settled(args=["intel_iommu=on"], remove=["intel_iommu=off"])
    assert task.fake.entries()[0].split() == ["intel_iommu=on"]
    assert "intel_iommu=off to go" in result["requests"][0]["reason"]


def test_a_running_host_that_does_not_start_by_grub_is_refused(task: Task) -> None:
    task.fake.remove("/boot/grub/grub.cfg")
    assert "has no entry for an installed kernel" in task.refused(args=["iommu=pt"])["msg"]
    assert task.predicted(args=[])["changed"] is False


def test_an_entry_without_the_arguments_that_is_started_by_itself_is_pointed_out(task: Task) -> None:
    real = task.fake._mkconfig
    for default, named in (
        ("hand", "hand"),
        ("2>0", "gnulinux-advanced-7c1f>gnulinux-6.1.0-56-amd64-recovery-7c1f"),
        ("0", ""),
        ("${saved_entry}", ""),
    ):

        def made(path: str, default: str = default) -> None:
            real(path)
            entry = "menuentry 'By hand' --id hand {\n\tlinux /boot/vmlinuz root=/dev/sda1 ro\n}\n"
            task.fake.write(path, f'set default="{default}"\n{task.fake.text(path)}{entry}')

        task.fake._mkconfig = made  # type: ignore[method-assign]
        task.fake.generate()
        notices = task.settled(args=["iommu=pt"])["notices"]
        assert [notice.split(" by itself")[0] for notice in notices] == [f"The boot menu starts {named}"][
            : bool(named)
        ]
        assert task.settled(args=[])["notices"] == []


def test_nothing_wished_of_a_boot_loader_that_is_not_managed_is_nothing_to_do(task: Task) -> None:
    task.fake.remove("/usr/sbin/grub-mkconfig")
    assert "No boot loader that is managed here" in task.refused(args=["iommu=pt"])["msg"]
    for options in ({"args": [], "remove": []}, {}):
        result = task.settled(**options)
        assert (result["changed"], result["backend"], result["entries"], result["arguments"]) == (
            False,
            "",
            [],
            [],
        )


def test_an_image_is_configured_and_no_reboot_is_asked_for(task: Task) -> None:
    task.fake.remove("/boot/grub/grub.cfg")
    result = task.settled(args=PAGES, running=False)
    assert (steps(result), result["requests"], result["entries"]) == ([WRITE], [], [])
    assert result["arguments"][0] == {
        "name": "hugepages",
        "wanted": "hugepagesz=1G hugepages=2",
        "configured": None,
        "effective": None,
        "status": "unknown",
        "why": "the root is not the running system",
        "owners": [],
    }


def test_an_image_with_a_menu_is_generated_anew(task: Task) -> None:
    result = task.settled(args=["hugepagesz=1G", "hugepages=1000"], running=False)
    assert steps(result) == [WRITE, GENERATE]
    assert result["arguments"][0]["configured"] == "hugepagesz=1G hugepages=1000"


def test_entries_that_cannot_be_read_are_unknown(task: Task) -> None:
    fake = task.fake
    for path, text in (
        ("/etc/kernel/proxmox-boot-uuids", "5A2F\n"),
        ("/sys/firmware/efi/vars", ""),
        ("/etc/kernel/cmdline", "root=ZFS=rpool/ROOT/pve-1\n"),
    ):
        fake.write(path, text)
    real = fake.host.run

    def run(argv: t.Sequence[str], **options: t.Any) -> t.Any:
        done = real(argv, **options)
        status = "5A2F is configured with: uefi (versions: 6.8.12-4-pve)\n"
        return type(done)(0, status, "") if argv[:2] == ("proxmox-boot-tool", "status") else done

    object.__setattr__(fake.host, "run", run)
    result = task.settled(args=["iommu=pt"])
    assert (result["backend"], result["entries"], result["arguments"][0]["configured"]) == (
        "proxmox",
        [],
        None,
    )
    assert "proxmox-boot-tool" in fake.ran
    task.fake.write("/proc/cmdline", "root=ZFS=rpool/ROOT/pve-1 iommu=pt\n")
    assert statuses(task.settled(args=["iommu=pt"])) == {"iommu": "effective"}


def test_a_menu_that_nothing_of_ours_can_cure_is_an_error(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub import Grub

    monkeypatch.setattr(Grub, "plan", lambda *_ignored: ())
    task.fake.write(DEFAULTS, 'GRUB_CMDLINE_LINUX="iommu=pt"\n')
    assert "gnulinux-simple-7c1f lacks iommu=pt" in task.refused(args=["iommu=pt"])["msg"]


def test_a_generator_that_loses_the_arguments_is_seen(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    # 40-peers.md §3 row 15: success is read back from every entry, never taken from an exit status.
    kept = task.fake.text("/boot/grub/grub.cfg") or ""
    monkeypatch.setattr(task.fake, "_mkconfig", lambda path: task.fake.write(path, kept))
    result = task(args=["iommu=pt"])
    assert result["failed"] is True
    assert (result["error"], "lacks iommu=pt" in result["found"]) == ("VerifyError", True)


WALKS = [
    ([{"args": PAGES}], "a wish"),
    ([{"args": ["iommu=pt"]}, {"args": [*PAGES, "nosmt"]}], "another wish"),
    ([{"args": ["iommu=pt"], "remove": ["quiet"]}, {"args": [], "remove": []}], "nothing"),
]


@pytest.mark.parametrize("walk", [walk for walk, _what in WALKS], ids=[what for _walk, what in WALKS])
def test_sigkill_between_any_two_effects_and_the_next_run_converges(
    tmp_path: pathlib.Path, walk: list[dict[str, t.Any]]
) -> None:
    *before, last = walk

    def fresh(name: str) -> GrubHost:
        fake = GrubHost(tmp_path / name).generate()
        fake.boot()
        for options in before:
            _run(fake, options)
            fake.boot()
            _run(fake, options)
        return fake

    whole = fresh("whole")
    actions = _run(whole, last)
    assert len(actions) >= 5
    for effects in range(len(actions) + 1):
        killed = fresh(f"killed-{effects}")
        _in_a_killed_process(lambda fake=killed, effects=effects: _run(fake, last, dies_after=effects))
        # The host can start at every point, and the request is known before the first change.
        assert killed.entries()
        if killed.text(DROPIN) != fresh(f"before-{effects}").text(DROPIN):
            assert killed.text(LEDGER)
        _run(killed, last)
        assert killed.tree() == whole.tree()
        assert _run(killed, last) == []


def _run(fake: GrubHost, options: dict[str, t.Any], dies_after: int = -1) -> list[str]:
    gate = Gate(fake.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: Action) -> None:
        if len(gate.actions) - 1 == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    KernelArgs({**DEFAULT_PARAMS, **options}, fake.host).execute(gate)
    if dies_after >= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return gate.actions


def _in_a_killed_process(call: t.Callable[[], t.Any]) -> None:
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
