# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown file: the same content in the same order, and text from the host stays text."""

from __future__ import annotations

import pathlib
import re
import typing as t

import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import markdown


def test_every_finding_stands_there_once(tmp_path: pathlib.Path) -> None:
    report = report_samples.build(preflight=report_samples.lab(tmp_path))
    text = markdown.render(report).partition("## The machine")[0]
    assert sorted(re.findall(r"`([a-z_0-9]+\.[a-z_0-9]+)`", text)) == sorted(
        item.id for item in report.findings
    )


def test_the_order_is_that_of_the_page() -> None:
    text = markdown.render(
        report_samples.build(
            boot=report_samples.BOOT, vfio=report_samples.VFIO, firewall=report_samples.FIREWALL
        )
    )
    heads = re.findall(r"^#{1,2} (.*)$", text, re.MULTILINE)
    assert heads[0] == "Readiness of lab1"
    assert [
        heads.index(name)
        for name in (
            "What needs attention",
            "Boot",
            "Passthrough",
            "Firewall",
            "The machine",
            "What this run changed",
            "Declared for this host",
        )
    ] == sorted(heads.index(name) for name in heads if not name.startswith(("Readiness", "Passed")))
    assert text.index("Not ready") < text.index("## What needs attention")


def test_tables_stay_tables() -> None:
    """A cell with a bar, a line break or markup in it must not become another cell."""
    text = markdown.render(
        report_samples.build(
            boot=report_samples.BOOT,
            reboots=report_samples.REBOOTS,
            vfio=report_samples.VFIO,
            firewall=report_samples.FIREWALL,
        )
    )
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
        # Once the dashes were escaped like text of the host, and no renderer saw a table.
        assert re.fullmatch(r"\|( --- \|)+", table.splitlines()[1])
    assert not re.search(r"(?<!\\)<script", text)


def heads_of(text: str) -> list[str]:
    """Return the headings, but for what a request of the ledger is called."""
    heads = re.findall(r"^#+ .*$", text, re.MULTILINE)
    return [head.partition("Reboot: ")[0] for head in heads]


def booting(said: str) -> dict[str, t.Any]:
    """Return everything that the roles `boot` and `reboot` may say, in one text."""
    fields = ("name", "wanted", "configured", "effective", "status", "why")
    entry = {"name": said, "complete": True}
    image = {"image": said, "complete": True, "modules": [said], "files": [said]}
    state = {
        "backend": "grub",
        "arguments": [{**dict.fromkeys(fields, said), "owners": [said]}],
        "entries": [entry],
        "notices": [said],
        "initramfs": [image],
    }
    fields = ("name", "reason", "requested_by", "since", "status")
    device = {
        **report_samples.guest_device(said),
        **dict.fromkeys(("why", "driver_after", "iommu_group"), said),
    }
    device |= {"warnings": [said], "obstacles": [{"kind": said, "what": said}]}
    reboots = [{**dict.fromkeys(fields, said), "lacking": [said]}]
    return {"boot": state, "reboots": reboots, "vfio": {"devices": [device], "reason": said}}


@given(st.text(alphabet="<>|`\\&#*_[]()\n\r x-", min_size=1, max_size=20))
def test_whatever_a_host_says_stays_in_its_line_and_cell(said: str) -> None:
    checks = [
        {"id": f"a.{status}", "status": status, "value": said, "why": said, "hint": said, "source": said}
        for status in ("fail", "unknown", "pass")
    ]
    plain = [
        {**item, "value": "x", "why": "x", "hint": "x", "source": "x"} for item in checks if said.strip()
    ]
    text, expected = (
        markdown.render(
            report_samples.build(preflight={"verdict": "fail", "checks": items}, journal=None, **more)
        )
        for items, more in ((checks, booting(said)), (plain or checks, booting("x" if plain else said)))
    )
    assert text.count("\n") == expected.count("\n")
    assert heads_of(text) == heads_of(expected)
    assert not re.search(r"(?<!\\)(\\\\)*<", text)


