# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading what hangs on a card, in one process."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import DHCLIENT, NIC, TEXT, card

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import (
    SETTINGS,
    capture,
    parse_read,
    read_capture,
)


class Runner:
    """Prints one text, and notes what was run."""

    def __init__(self, text: str = TEXT) -> None:
        self.text = text
        self.runs: list[tuple[str, ...]] = []

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        self.runs.append(tuple(argv))
        return Completed(0, self.text, "")


def with_clients(*clients: t.Sequence[str]) -> str:
    return TEXT + "".join(f"= client {7 + n}\n" + "\n".join(argv) + "\n" for n, argv in enumerate(clients))


def test_one_process_reads_everything() -> None:
    runner = Runner()
    assert capture(Host(run=runner), NIC) == card()
    assert len(runner.runs) == 1
    assert runner.runs[0][3:6] == ("sh", NIC, "/proc/sys/net/ipv4/conf/eth9/forwarding")


def test_settings_are_kept_without_the_name_of_the_card() -> None:
    assert set(card().sysctls) == set(SETTINGS)
    assert card().sysctls["ipv4/conf/%/rp_filter"] == "2"


def test_a_card_that_is_not_there_is_refused_by_its_name() -> None:
    assert read_capture(Host(run=Runner()), "eth8") is None
    with pytest.raises(Refusal, match="There is no network device eth8") as refused:
        capture(Host(run=Runner()), "eth8")
    assert refused.value.remedy == "see which there are: ip -br link"


def test_a_client_of_the_card_is_found_and_one_of_another_is_not() -> None:
    found = parse_read(with_clients(DHCLIENT.argv, ("dhclient", "eth1"), ("/sbin/dhcpcd", "eth1")), NIC)
    assert found
    assert [(one.pid, one.argv) for one in found.clients] == [(7, DHCLIENT.argv)]
    assert found.unknown == ()


def test_a_client_for_every_device_cannot_be_moved() -> None:
    found = parse_read(with_clients(("/usr/sbin/dhcpcd", "-q")), NIC)
    assert found
    assert found.unknown == ("a DHCP client for every device: /usr/sbin/dhcpcd -q",)


def test_a_client_when_the_card_is_gone_is_no_news() -> None:
    assert parse_read(with_clients(DHCLIENT.argv), "eth8") is None
