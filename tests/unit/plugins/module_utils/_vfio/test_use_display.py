# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib

import pytest
import trees
import usedhost
from usedhost import CARD, TWIN

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import use_display
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import DISPLAY

# The form of kernel/resource.c; the window is that of the card below.
IOMEM = "c0000000-c0ffffff : 0000:01:00.0\n  c0000000-c02fffff : {}\n"
WINDOW = (0xC0000000, 0xC0FFFFFF, trees.MEM64_PREFETCH)
HIDDEN = "00000000-00000000 : System RAM\n"


@pytest.fixture
def used(tmp_path: pathlib.Path) -> usedhost.Used:
    """Return a host with two cards, each with a framebuffer of its DRM driver."""
    used = usedhost.Used(tmp_path)
    for number, address in enumerate((CARD, TWIN)):
        files: dict[str, str | bytes] = {"resource": trees.resource(WINDOW)} if address == CARD else {}
        folder = used.card(address, "038000", driver="bochs-drm", files=files)
        used.buffer(f"fb{number}", f"{folder}/graphics/fb{number}")
    used.folder("/sys/class/graphics/fbcon", source="drivers/video/fbdev/core/fbcon.c")
    used.put("/proc/iomem", IOMEM.format("bochs-drm"), source="kernel/resource.c")
    used.console("vtcon0", "(S) dummy device", "0")
    return used


def read(used: usedhost.Used) -> use_display.RawDisplay:
    return use_display.read_display(used.host, used.places(CARD, TWIN), used.snapshot)


def told(used: usedhost.Used, address: str = CARD) -> list[str]:
    uses = use_display.parse_display(read(used), address)
    assert all(use.kind == DISPLAY for use in uses)
    return [use.what for use in uses]


def test_a_framebuffer_that_no_console_is_on_is_no_use(used: usedhost.Used) -> None:
    assert told(used) == []
    assert use_display.consoles_of(read(used), CARD) == ()


def test_the_console_is_on_the_card_that_the_kernel_says(used: usedhost.Used) -> None:
    """Of two identical adapters one can be given away, although both have a framebuffer."""
    used.console("vtcon1")
    used.terminals = [0] * 63
    assert told(used, CARD) == ["the text console is on it (fb0, vtcon1)"]
    assert told(used, TWIN) == []
    raw = read(used)
    assert (use_display.consoles_of(raw, CARD), use_display.consoles_of(raw, TWIN)) == (("vtcon1",), ())


def test_one_terminal_on_the_second_card_is_enough(used: usedhost.Used) -> None:
    used.console("vtcon1")
    used.terminals = [0] * 62 + [1]
    assert told(used, TWIN) == ["the text console is on it (fb1, vtcon1)"]


def test_a_console_that_nobody_can_place_is_on_every_card(used: usedhost.Used) -> None:
    used.console("vtcon1")
    assert told(used, CARD) == ["the text console is on it (fb0, vtcon1)"]
    assert told(used, TWIN) == ["the text console is on it (fb1, vtcon1)"]


@pytest.mark.parametrize(
    ("name", "bound"), [("(M) frame buffer device", "0"), ("(S) VGA+", "1"), ("(S) dummy device", "1")]
)
def test_a_console_that_is_released_or_draws_on_no_framebuffer_does_not_matter(
    used: usedhost.Used, name: str, bound: str
) -> None:
    used.console("vtcon1", name, bound)
    assert told(used) == []


def test_a_console_that_cannot_be_read_is_one(used: usedhost.Used) -> None:
    used.folder("/sys/class/vtconsole/vtcon1", source="drivers/tty/vt/vt.c")
    assert told(used) == ["the text console is on it (fb0, vtcon1)"]


@pytest.mark.parametrize("name", ["BOOTFB", "simpledrm", "efifb"])
def test_the_boot_framebuffer_in_the_memory_of_a_card_is_a_use(used: usedhost.Used, name: str) -> None:
    """siderolabs/talos#14356: BAR 0 cannot be reserved for the guest while the boot framebuffer is in it."""
    used.put("/proc/iomem", IOMEM.format(name), source="kernel/resource.c")
    assert told(used, CARD) == [f"the boot framebuffer is in its memory ({name} in /proc/iomem)"]
    assert told(used, TWIN) == []


def test_the_console_on_the_firmwares_framebuffer_is_on_the_card_with_its_memory(used: usedhost.Used) -> None:
    used.put("/proc/iomem", IOMEM.format("BOOTFB"), source="kernel/resource.c")
    used.buffer("fb2", "/sys/devices/platform/efi-framebuffer.0/graphics/fb2")
    used.console("vtcon1")
    used.terminals = [2] * 63
    assert use_display.consoles_of(read(used), CARD) == ("vtcon1",)
    assert use_display.consoles_of(read(used), TWIN) == ()
    assert told(used, CARD)[1] == "the text console is on it (fb0, vtcon1)"


def test_hidden_addresses_are_no_free_display(used: usedhost.Used) -> None:
    used.put("/proc/iomem", HIDDEN, source="kernel/resource.c: zeros without CAP_SYS_ADMIN")
    assert told(used) == ["cannot be told: /proc/iomem shows no addresses"]
    (used.root / "proc/iomem").unlink()
    assert told(used) == ["cannot be told: /proc/iomem: No such file or directory"]


def test_a_device_that_shows_nothing_is_not_asked(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    used.card(CARD, "010802", driver="nvme")
    assert read(used) == use_display.RawDisplay()
    assert told(used) == []


def test_a_list_that_cannot_be_read_is_no_host_without_framebuffers(used: usedhost.Used) -> None:
    raw = dataclasses.replace(read(used), why="/sys/class/graphics: Permission denied", iomem=Reading())
    uses = use_display.parse_display(raw, CARD)
    assert [use.what for use in uses] == ["cannot be told: /sys/class/graphics: Permission denied"]