def test_emulated_predicted_and_not_recorded_are_said(tmp_path: pathlib.Path) -> None:
    text = markdown.render(
        report_samples.build(predicted=True, preflight=report_samples.lab(tmp_path), journal=None)
    )
    assert "**This hardware is emulated (QEMU).**" in text
    assert "**This is a prediction.**" in text
    assert "Changes were not recorded" in text


def test_wanted_configured_and_effective_are_cells_of_one_row() -> None:
    text = markdown.render(report_samples.build(boot=report_samples.BOOT, reboots=report_samples.REBOOTS))
    assert (
        "| hugepages | hugepagesz=1G hugepages=16 | hugepagesz=1G hugepages=16 | absent "
        "| ! waits for a reboot: 0 pages of 1 GiB are set aside, expected at least 16 | kvm, vfio |"
    ) in text
    assert (
        "### Waiting for a reboot\n\n| Reason | Lacking | Asked for by | Since |\n| --- | --- | --- | --- |\n"
        "| ! hugepagesz=1G hugepages=16 is configured, and not effective "
        "| hugepagesz=1G hugepages=16 is not in /proc/cmdline | kvm, vfio | 2026-11-22 01:58 UTC |\n"
    ) in text
    assert "### Kernel arguments of GRUB\n\n| Argument | Wanted | Configured | Effective |" in text
    unnamed = markdown.render(report_samples.build(boot={**report_samples.BOOT, "backend": None}))
    assert "### Kernel arguments\n\n| Argument | Wanted" in unnamed
    assert "* – gnulinux-6.1.0-37-amd64-recovery-3f2b left bare" in text
    assert (
        "* ✓ /boot/initrd.img-6.1.0-37-amd64 complete: "
        "vfio_pci, vfio_iommu_type1, /etc/modprobe.d/hearth.conf"
    ) in text
    assert "* ! amd_iommu=on does nothing" in text
    assert "No role asks for one." in markdown.render(report_samples.build(boot={"backend": "grub"}))


def test_nothing_to_tell_is_told() -> None:
    text = markdown.render(
        report_samples.build(preflight={}, declared={}, journal={"counts": {}, "changes": []})
    )
    assert "Not checked" in text
    assert text.rstrip().endswith("Nothing.")


def test_devices_for_guests_are_rows_with_what_they_wait_for() -> None:
    text = markdown.render(report_samples.build(vfio=report_samples.VFIO))
    section = text.partition("## Passthrough\n\n")[2].partition("\n## ")[0]
    assert "| `3b:00.0` | 10de:2330 | 15 | vfio-pci | vfio-pci | ✓ kept for guests | chosen |" in section
    assert (
        "| `3a:00.0` | 10de:2330 | 15 | its own | pcieport | – stays with the host | a bridge stays"
        in section
    )
    assert section.rstrip().endswith("(nvidia is known to hang when it has to let go)")
    assert "## Passthrough" not in markdown.render(report_samples.build())
    calm = markdown.render(report_samples.build(vfio={**report_samples.VFIO, "reason": ""}))
    assert "Waits for a reboot" not in calm


def test_services_are_rows_and_zones_are_columns() -> None:
    text = markdown.render(report_samples.build(firewall=report_samples.FIREWALL))
    head = "| Service | Ports | mgmt | guests-of-the-second-floor | storage | networks | any | Remark |"
    assert head in text
    assert (
        "| management | 22/tcp | always | closed | closed | closed | closed | before every other rule |"
        in text
    )
    assert (
        "| ceph-osd | 6800-7568/tcp | closed | closed | open | open: 203.0.113.9/32 | closed | ceph_cluster |"
        in text
    )
    assert "* storage: 198.51.100.0/24 on storage0" in text
    assert "* ! foreign_above was lifted: a rule accepts all" in text
    assert "## Firewall" not in markdown.render(report_samples.build())
