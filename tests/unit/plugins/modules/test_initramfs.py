# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The real ``main()`` of initramfs on an injected root with fake tools, for each of the two."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import types
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_initramfs"))

from fakeimages import BOOTED, NEW, OLD, FakeImages

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.capability import Initramfs
from ansible_collections.hearth.gpu_host.plugins.modules import initramfs

RULES = "/etc/udev/rules.d/10-hearth.rules"
MODPROBE = "/etc/modprobe.d/hearth.conf"
WISH: dict[str, t.Any] = {
    "modules": ["vfio-pci", "pci_stub"],
    "files": [RULES, MODPROBE],
    "owners": {RULES: ["vfio"], "nonsense": ["vfio"]},
}
NOTHING: dict[str, t.Any] = {"modules": [], "files": []}


class Task:
    """Runs the module's real main() on the fake images."""

    def __init__(self, fake: FakeImages, capsys: pytest.CaptureFixture[str]) -> None:
        self.fake = fake
        self._capsys = capsys

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            initramfs.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = self.fake.tree()
        foretold = self(check=True, **options)
        assert self.fake.tree() == before
        result = self(**options)
        assert foretold == result
        return result

    def builds(self, **options: t.Any) -> list[str]:
        """Return what a run builds, and prove that the next one builds nothing."""
        self.fake.builds.clear()
        self.predicted(**options)
        built = list(self.fake.builds)
        assert self.predicted(**options)["changed"] is False
        assert self.fake.builds == built
        return built


