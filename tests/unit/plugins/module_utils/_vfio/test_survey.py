# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record, rules, survey


def test_what_earlier_tasks_would_have_written_counts_as_written(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path))
    assert survey.read_texts(host, {}) == survey.Texts("", "")
    assert survey.read_texts(host, {record.PATH: "a", rules.PATH: "b"}) == survey.Texts("a", "b")


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / record.PATH.lstrip("/")).mkdir(parents=True)
    with pytest.raises(ParseError, match="Is a directory") as caught:
        survey.read_texts(Host(root=str(tmp_path)), {})
    assert record.PATH in caught.value.remedy
