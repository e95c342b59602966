# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakekernel import RELEASE, FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import running as now
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
)

SWAP = Item("vm.swappiness", value="10", owners=("kvm",))


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> FakeKernel:
    return FakeKernel(tmp_path)


@pytest.mark.parametrize(
    ("wish", "shown", "expected"),
    [
        ("1", "Y", "Y"),
        ("on", "N", "Y"),
        ("true", "N", "Y"),
        ("yes", "Y", "Y"),
        ("false", "N", "N"),
        ("off", "Y", "N"),
        ("0", "Y", "N"),
        ("2", "Y", "2"),
        ("0x10", "8", "16"),
        ("-1", "-1", "-1"),
        ("auto", "8", "auto"),
        ("10de:2330", "(null)", "10de:2330"),
    ],
)
def test_an_option_is_expected_in_the_form_in_which_the_kernel_shows_it(
    wish: str, shown: str, expected: str
) -> None:
    check = now.check_of(Item("kvm", "nested", wish, ("kvm",)), shown)
    assert (check.path, check.value, check.label) == (
        "/sys/module/kvm/parameters/nested",
        expected,
        "kvm.nested",
    )


def test_an_interface_that_went_meanwhile_is_no_error_of_a_pattern(fake: FakeKernel) -> None:
    # The network device of a guest that was shut down between reading and writing.
    gone = "/proc/sys/net/ipv4/conf/vnet0/rp_filter"
    now.SetSysctl(Item("net.ipv4.conf.*.rp_filter", value="2"), gone).perform(fake.host)
    for item, path in (
        (Item("net.ipv4.conf.vnet0.rp_filter", value="2"), gone),
        (Item("net.none.*.x"), "/proc/sys/net/none/*/x"),
    ):
        with pytest.raises(Refusal, match="does not exist on the running kernel"):
            now.SetSysctl(item, path).perform(fake.host)


def test_a_key_finds_its_path_and_a_pattern_its_paths(fake: FakeKernel) -> None:
    assert now.sysctl_path("net.ipv4.conf.eth0/1.rp_filter") == "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"
    for name in ("all", "lo"):
        fake.write(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "0\n")
    pattern, plain = (
        Item("net.ipv4.conf.*.rp_filter", value="2"),
        Item("net.ipv4.conf.lo.rp_filter", value="0"),
    )
    wish = {SYSCTL: (pattern, plain, Item("net.none.*.x", value="1"))}
    running = now.read_running(fake.host, wish)
    assert sorted(running.sysctl) == [
        "/proc/sys/net/ipv4/conf/all/rp_filter",
        "/proc/sys/net/ipv4/conf/lo/rp_filter",
        "/proc/sys/net/none/*/x",
    ]
    assert now.keys_of(wish, running)["/proc/sys/net/ipv4/conf/lo/rp_filter"] == plain
    assert now.values_of(wish, running) == {pattern.name: "0", plain.name: "0"}
    assert [action.describe() for action in now.differing(wish, running)] == [
        "set /proc/sys/net/ipv4/conf/all/rp_filter to 2",
        "set /proc/sys/net/none/*/x to 1",
    ]


def test_a_pattern_holds_only_when_all_its_keys_have_the_value(fake: FakeKernel) -> None:
    for name, value in (("a", "2"), ("b", "0"), ("c", "2")):
        fake.write(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", value)
    wish = {SYSCTL: (Item("net.ipv4.conf.*.rp_filter", value="2"),)}
    assert now.values_of(wish, now.read_running(fake.host, wish)) == {"net.ipv4.conf.*.rp_filter": "0"}


def test_nothing_is_read_that_nobody_asked_about(fake: FakeKernel) -> None:
    running = now.read_running(fake.host, {})
    assert (running.loaded, running.available, running.parameters) == (frozenset(), None, {})
    fake.load("tun")
    assert now.read_running(fake.host, {MODULES: (Item("tun"),)}).available is None, "all of them are loaded"


def test_a_module_of_the_kernel_itself_counts_as_loaded(fake: FakeKernel) -> None:
    running = now.read_running(fake.host, {MODULES: (Item("pci_stub"), Item("tun"))})
    assert running.loaded == {"pci_stub"}
    assert running.available is not None and "tun" in running.available


def test_a_module_that_does_not_exist_is_named_with_its_owner(fake: FakeKernel) -> None:
    wish = {MODULES: (Item("vfio_pcj", owners=("vfio",)),)}
    with pytest.raises(Refusal, match=f"vfio_pcj, wanted by role vfio, does not exist .* {RELEASE}"):
        now.refuse_modules(wish, now.read_running(fake.host, wish))


def test_a_kernel_whose_modules_are_gone_takes_a_reboot(fake: FakeKernel) -> None:
    (fake.root / f"lib/modules/{RELEASE}/modules.dep").unlink()
    wish = {MODULES: (Item("tun"),)}
    with pytest.raises(Refusal, match="has no modules on the disk") as caught:
        now.refuse_modules(wish, now.read_running(fake.host, wish))
    assert "reboot into an installed kernel" in caught.value.remedy


# clayfreeman/gpu-passthrough#3: Ubuntu 20.04 built VFIO into its kernel, and modprobe.d was ignored in silence.
def test_regression_gpu_passthrough_3_options_of_a_built_in_module_are_refused() -> None:
    wish = {OPTIONS: (Item("vfio_pci", "ids", "10de:2330", ("vfio",)),)}
    with pytest.raises(Refusal, match="ids of vfio_pci, wanted by role vfio, would do nothing") as caught:
        now.refuse_builtin(wish, {"5.15.0": frozenset(), "5.4.0": frozenset({"vfio_pci"})})
    assert "kernel argument vfio_pci.ids=10de:2330" in caught.value.remedy


def test_a_key_that_cannot_be_read_is_unknown_and_refused() -> None:
    wish = {SYSCTL: (SWAP,)}
    running = now.Running(sysctl={now.sysctl_path(SWAP.name): Reading(why="Permission denied")})
    with pytest.raises(Refusal, match=r"cannot be read \(Permission denied\)"):
        now.values_of(wish, running)


def test_a_sysctl_is_written_whole(fake: FakeKernel) -> None:
    path = now.sysctl_path(SWAP.name)
    fake.write(path, "60000\n")
    now.SetSysctl(SWAP, path).perform(fake.host)
    assert fake.read(path) == "10\n"


def test_a_key_that_no_module_brought_is_refused_with_a_hint(fake: FakeKernel) -> None:
    item = Item("net.bridge.bridge-nf-call-iptables", value="0", owners=("kvm",))
    with pytest.raises(Refusal, match="wanted by role kvm, does not exist") as caught:
        now.SetSysctl(item, now.sysctl_path(item.name)).perform(fake.host)
    assert "br_netfilter" in caught.value.remedy


def test_a_value_that_the_kernel_does_not_take_is_named_with_its_owner(fake: FakeKernel) -> None:
    fake.write("/proc/sys/vm/swappiness/folder", "")
    with pytest.raises(EffectError, match="does not take vm.swappiness = 10 of role kvm"):
        now.SetSysctl(SWAP, now.sysctl_path(SWAP.name)).perform(fake.host)


def test_a_module_that_cannot_be_loaded_is_named_with_its_owner(fake: FakeKernel) -> None:
    fake.broken.add("kvm_intel")
    with pytest.raises(EffectError, match="kvm_intel, wanted by role kvm, cannot be loaded: .*not supported"):
        now.LoadModule(Item("kvm_intel", owners=("kvm",))).perform(fake.host)
