# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to libvirt, and what happens when it is long or closed."""

from __future__ import annotations

import sys
import threading

import pytest
from fakelibvirt import FakeError, FakeLibvirt

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import (
    LibvirtUnavailable,
    Link,
    open_libvirt,
    within,
)


def test_a_call_that_hangs_is_given_up() -> None:
    with pytest.raises(CommandError, match=r"no answer within 0.05 s \(wait\)"):
        within(0.05, "wait", threading.Event().wait)


def test_a_missing_binding_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(LibvirtUnavailable) as caught:
        open_libvirt("qemu:///system")
    assert "python3-libvirt" in caught.value.remedy


def test_an_error_of_libvirt_says_what_failed() -> None:
    def fail(connection: object) -> None:
        raise FakeError("no such thing")

    with pytest.raises(CommandError, match="libvirt could not start network n: no such thing"):
        Link("test:///default", FakeLibvirt().opener).call("start network n", fail)


def test_the_connection_is_opened_once() -> None:
    opened = []

    def opener(uri: str) -> object:
        opened.append(uri)
        return FakeLibvirt().opener(uri)

    link = Link("qemu:///system", opener)  # type: ignore[arg-type]
    assert [link.call("count", lambda connection: 1) for _unused in range(3)] == [1, 1, 1]
    assert opened == ["qemu:///system"]
