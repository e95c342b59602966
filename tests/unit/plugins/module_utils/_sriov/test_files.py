# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import files, model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Identity

ADDRESS, IDS = "0000:03:00.0", "8086:10c9:8086:a03c"
SETTINGS = {"numvfs": "4", "autoprobe": "0", "vf0.mac": "52:54:00:3b:00:00", "vf0.vlan": "100"}
# What udev 252.39-1~deb12u2 of Debian 12 took as it is: `udevadm test -a add` on a fake sysfs
# (SYSTEMD_DEVICE_VERIFY_SYSFS=0) wrote 0 and 4 in this order and listed the program; with 4 VFs there, neither.
# With /etc/initrd-release there it wrote nothing at all.
RULE = """# Virtual functions, made at each boot. Written by hearth.gpu_host.sriov_vfs; changes are overwritten.

# hearth: 0000:03:00.0 8086:10c9:8086:a03c numvfs=4 autoprobe=0 vf0.mac=52:54:00:3b:00:00 vf0.vlan=100
ACTION=="add|bind", SUBSYSTEM=="pci", KERNEL=="0000:03:00.0", ATTR{vendor}=="0x8086", ATTR{device}=="0x10c9", \
ATTR{subsystem_vendor}=="0x8086", ATTR{subsystem_device}=="0xa03c", TEST!="/etc/initrd-release", \
ATTR{sriov_drivers_autoprobe}="0"
ACTION=="add|bind", SUBSYSTEM=="pci", KERNEL=="0000:03:00.0", ATTR{vendor}=="0x8086", ATTR{device}=="0x10c9", \
ATTR{subsystem_vendor}=="0x8086", ATTR{subsystem_device}=="0xa03c", TEST!="/etc/initrd-release", \
DRIVER=="?*", ATTR{sriov_numvfs}=="0", ATTR{sriov_numvfs}="4", ENV{.HEARTH_SRIOV}="1"
SUBSYSTEM=="pci", KERNEL=="0000:03:00.0", ENV{.HEARTH_SRIOV}=="1", RUN+="/bin/sh -c \
'PATH=/usr/sbin:/usr/bin:/sbin:/bin; for i in /sys%p/net/*; do ip link set dev $${i##*/} vf 0 mac 52:54:00:3b:00:00 \
vlan 100; done'"
"""


def entry(address: str, **settings: str) -> model.Entry:
    return model.Entry(address, Identity(*IDS.split(":")), settings)


fields = st.one_of(
    st.tuples(st.just("mac"), st.from_regex("[0-9a-f][02468ace](:[0-9a-f]{2}){5}", fullmatch=True)),
    st.tuples(st.sampled_from(["max_tx_rate", "min_tx_rate"]), st.integers(0, 10**9 - 1).map(str)),
    st.tuples(st.just("vlan"), st.integers(0, 4094).map(str)),
    st.tuples(st.just("qos"), st.integers(0, 7).map(str)),
    st.tuples(st.sampled_from(["spoofchk", "trust"]), st.sampled_from(["on", "off"])),
    st.tuples(st.just("link_state"), st.sampled_from(["auto", "enable", "disable"])),
)
of_vfs = st.dictionaries(
    st.tuples(st.integers(0, 99999), fields).map(
        lambda pair: (model.key_of(pair[0], pair[1][0]), pair[1][1])
    ),
    st.none(),
    max_size=6,
).map(dict)
own = st.fixed_dictionaries(
    {}, optional={"numvfs": st.integers(1, 65535).map(str), "autoprobe": st.sampled_from(["0", "1"])}
)
settings = st.tuples(own, of_vfs).map(lambda pair: {**pair[0], **dict(pair[1].keys())})
addresses = st.from_regex("[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]", fullmatch=True)
identities = st.lists(st.from_regex("[0-9a-f]{4}", fullmatch=True), min_size=4, max_size=4)
entries = st.lists(
    st.builds(lambda a, i, s: model.Entry(a, Identity(*i), s), addresses, identities, settings)
).map(lambda found: {one.address: one for one in found})


def test_the_rule_is_the_one_that_udev_was_seen_to_follow() -> None:
    assert files.render_rules({ADDRESS: entry(ADDRESS, **SETTINGS)}) == RULE.replace("\\\n", "")


def test_without_settings_there_is_nothing_to_do_at_boot() -> None:
    assert files.render_rules({ADDRESS: entry(ADDRESS)}) == ""
    assert files.render_record({}) == ""


def test_autoprobe_alone_does_not_wait_for_a_driver() -> None:
    text = files.render_rules({ADDRESS: entry(ADDRESS, autoprobe="0")})
    assert text.endswith('ATTR{sriov_drivers_autoprobe}="0"\n')
    assert "DRIVER" not in text and "numvfs" not in text


@hypothesis.given(entries)
def test_rules_say_what_they_were_made_of(found: dict[str, model.Entry]) -> None:
    text = files.render_rules(found)
    assert files.parse_rules(text) == {address: one for address, one in found.items() if one.settings}
    assert files.render_rules(files.parse_rules(text)) == text


@hypothesis.given(entries)
def test_the_record_says_what_it_was_made_of(found: dict[str, model.Entry]) -> None:
    assert files.parse_record(files.render_record(found)) == found


@hypothesis.given(entries)
def test_no_rule_is_without_the_address_and_all_four_ids_of_its_device(found: dict[str, model.Entry]) -> None:
    for line in files.render_rules(found).splitlines():
        if "ATTR" in line:
            assert all(
                f"ATTR{{{name}}}==" in line
                for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
            )
        assert line.startswith("#") or not line or 'KERNEL=="' in line
        assert "new_id" not in line and "driver_override" not in line
        assert 'ATTR{sriov_numvfs}="' not in line or 'ATTR{sriov_numvfs}=="0"' in line


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        ADDRESS,
        f"03:00.0 {IDS}",
        f"{ADDRESS} 8086:10c9",
        f"{ADDRESS} {IDS} numvfs",
        f"{ADDRESS} {IDS} numvfs=x",
        f"{ADDRESS} {IDS} numvfs=1 numvfs=2",
        f"{ADDRESS} {IDS} vf0.mac=$(reboot)",
        f"{ADDRESS} {IDS} numvfs=1\n{ADDRESS} {IDS} numvfs=1",
    ],
)
def test_a_damaged_line_is_no_answer(line: str) -> None:
    with pytest.raises(ParseError, match="is damaged"):
        files.parse_record(f"{line}\n")
    with pytest.raises(ParseError, match="is damaged"):
        files.parse_rules("".join(f"# hearth: {part}\n" for part in line.splitlines()))
