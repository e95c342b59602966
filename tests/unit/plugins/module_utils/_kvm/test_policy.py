# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy, from_params


def test_nothing_asked_is_the_default_policy() -> None:
    assert from_params({}) == Policy()


def test_every_option_arrives() -> None:
    params = {
        "require": ["kvm"],
        "probe_vm": False,
        "read_msr": "never",
        "devices": ["0000:01:00.0"],
        "expected_gpus": 0,
        "min_kernel": "6.1",
        "min_bios_date": "2024-05-31",
        "smt": "off",
        "peers": [{"address": "fe80::1%eth0", "max_rtt_us": 200}],
    }
    assert from_params(params, check_mode=True) == Policy(
        ("kvm",),
        False,
        "never",
        ("0000:01:00.0",),
        0,
        "6.1",
        "2024-05-31",
        "off",
        (("fe80::1%eth0", 200),),
        True,
    )


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"min_kernel": "new"}, "min_kernel"),
        ({"min_bios_date": "31.05.2024"}, "min_bios_date"),
        ({"min_bios_date": "2024-02-30"}, "min_bios_date"),
        ({"peers": [{"address": "-f", "max_rtt_us": 1}]}, "-f"),
        ({"peers": [{"address": "a b", "max_rtt_us": 1}]}, "a b"),
        ({"peers": [{"address": "192.0.2.1", "max_rtt_us": 0}]}, "192.0.2.1"),
    ],
)
def test_a_wish_that_cannot_be_compared_is_refused(params: dict[str, t.Any], word: str) -> None:
    with pytest.raises(ParseError, match=word) as caught:
        from_params(params)
    assert caught.value.remedy