@pytest.fixture(params=["initramfs-tools", "dracut"])
def task(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Task:
    fake = FakeImages(tmp_path, dracut=request.param == "dracut")
    fake.write(RULES, "rule\n")
    fake.write(MODPROBE, "options vfio_pci disable_vga=1\n")
    monkeypatch.setattr(_module, "Host", lambda: fake.host)
    monkeypatch.setattr(Initramfs, "lock", staticmethod(no_lock))
    return Task(fake, capsys)


def test_create_then_nothing_to_do(task: Task) -> None:
    result = task.predicted(**WISH)
    verbs = [action.split()[0] for action in result["actions"]]
    assert verbs[-4:] == ["keep", "run", "keep", "run"]
    assert set(verbs[:-4]) == {"write"}
    assert task.fake.builds == [OLD, NEW]
    image = result["images"][1]
    assert (image["image"], image["rebuilt"], image["missing"]) == (
        f"/boot/initrd.img-{NEW}",
        True,
        ["vfio_pci", MODPROBE, RULES],
    )
    assert (image["modules"], image["builtin"], image["unavailable"]) == (["vfio_pci"], ["pci_stub"], [])
    again = task.predicted(**WISH)
    assert (again["changed"], [i["rebuilt"] for i in again["images"]]) == (False, [False, False])
    assert f"/boot/initrd.img-{NEW}: inputs " in again["diff"]["after"]


# OpenNebula/one-deploy (40-peers.md, A1) rebuilds nowhere, so that options of modprobe.d never reach the initramfs.
# openstack-k8s-operators/edpm-ansible (A2) runs `dracut --force` in every run.
def test_regression_one_deploy_and_edpm_images_are_built_when_an_input_changed_and_only_then(
    task: Task,
) -> None:
    assert task.builds(**WISH) == [OLD, NEW]
    task.fake.write("/etc/modprobe.d/operator.conf", "blacklist nouveau\n")
    assert task.builds(**WISH) == [OLD, NEW], "a file of somebody else is an input as well"
    task.fake.write(RULES, "another rule\n")
    assert task.builds(**WISH) == [OLD, NEW]
    task.fake.write("/etc/modprobe.d/readme.txt", "no input\n")
    assert task.builds(**WISH) == []


# "worked until kernel update" (10-host-and-vfio.md, 6, row 20)
def test_a_kernel_upgrade_builds_an_image_that_needs_nothing(task: Task) -> None:
    task(**WISH)
    task.fake.kernel("6.1.0-51-cloud-amd64")
    tool = "update-initramfs" if task.fake.file("/usr/sbin/update-initramfs").exists() else "dracut"
    image = "/boot/initrd.img-6.1.0-51-cloud-amd64"
    argv = {
        "update-initramfs": [tool, "-u", "-k", "6.1.0-51-cloud-amd64"],
        "dracut": [tool, "-q", "--force", image, "6.1.0-51-cloud-amd64"],
    }
    task.fake(argv[tool], timeout_s=900)
    assert task.predicted(**WISH)["changed"] is False


def test_only_the_images_that_are_wrong_are_built(task: Task) -> None:
    task(**WISH)
    task.fake.write(task.fake.image(OLD), "somebody built this without our hook\n")
    assert task.builds(**WISH) == [OLD]


def test_a_torn_image_is_built_anew_and_never_kept(task: Task) -> None:
    task(**WISH)
    task.fake.write(task.fake.image(NEW), "torn")
    task.fake.age(NEW, BOOTED - 1)
    result = task.predicted(**WISH)
    assert [action.split()[0] for action in result["actions"]] == ["run"]
    assert task.fake.file(f"{task.fake.image(NEW)}.hearth-previous").read_text().startswith("stock")


def test_the_image_that_booted_is_kept_not_one_that_never_did(task: Task) -> None:
    task(**WISH)
    for kernel in (OLD, NEW):
        task.fake.age(kernel, BOOTED + 60)
    task.fake.write(RULES, "a change before the reboot\n")
    assert not [action for action in task.predicted(**WISH)["actions"] if action.startswith("keep")]
    kept = task.fake.file(f"{task.fake.image(NEW)}.hearth-previous")
    assert kept.read_text() == "stock\netc/fstab\n"
    task.fake.age(NEW, BOOTED - 1)
    task.fake.write(RULES, "a change after the reboot\n")
    task.predicted(**WISH)
    assert "vfio-pci.ko" in kept.read_text()


def test_a_host_that_fell_back_keeps_the_image_it_was_started_with(task: Task) -> None:
    """The one beside it is older than this boot, too, and is the one that did not start."""
    task(**WISH)
    for kernel in (OLD, NEW):
        task.fake.age(kernel, BOOTED - 60)
    task.fake.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz ro hearth.fallback\n")
    task.fake.write(RULES, "a correction\n")
    assert not [action for action in task.predicted(**WISH)["actions"] if action.startswith("keep")]
    kept = task.fake.file(f"{task.fake.image(NEW)}.hearth-previous")
    assert kept.read_text() == "stock\netc/fstab\n"


def test_a_fallback_that_boots_by_itself_does_not_lose_its_image(task: Task) -> None:
    """The wish is withdrawn, and the run dies before the trial is taken back: the next boot needs the kept image."""
    task(**WISH)
    task.fake.write("/etc/grub.d/42_hearth", "#!/bin/sh\n")
    assert not [action for action in task.predicted(**NOTHING)["actions"] if "hearth-previous" in action]
    assert task.predicted(**NOTHING)["changed"] is False
    task.fake.file("/etc/grub.d/42_hearth").unlink()
    assert task.predicted(**NOTHING)["actions"] == [
        f"remove {task.fake.image(kernel)}.hearth-previous" for kernel in (OLD, NEW)
    ]


def test_what_was_kept_of_a_removed_kernel_goes(task: Task) -> None:
    task(**WISH)
    for path in (task.fake.file(f"/lib/modules/{OLD}/modules.dep"), task.fake.file(task.fake.image(OLD))):
        path.unlink()
    assert task.predicted(**WISH)["actions"] == [f"remove {task.fake.image(OLD)}.hearth-previous"]


def test_omitted_stays_empty_clears(task: Task) -> None:
    task(**WISH)
    assert task.builds(modules=["dm_mod"]) == [OLD, NEW]
    image = task.predicted()["images"][0]
    assert (image["modules"], image["files"]) == (["dm_mod"], [MODPROBE, RULES])
    assert task.builds(files=[]) == [OLD, NEW]
    assert task.predicted()["images"][0]["files"] == []


def test_removal_gives_the_host_back(task: Task) -> None:
    task(**WISH)
    result = task.predicted(**NOTHING)
    assert [action for action in result["actions"] if action.startswith("keep")] == []
    assert result["actions"][-2:] == [
        f"remove {task.fake.image(kernel)}.hearth-previous" for kernel in (OLD, NEW)
    ]
    assert task.fake.file(task.fake.image(NEW)).read_text() == "stock\netc/fstab\n"
    assert not [
        path
        for path in task.fake.tree()
        if "hearth" in path and "/backup/" not in path and path[-4:] != "conf" and not path.endswith(".rules")
    ]
    again = task.predicted(**NOTHING)
    assert (again["changed"], again["images"], task.predicted()["changed"]) == (False, [], False)


def test_while_an_image_is_baked_nothing_is_kept_and_no_initramfs_is_no_error(task: Task) -> None:
    assert not [a for a in task.predicted(**WISH, running=False)["actions"] if a.startswith("keep")]
    for kernel in (OLD, NEW):
        task.fake.file(task.fake.image(kernel)).unlink()
    assert task.predicted(**WISH, running=False)["changed"] is False
    assert "No initramfs of an installed kernel was found" in task(**WISH)["msg"]


def test_a_kernel_that_has_no_image_is_told_and_left_alone(task: Task) -> None:
    # The build in the installation of a kernel failed, as /boot was full: GRUB starts it first, and it panics.
    for kernel in (OLD, NEW):
        task.fake.write(f"/boot/vmlinuz-{kernel}", "")
    task.fake.file(task.fake.image(NEW)).unlink()
    result = task.predicted(**WISH)
    assert (result["without"], [image["kernel"] for image in result["images"]]) == ([NEW], [OLD])
    assert task.fake.builds == [OLD]


def test_without_a_kernel_the_configuration_waits_for_one(task: Task) -> None:
    for kernel in (OLD, NEW):
        task.fake.file(f"/lib/modules/{kernel}/modules.dep").unlink()
    result = task.predicted(modules=["tun"], files=[], running=False)
    assert (set(action.split()[0] for action in result["actions"]), result["images"]) == ({"write"}, [])


def test_check_mode_knows_what_an_earlier_task_is_about_to_write(task: Task) -> None:
    task(**WISH)
    text = "options vfio_pci disable_vga=0\n"
    foretold = task(check=True, **WISH, contents={MODPROBE: text, "/etc/modules-load.d/hearth.conf": "tun\n"})
    task.fake.write(MODPROBE, text)
    assert task(check=True, **WISH)["actions"] == foretold["actions"] != []
    task(**WISH, contents={MODPROBE: text})
    removed = task(check=True, modules=["vfio_pci"], files=[RULES], contents={MODPROBE: ""})
    task.fake.file(MODPROBE).unlink()
    result = task(modules=["vfio_pci"], files=[RULES], contents={MODPROBE: ""})
    assert (result["changed"], result["actions"]) == (True, removed["actions"])


def test_a_file_that_is_not_there_yet_is_foretold_and_refused_in_the_run(task: Task) -> None:
    task.fake.file(RULES).unlink()
    before = task.fake.tree()
    assert task(check=True, **WISH)["changed"] is True
    result = task(**WISH)
    assert f"{RULES}, wanted in the initramfs by role vfio, is no file" in result["msg"]
    assert (task.fake.tree(), task.fake.builds) == (before, [])


def test_a_module_that_one_kernel_lacks_is_told_and_one_that_none_has_is_refused(task: Task) -> None:
    task.fake.write(f"/lib/modules/{OLD}/modules.dep", "kernel/vfio-pci.ko:\n")
    image = task.predicted(modules=["nvidia"], files=[])["images"][0]
    assert (image["kernel"], image["unavailable"], image["modules"]) == (OLD, ["nvidia"], [])
    before = task.fake.tree()
    result = task(modules=["nonsense"], files=[], owners=WISH["owners"])
    assert "nonsense, wanted in the initramfs by role vfio, exists in no installed kernel" in result["msg"]
    assert task.fake.tree() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modules": ["/etc/x"]}, "modules has /etc/x"),
        ({"files": ["vfio_pci"]}, "files has vfio_pci"),
        ({"files": ["/etc/../x"]}, "an initramfs file is"),
    ],
)
def test_bad_names_are_refused(task: Task, options: dict[str, t.Any], words: str) -> None:
    assert words in task(**options)["msg"]


