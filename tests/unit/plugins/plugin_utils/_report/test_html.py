# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: parsed as HTML, not compared with a golden copy."""

from __future__ import annotations

import html.parser
import pathlib
import re
import typing as t

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import html as page
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import model

VOID = {"meta", "link", "br", "hr", "img", "input"}
SECTIONS = ["attention", "boot", "passthrough", "firewall", "machine", "changes", "declared"]
# What breaks pages: ends of every context that text stands in. The letters keep it from being empty or a known word.
MARKUP = (
    "<script>alert(1)</script>",
    '"',
    "'",
    "]]>",
    "</style>",
    "--><img src=x onerror=alert(1)>",
    "&lt;",
    "{{ 1 }}",
    "é",
    " ",
)
HOSTILE = st.lists(st.sampled_from(MARKUP), min_size=1, max_size=4).map(
    lambda parts: "zz" + "".join(parts) + "zz"
)


class Reader(html.parser.HTMLParser):
    """Collects elements and text, and refuses what is not properly nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _tag, attrs in self.elements if (value := attrs.get(attribute)) is not None]


def read(**given: t.Any) -> Reader:
    return Reader(page.render(report_samples.build(**given)))


@pytest.fixture(params=["plain", "lab", "server", "container", "empty", "rebooting"])
def report(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> model.Report:
    if request.param == "rebooting":
        return report_samples.build(
            boot=report_samples.BOOT,
            reboots=report_samples.REBOOTS,
            vfio=report_samples.VFIO,
            firewall=report_samples.FIREWALL,
        )
    preflight = {
        "plain": report_samples.checked,
        "lab": lambda: report_samples.lab(tmp_path),
        "server": lambda: report_samples.server(tmp_path),
        "container": report_samples.container,
        "empty": dict,
    }[request.param]()
    return report_samples.build(preflight=preflight)


def test_every_finding_stands_there_once(report: model.Report) -> None:
    shown = Reader(page.render(report)).values("data-check")
    assert sorted(shown) == sorted(finding.id for finding in report.findings)


def test_the_page_needs_nothing_but_itself(report: model.Report) -> None:
    text = page.render(report)
    reader = Reader(text)
    assert not {tag for tag, _attrs in reader.elements} & {"script", "img", "iframe", "object", "link"}
    assert reader.values("src") + reader.values("href") == []
    assert not re.search(r"@import|url\(", text)
    assert any("default-src 'none'" in value for value in reader.values("content"))


def test_ids_are_unique(report: model.Report) -> None:
    ids = Reader(page.render(report)).values("id")
    assert len(ids) == len(set(ids))


def test_the_verdict_comes_first_and_the_order_is_kept() -> None:
    text = page.render(
        report_samples.build(
            boot=report_samples.BOOT, vfio=report_samples.VFIO, firewall=report_samples.FIREWALL
        )
    )
    places = [text.index("<h1>"), *(text.index(f'<section id="{name}"') for name in SECTIONS)]
    assert places == sorted(places)
    assert "Not ready" in Reader(text).text


def test_remedies_are_complete() -> None:
    text = read().text
    failure = next(finding for finding in report_samples.FINDINGS if finding.status == "fail")
    assert all(
        part in text
        for part in (failure.why, failure.hint, failure.source, "firmware (BIOS/UEFI) setting, then a reboot")
    )


def test_text_from_the_host_is_text() -> None:
    reader = read()
    assert "script" not in {tag for tag, _attrs in reader.elements}
    assert report_samples.NASTY in reader.text


@given(HOSTILE)
def test_nothing_that_a_host_says_becomes_markup(said: str) -> None:
    item = {"id": f"a.{said}", "status": "warn", "value": {said: said}, "expected": said, "why": said}
    device = {
        "address": f"x{said}",
        "class": "030000",
        "driver": said,
        "iommu_group": said,
        "device_name": said,
    }
    change = {
        "role": said,
        "task": said,
        "module": said,
        "actions": [said],
        "files": [],
        "delegated_to": said,
    }
    given_by_host = {
        "preflight": {
            "verdict": "pass",
            "checks": [
                {**item, "source": said, "hint": said, "fix": said},
                *(
                    {**item, "id": f"{status}.{number}", "status": status}
                    for status in ("unknown", "pass")
                    for number in (1, 2)
                ),
                {"id": "host.virtual", "status": "warn", "value": said},
            ],
            "topology": {
                "nodes": [{"node": 0, "cpus": said}],
                "pci": [{"root": said, "devices": [device]}],
                "groups": [{"group": said, "owner": "host", "members": [said]}],
            },
        },
        "journal": {
            "counts": {said: 1},
            "changes": [{**change, "predicted": True, "failed": True, "hidden": False}],
        },
        "declared": {"modules": [{"name": said, "owners": [said]}]},
        "boot": {
            "backend": said,
            "arguments": [
                dict.fromkeys(("name", "wanted", "configured", "effective", "status", "why"), said)
                | {"owners": [said]}
            ],
            "entries": [{"name": said, "bare": False, "complete": True}],
            "notices": [said],
            "initramfs": [{"image": said, "complete": True, "modules": [said], "files": [said]}],
        },
        "vfio": {
            "devices": [
                {**report_samples.guest_device(said), "why": said, "driver_after": said}
                | {"iommu_group": said, "warnings": [said], "obstacles": [{"kind": said, "what": said}]}
            ],
            "reason": said,
        },
        "firewall": {
            "zones": {said: {"sources": [said], "interfaces": [said]}},
            "services": [
                {
                    "name": said,
                    "ports": [said],
                    "zones": [said],
                    "published_by": said,
                    "rate_limit": {"new": said},
                },
                {"name": "loose", "ports": [], "zones": ["203.0.113.9/32"]},
            ],
            "owners": {said: [said]},
            "management": ["mgmt"],
            "guest_networks": [said],
            "blocklist": [said],
            "families": [said],
            "backend": said,
            "foreign": [{"owner": said}],
            "warnings": [said],
            "objections": [{"name": said, "message": said, "allowed": True}],
        },
        "reboots": [
            dict.fromkeys(("name", "reason", "requested_by", "since", "status"), said) | {"lacking": [said]}
        ],
    }
    harmless = Reader(page.render(report_samples.build("x", **_replaced(given_by_host, said, "x"))))
    reader = Reader(page.render(report_samples.build(said, **given_by_host)))
    assert _shape(reader) == _shape(harmless)
    assert not {tag for tag, _attrs in reader.elements} & {"script", "img", "iframe"}


def _shape(reader: Reader) -> list[tuple[str, tuple[str, ...]]]:
    """Return the elements and the names of their attributes: text can change neither."""
    return [(tag, tuple(attrs)) for tag, attrs in reader.elements]


def _replaced(value: t.Any, old: str, new: str) -> t.Any:
    if isinstance(value, dict):
        return {_replaced(key, old, new): _replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, old, new) for item in value]
    return new if value == old else value


def test_emulated_hardware_is_called_emulated(tmp_path: pathlib.Path) -> None:
    assert "emulated" in read(preflight=report_samples.lab(tmp_path)).values("id")
    assert "emulated" not in read().values("id")


def test_a_prediction_is_called_one() -> None:
    reader = read(predicted=True)
    assert "predicted" in reader.values("id")
    assert "Predicted readiness of lab1" in reader.text
    assert "would change" in reader.text
    assert "predicted" not in read().values("id")


def test_changes_that_were_not_recorded_are_not_nothing() -> None:
    text = read(journal=None).text
    assert "Changes were not recorded" in text
    assert "Nothing." not in text.partition("What this run changed")[2]


def test_changes_are_listed_and_hidden_ones_stay_hidden() -> None:
    text = read().text
    assert "write /etc/hearth/x" in text
    assert "write /etc/libvirt/qemu.conf" in text
    assert "not shown: the task has no_log" in text
    assert "failed on the way, on bastion" in text


def test_declarations_name_their_owners() -> None:
    text = read().text
    assert "hugepagesz=1G hugepages=16" in text
    assert "kvm, vfio" in text
    assert "5900-5910/tcp from mgmt (vnc)" in text
    assert "declared" not in read(declared={}).values("id")


def test_wanted_configured_and_effective_stand_side_by_side_with_their_owners() -> None:
    reader = read(boot=report_samples.BOOT)
    assert reader.values("data-argument") == [item["name"] for item in report_samples.BOOT["arguments"]]
    assert reader.values("data-label")[:5] == ["Wanted", "Configured", "Effective", "State", "Asked for by"]
    assert re.search(
        r"hugepages\s*hugepagesz=1G hugepages=16\s*hugepagesz=1G hugepages=16\s*absent\s*! waits for a reboot"
        r"\s*0 pages of 1 GiB are set aside, expected at least 16\s*kvm, vfio",
        reader.text,
    )
    assert "left bare" in reader.text
    assert "vfio_iommu_type1" in reader.text
    assert "amd_iommu=on does nothing" in reader.text


def test_what_waits_for_a_reboot_says_why_who_since_when_and_what_is_lacking() -> None:
    text = read(reboots=report_samples.REBOOTS).text
    section = text.partition("Waiting for a reboot")[2].partition("Perhaps")[0]
    for part in ("is configured, and not effective", "is not in /proc/cmdline", "kvm, vfio", "01:58 UTC"):
        assert part in section
    assert "Kernel arguments" not in text.partition("Declared")[0]
    assert "boot" not in read().values("id")


def test_a_script_in_a_reason_is_text() -> None:
    reader = read(boot=report_samples.BOOT, reboots=report_samples.REBOOTS)
    assert "script" not in {tag for tag, _attrs in reader.elements}
    assert reader.text.count(f"options of vfio_pci {report_samples.NASTY}") >= 2


def test_arguments_of_a_loader_without_a_name_are_shown_all_the_same() -> None:
    assert "Kernel arguments of GRUB" in read(boot=report_samples.BOOT).text
    assert read(boot={**report_samples.BOOT, "backend": None}).values("data-argument")


def test_no_argument_is_said_and_not_left_out() -> None:
    assert "No role asks for one." in read(boot={"backend": "grub"}).text


def test_the_legend_counts_groups(tmp_path: pathlib.Path) -> None:
    report = report_samples.build(preflight=report_samples.lab(tmp_path))
    owners = list(report.machine.owners().values())
    text = Reader(page.render(report)).text
    for name in ("host", "vfio", "mixed", "unbound", "ports"):
        assert re.search(rf"{name}\s.*\({owners.count(name)}\)", text)


def test_every_device_for_guests_stands_there_with_its_drivers_and_why() -> None:
    reader = read(vfio=report_samples.VFIO)
    devices = [item["address"] for item in report_samples.VFIO["devices"]]
    assert reader.values("data-device") == devices
    assert "it has no reset" in reader.text and "opened was lifted: nvtop (4711)" in reader.text
    assert "Waits for a reboot: 0000:86:00.0 (nvidia is known to hang" in reader.text
    assert "Waits for a reboot" not in read(vfio={**report_samples.VFIO, "reason": ""}).text
    assert "passthrough" not in read().values("id")


def test_every_service_stands_there_with_who_reaches_it() -> None:
    reader = read(firewall=report_samples.FIREWALL)
    names = [item["name"] for item in report_samples.FIREWALL["services"]]
    assert reader.values("data-service") == ["management", *names]
    assert "open, at most 10/minute new from one source" in reader.text
    assert (
        "nftables.service is enabled" in reader.text
        and "Everything else to this host is dropped." in reader.text
    )
    assert "firewall" not in read().values("id")
