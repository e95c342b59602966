# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.rules import (
    Bound,
    parse_rules,
    render_rules,
)

WHO = Identity("1234", "1111", "1af4", "1100")
DISPLAY = Entry("0000:01:00.0", WHO, "vfio-pci", "bochs-drm")
TWIN = Entry("0000:0b:00.0", WHO, "vfio-pci", "bochs-drm")
RULE = (
    'ACTION=="add", SUBSYSTEM=="pci", KERNEL=="0000:01:00.0", ATTR{vendor}=="0x1234", ATTR{device}=="0x1111", '
    'ATTR{subsystem_vendor}=="0x1af4", ATTR{subsystem_device}=="0x1100", ATTR{driver_override}="vfio-pci", '
    'ATTR{[subsystem/pci]drivers_probe}="$kernel", RUN{builtin}+="kmod load vfio-pci"'
)

HEX4 = st.text("0123456789abcdef", min_size=4, max_size=4)
BOUND = st.builds(
    Bound,
    st.builds("0000:{:02x}:{:02x}.{}".format, st.integers(0, 255), st.integers(0, 31), st.integers(0, 7)),
    st.builds(Identity, HEX4, HEX4, HEX4, HEX4),
    st.sampled_from(["vfio-pci", "mlx5_vfio_pci", "nvgrace-gpu-vfio-pci"]),
)


def test_a_rule_holds_for_one_address_and_for_who_is_there() -> None:
    lines = render_rules([DISPLAY]).splitlines()
    assert lines[-2:] == ["# hearth: 0000:01:00.0 1234:1111:1af4:1100 vfio-pci", RULE]
    assert all(line.startswith("#") for line in lines[:-1])


def test_of_two_identical_cards_the_one_that_is_not_ours_has_no_rule() -> None:
    """truenas#11397, gpu-operator#1995, nasty#603: ids alone take both."""
    text = render_rules([DISPLAY])
    assert TWIN.address not in text
    assert [bound.address for bound in parse_rules(render_rules([TWIN, DISPLAY]))] == [
        "0000:01:00.0",
        "0000:0b:00.0",
    ]


def test_a_binding_that_ends_with_its_boot_has_no_rule() -> None:
    passing = dataclasses.replace(TWIN, boot_id="5f0e8a2c-8c1f-4c57-9d0e-0d9a4d9f6a11")
    assert render_rules([DISPLAY, passing]) == render_rules([DISPLAY])
    assert render_rules([passing]) == render_rules([]) == ""


@given(st.lists(BOUND, max_size=5))
def test_what_is_written_is_what_is_read(bounds: list[Bound]) -> None:
    text = render_rules(bounds)
    assert parse_rules(text) == tuple(sorted(set(bounds)))
    assert render_rules(parse_rules(text)) == text


@given(st.lists(BOUND, min_size=1, max_size=5))
def test_no_rule_lacks_an_id_or_the_exact_address_and_none_is_about_ids_alone(bounds: list[Bound]) -> None:
    text = render_rules(bounds)
    rules = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(rules) == len(set(bounds))
    for rule in rules:
        assert re.search(r'KERNEL=="[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"', rule)
        for name in ("vendor", "device", "subsystem_vendor", "subsystem_device"):
            assert len(re.findall(rf'ATTR\{{{name}\}}=="0x[0-9a-f]{{4}}"', rule)) == 1
        assert rule.count("==") == 7 and rule.startswith('ACTION=="add", SUBSYSTEM=="pci", ')
    assert "new_id" not in text and "ids=" not in text


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "01:00.0"},
        {"address": "0000:01:*"},
        {"identity": Identity("1234", "1111", "1af4", "")},
        {"identity": Identity("1234", "1111", "*", "1100")},
        {"identity": Identity("10DE", "1111", "1af4", "1100")},
        {"driver": ""},
        {"driver": 'x", RUN+="y'},
        {"driver": "vfio-pci\n"},
    ],
)
def test_what_cannot_be_a_guarded_rule_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ParseError) as caught:
        render_rules([dataclasses.replace(DISPLAY, **changes)])
    assert caught.value.message.startswith("No rule can be written for ") and caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('ATTR{vendor}=="0x1234", ', ""),
        ('"vfio-pci"', '"pci-stub"'),
        (RULE, f"#{RULE}"),
        ("# hearth: 0000:01:00.0", "# hearth: 0000:01:00.1"),
        ("# hearth: 0000:01:00.0", "# hearth: 01:00.0"),
        ("# hearth: 0000:01:00.0", "# hearth: "),
        ("# hearth: ", "# "),
        (":1100 vfio", ":110 vfio"),
        ("1100 vfio-pci", "1100 vfio.pci"),
    ],
)
def test_a_rule_changed_by_hand_is_not_ours_and_is_written_anew(old: str, new: str) -> None:
    text = render_rules([DISPLAY])
    changed = text.replace(old, new, 1)
    assert changed != text
    assert parse_rules(changed) == ()


def test_a_rule_that_somebody_added_is_not_ours() -> None:
    text = render_rules([DISPLAY])
    added = text + RULE.replace("01:00.0", "02:00.0") + "\n"
    assert parse_rules(added) == parse_rules(text)
    assert added != render_rules(parse_rules(added))
