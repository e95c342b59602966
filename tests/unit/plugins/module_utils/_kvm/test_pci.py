# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PCI addresses, devices and groups: the grammar of sysfs, and a reader that nothing can upset."""

from __future__ import annotations

import pathlib
import string

import pytest
import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs

SYSFS = trees.SYSFS
HEX = "0123456789abcdef"
ADDRESSES = st.builds(
    "{}:{:02x}:{:02x}.{}".format,
    st.text(HEX, min_size=4, max_size=8),
    st.integers(0, 0xFF),
    st.integers(0, 0x1F),
    st.integers(0, 7),
)


def read(tree: trees.Tree) -> pci.PciSnapshot:
    return pci_sysfs.read_pci(tree.host)


# What a person or a tool writes, and what sysfs calls it.
NORMAL = [
    ("0000:3b:00.0", "0000:3b:00.0"),
    ("3b:00.0", "0000:3b:00.0"),
    (" 3B:1F.7\n", "0000:3b:1f.7"),
    ("00000000:3B:00.0", "0000:3b:00.0"),
    ("00010000:E1:00.0", "10000:e1:00.0"),
    ("10000:e1:00.0", "10000:e1:00.0"),
    ("FFFFFFFF:00:00.0", "ffffffff:00:00.0"),
]
WRONG = [
    "",
    "3b:00",
    "3b:00.8",
    "3b:20.0",
    "03b:00.0",
    "00:3b:00.0",
    "0000:3b:00.0 x",
    "AMDI0020:00",
    "３b:00.0",
]


@pytest.mark.parametrize(("written", "normal"), NORMAL)
def test_normalise(written: str, normal: str) -> None:
    assert pci.normalise(written) == normal


@pytest.mark.parametrize("written", WRONG)
def test_normalise_names_what_is_no_address(written: str) -> None:
    with pytest.raises(ParseError, match="is not a PCI address") as caught:
        pci.normalise(written)
    assert "0000:3b:00.0" in caught.value.remedy


@given(ADDRESSES)
def test_normal_form_is_stable_and_case_blind(address: str) -> None:
    normal = pci.normalise(address)
    assert pci.normalise(normal) == pci.normalise(address.upper()) == normal
    assert pci.is_address(normal)


@given(ADDRESSES)
def test_normal_form_keeps_the_numbers(address: str) -> None:
    before, after = address.split(":"), pci.normalise(address).split(":")
    assert int(before[0], 16) == int(after[0], 16)
    assert before[1:] == after[1:]


@given(st.text())
def test_any_other_text_is_a_parse_error(text: str) -> None:
    try:
        assert pci.is_address(pci.normalise(text))
    except ParseError as error:
        assert error.remedy


@pytest.mark.parametrize("name", ["AMDI0020:00", "arm-smmu-v3.0.auto", "3b:00.0", "pci0000:00", ""])
def test_only_full_addresses_are_devices(name: str) -> None:
    assert not pci.is_address(name)


