# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words of the command line that are meant for user space."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.userspace import is_read


@pytest.mark.parametrize(
    "word",
    [
        "splash",
        "splash=verbose",
        "rhgb",
        "biosdevname=0",
        "ds=nocloud;s=/seed",
        "modules-load=tun",
        "BOOTIF=x",
    ],
)
def test_words_that_something_reads(word: str) -> None:
    assert is_read(word)


@pytest.mark.parametrize("word", ["intel_iomu=on", "splahs", "imomu=pt", "hugepage=2", "SPLASH", ""])
def test_a_typo_is_read_by_nobody(word: str) -> None:
    assert not is_read(word)