def test_no_room_is_refused_by_name_before_the_first_write(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: t.Any = types.SimpleNamespace(f_bavail=1, f_frsize=4096, f_flag=0)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    before = task.fake.tree()
    assert "/boot has 0 MiB left" in task(**WISH)["msg"]
    assert task.fake.tree() == before


def test_a_build_that_leaves_something_out_is_seen(task: Task) -> None:
    task.fake.lazy = True
    result = task(**WISH)
    assert (result["error"], "lacks vfio_pci" in result["found"]) == ("VerifyError", True)


def test_a_host_without_a_tool_is_refused_with_the_manual_way(task: Task) -> None:
    for path in ("/usr/sbin/update-initramfs", "/usr/bin/dracut"):
        task.fake.file(path).unlink(missing_ok=True)
    result = task(**WISH)
    assert "Neither initramfs-tools" in result["msg"]
    assert f"put pci_stub, vfio_pci, {MODPROBE}, {RULES} into the initramfs by hand" in result["remedy"]
    assert task.predicted(**NOTHING)["backend"] == ""


def test_an_unreadable_or_foreign_record_stops(task: Task) -> None:
    task(**WISH)
    record = next(
        p
        for p in ("/etc/initramfs-tools/hooks/hearth", "/etc/dracut.conf.d/90-hearth.conf")
        if task.fake.file(p).exists()
    )
    task.fake.write(record, "somebody else\n")
    assert f"{record} is not what this module writes" in task(modules=["tun"])["msg"]
    task.fake.file(record).unlink()
    task.fake.file(record).mkdir()
    assert f"make {record} readable" in task(**WISH)["msg"]


def test_a_hook_that_cannot_be_run_is_mended(task: Task) -> None:
    task(**WISH)
    hook = task.fake.file("/etc/initramfs-tools/hooks/hearth")
    if hook.exists():
        hook.chmod(0o644)
        assert task.predicted(**WISH)["actions"] == ["write /etc/initramfs-tools/hooks/hearth (0755)"]
    assert task.predicted(**WISH)["changed"] is False


def test_an_operator_who_forbids_builds_is_not_overruled(task: Task) -> None:
    conf = "/etc/initramfs-tools/update-initramfs.conf"
    if not task.fake.file("/usr/sbin/update-initramfs").exists():
        assert task.builds(**WISH) == [OLD, NEW], "dracut has no such switch"
        return
    task(**WISH)
    task.fake.write(conf, "update_initramfs=no\n")
    assert task.predicted(**WISH)["changed"] is False
    assert f"must be built anew, and {conf} says update_initramfs=no" in task(**NOTHING)["msg"]


@pytest.mark.parametrize("wish", [WISH, NOTHING], ids=["present", "absent"])
@pytest.mark.parametrize("tool", ["initramfs-tools", "dracut"])
def test_sigkill_between_any_two_effects_and_the_next_run_converges(
    tmp_path: pathlib.Path, tool: str, wish: dict[str, t.Any]
) -> None:
    params = {"owners": {}, "contents": {}, "keep_previous": True, "running": True, **wish}
    ends: set[str] = set()
    for effects in range(8):
        fake = FakeImages(tmp_path / str(effects), dracut=tool == "dracut")
        fake.write(RULES, "rule\n")
        fake.write(MODPROBE, "options vfio_pci disable_vga=1\n")
        if wish == NOTHING:
            _run(fake, {**params, **WISH}, -1)
        _forked(lambda fake=fake, params=params, effects=effects: _run(fake, params, effects))
        assert len(fake.boot_names()) >= 2
        assert all("torn" not in fake.file(fake.image(kernel)).read_text() for kernel in (OLD, NEW))
        _run(fake, params, -1)
        assert _run(fake, params, -1)["changed"] is False
        ends.add(fake.file(fake.image(NEW)).read_text() + str(fake.boot_names()))
    assert len(ends) == 1


def _run(fake: FakeImages, params: dict[str, t.Any], dies_after: int) -> dict[str, t.Any]:
    gate = Gate(fake.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: t.Any) -> None:
        if len(gate.actions) - 1 == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    return Initramfs(params, fake.host).execute(gate)


def _forked(call: t.Callable[[], object]) -> None:
    """Run it in a process that may be killed; one with fewer effects than the deadly one ends by itself."""
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, -signal.SIGKILL)