# The text of current_link_speed and the GT/s that it means.
SPEEDS = [
    ("16.0 GT/s PCIe", 16.0),
    ("2.5 GT/s", 2.5),
    ("32 GT/s", 32.0),
    ("Unknown", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("text", "speed"), SPEEDS)
def test_speed(text: str | None, speed: float | None) -> None:
    assert pci.parse_speed(text) == speed


def test_regions_keep_direct_and_direct_relaxable_apart() -> None:
    text = "0x0 0xfff direct\n0x2000 0x2fff direct-relaxable\nnonsense\n0xfee00000 0xfeefffff msi\n"
    regions = pci.parse_regions(text)
    assert [region.kind for region in regions] == ["direct", "direct-relaxable", "msi"]
    assert pci.IommuGroup("1", reserved=regions).direct == (pci.Region(0, 0xFFF, "direct"),)


def test_bars_of_a_large_gpu() -> None:
    windows = (
        (0x3E00_0000_0000, 0x3E00_00FF_FFFF, trees.MEM64_PREFETCH),
        (0, 0, 0),
        (0, (128 << 30) - 1, trees.MEM64_PREFETCH),
    )
    bars = pci.parse_bars(trees.resource(*windows))
    assert [(window.index, window.size, window.unmapped) for window in bars] == [
        (0, 1 << 24, False),
        (2, 128 << 30, True),
    ]
    assert all(window.large_capable for window in bars)


def test_a_window_that_the_kernel_wiped_is_still_known_by_its_register() -> None:
    space = trees.config(bars=(0xF000_0000, 0xC, 0x3C, 0x4, 0x1))
    bars = pci.parse_bars(trees.resource((0xF0000000, 0xF0FFFFFF, trees.MEM32)), space)
    assert [(window.index, window.unmapped, window.large_capable) for window in bars] == [
        (0, False, False),
        (1, True, True),
        (3, True, False),
    ]


@pytest.mark.parametrize("space", [None, b"", b"\xff" * 64, trees.config(trees.BRIDGE, bars=(0xC,))])
def test_registers_that_say_nothing(space: bytes | None) -> None:
    assert pci.parse_bars(trees.resource(), space) == ()


def test_serial_number_is_written_as_lspci_does() -> None:
    space = trees.config(serial=bytes.fromhex("efcdab8967452301"))
    assert pci.parse_serial(space) == "01-23-45-67-89-ab-cd-ef"


def test_a_capability_list_that_runs_in_a_circle_ends() -> None:
    space = bytearray(trees.config(serial=bytes(8)))
    space[0x140:0x144] = (0x100 << 20 | 0x0001).to_bytes(4, "little")
    assert pci.parse_serial(bytes(space)) is None


@given(st.binary(max_size=4200))
def test_no_configuration_space_upsets_the_parsers(space: bytes) -> None:
    pci.parse_serial(space)
    pci.parse_bars(trees.resource(), space)


@given(st.text(alphabet=string.printable))
def test_no_text_upsets_the_parsers(text: str) -> None:
    pci.parse_bars(text)
    pci.parse_regions(text)
    pci.parse_speed(text)
    pci.parse_int(text)


def test_the_lab(tmp_path: pathlib.Path) -> None:
    snapshot = read(trees.lab(tmp_path))
    assert len(snapshot.devices) == len(trees.LAB_DEVICES)
    nvme = snapshot.devices["0000:03:00.0"]
    assert (nvme.ids, nvme.class_code, nvme.driver, nvme.group) == ("1b36:0010", "010802", "nvme", "11")
    assert (nvme.sriov, nvme.reset_methods) == (pci.Sriov(4, 0), ("flr", "bus"))
    assert snapshot.devices["0000:01:00.0"].reset_methods == ()
    below = snapshot.devices["0000:06:00.0"]
    assert (below.root, below.parents) == ("pci0000:00", ("0000:00:10.3", "0000:04:00.0", "0000:05:00.0"))
    assert below.numa_node is None
    assert below.driver_override is None


def test_lab_groups_are_those_that_were_seen(tmp_path: pathlib.Path) -> None:
    groups = read(trees.lab(tmp_path)).groups
    assert groups is not None
    shared = {frozenset(a[5:] for a in group.devices) for group in groups.values() if len(group.devices) > 1}
    assert shared == {
        frozenset({"00:06.0", "00:06.1"}),
        frozenset({"00:10.1", "02:00.0"}),
        frozenset({"01:00.0", "01:00.1", "01:00.2"}),
        frozenset({"08:00.0", "09:01.0", "09:02.0"}),
        frozenset({"05:00.0", "06:00.0"}),
        frozenset({"05:01.0", "07:00.0"}),
        frozenset({"00:1f.0", "00:1f.2", "00:1f.3"}),
    }


def test_an_acpi_device_in_a_group_is_kept_apart(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).group("7")
    tree.device("00:14.0", "1022:790b", "0c0500", group="7", source=SYSFS)
    tree.member("7", "AMDI0020:00", "/sys/devices/platform/AMDI0020:00")
    group = (read(tree).groups or {})["7"]
    assert (group.devices, group.others) == (("0000:00:14.0",), ("AMDI0020:00",))


def test_an_nvswitch_is_no_bridge_and_a_port_is(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path)
    tree.device("05:00.0", "10de:22a3", "068000", driver="nvidia-nvswitch", source="HGX H100, type-0 header")
    tree.device(
        "00:01.0", "8086:352a", "060400", header=0x80 | trees.BRIDGE, source="multi-function root port"
    )
    snapshot = read(tree)
    assert {a: snapshot.is_bridge(d) for a, d in snapshot.devices.items()} == {
        "0000:00:01.0": True,
        "0000:05:00.0": False,
    }


def test_a_virtual_function_and_its_parent(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path)
    pf = {"sriov_totalvfs": "4\n", "sriov_numvfs": "1\n", "sriov_drivers_autoprobe": "0\n"}
    tree.device("03:00.0", "10de:2330", "030200", files=pf, links={"virtfn0": "0000:03:00.4"}, source=SYSFS)
    tree.device("03:00.4", "10de:2330", "030200", links={"physfn": "0000:03:00.0"}, source=SYSFS)
    snapshot = read(tree)
    parent, child = snapshot.devices["0000:03:00.0"], snapshot.devices["0000:03:00.4"]
    assert (parent.sriov, parent.virtfns) == (pci.Sriov(4, 1, autoprobe=False), ("0000:03:00.4",))
    assert (child.physfn, child.is_gpu, parent.is_gpu) == ("0000:03:00.0", False, True)


def test_a_vmd_domain_hangs_below_its_controller(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path)
    root = "pci0000:00/0000:00:0e.0/pci10000:e0"
    tree.device(
        "10000:e1:00.0", "8086:0a54", "010802", under=("10000:e0:01.0",), root=root, source="Intel VMD"
    )
    device = read(tree).devices["10000:e1:00.0"]
    assert (device.root, device.parents) == ("pci10000:e0", ("0000:00:0e.0", "10000:e0:01.0"))


def test_slot_names_and_labels(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).put("/sys/bus/pci/slots/5-1/address", "0000:3b:00\n", source="slot.c")
    assert isinstance(tree, trees.Tree)
    tree.device(
        "3b:00.0", "10de:2330", "030200", files={"label": "GPU 1\n"}, source="drivers/pci/pci-label.c"
    )
    device = read(tree).devices["0000:3b:00.0"]
    assert (device.slot, device.label) == ("5-1", "GPU 1")


def test_errors_are_counted_without_their_total(tmp_path: pathlib.Path) -> None:
    text = "RxErr 3\nBadTLP 0\nRollover 1\nTOTAL_ERR_COR 4\n"
    files = {"aer_dev_correctable": text, "aer_dev_fatal": "DLP 0\nTOTAL_ERR_FATAL 0\n"}
    tree = trees.translating(tmp_path).device("3b:00.0", "10de:2330", "030200", files=files, source="aer.c")
    aer = read(tree).devices["0000:3b:00.0"].aer
    assert aer == {"correctable": {"RxErr": 3, "Rollover": 1}, "nonfatal": {}, "fatal": {}}


def test_an_old_kernel_says_only_whether_a_reset_exists(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path)
    tree.device("01:00.0", "10de:2330", "030200", files={"reset": ""}, source="Linux before 5.15")
    tree.device("02:00.0", "10de:2330", "030200", source="Linux before 5.15")
    devices = read(tree).devices
    assert devices["0000:01:00.0"].reset_methods == ("unnamed",)
    assert devices["0000:02:00.0"].reset_methods == ()


def test_links_are_read_as_text_and_never_leave_the_tree(tmp_path: pathlib.Path) -> None:
    """An absolute link of a copied tree would otherwise lead to this machine's own devices."""
    tree = trees.translating(tmp_path)
    tree.put("/sys/devices/pci0000:00/0000:00:02.0/vendor", "0x8086\n", source=SYSFS)
    entry = tmp_path / "sys/bus/pci/devices/0000:00:02.0"
    entry.symlink_to("/sys/devices/pci0000:00/0000:00:02.0")
    (entry.parent / "0000:00:03.0").symlink_to("../../../../../../../../etc")
    devices = read(tree).devices
    assert devices["0000:00:02.0"].vendor == "8086"
    assert devices["0000:00:03.0"] == pci.PciDevice("0000:00:03.0")


def test_a_copy_without_links_is_read_in_place(tmp_path: pathlib.Path) -> None:
    tree = trees.Tree(tmp_path)
    tree.put("/sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n", source="cp -rL of a host")
    assert read(tree).devices == {"0000:00:02.0": pci.PciDevice("0000:00:02.0", vendor="8086")}


def test_an_empty_root(tmp_path: pathlib.Path) -> None:
    assert pci_sysfs.read_pci(Host(root=str(tmp_path))) == pci.PciSnapshot({}, None, present=False)


def test_each_file_is_read_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = Host.read
    monkeypatch.setattr(Host, "read", lambda self, path: opened.append(path) or original(self, path))
    read(trees.lab(tmp_path))
    assert opened
    assert len(opened) == len(set(opened))


NAMES = sorted(
    {"vendor", "class", "numa_node", "resource", "config", "reset_method", "sriov_totalvfs", "label"}
)
NAMES += ["current_link_speed", "current_link_width", "max_link_width", "boot_vga", "aer_dev_correctable"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=80), min_size=1))
def test_no_content_upsets_the_reader(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    tree = trees.Tree(root).device(
        "3b:00.0", "10de:2330", "030200", files=contents, group="1", source="anything"
    )
    tree.group("1", reserved=contents.get("resource", b"").decode("latin-1"))
    assert set(read(tree).devices) == {"0000:3b:00.0"}


@pytest.mark.parametrize(
    ("methods", "others", "alone"),
    [
        (("bus",), (), ("bus",)),
        (("flr", "bus"), ("0000:3b:00.1",), ("flr",)),
        (("bus",), ("0000:3b:02.0",), ()),
        (("bus",), ("0000:3c:00.0",), ("bus",)),
        ((), ("0000:3b:00.1",), ()),
        (None, ("0000:3b:00.1",), None),
    ],
)
def test_a_reset_of_the_bus_is_one_of_all_who_are_on_it(
    methods: tuple[str, ...] | None, others: tuple[str, ...], alone: tuple[str, ...] | None
) -> None:
    device = pci.PciDevice("0000:3b:00.0", reset_methods=methods)
    devices = {name: pci.PciDevice(name) for name in others}
    assert pci.PciSnapshot({device.address: device, **devices}).resets_alone(device) == alone
