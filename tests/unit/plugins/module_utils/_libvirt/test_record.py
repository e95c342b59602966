# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of what is ours: written, read back, and never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.record import Before, Entry

BEFORES = st.none() | st.builds(Before, xml=st.text(), autostart=st.booleans(), active=st.booleans())
ENTRIES = st.builds(Entry, uuid=st.text(), before=BEFORES)


@given(
    st.dictionaries(
        st.sampled_from(["network", "pool"]), st.dictionaries(st.text(), ENTRIES, min_size=1), min_size=1
    )
)
def test_what_is_written_is_read_back(book: record.Book) -> None:
    assert record.parse(Reading(text=record.render(book))) == book


def test_nothing_to_remember_is_no_file() -> None:
    assert record.render({"network": {}, "pool": {}}) == ""
    assert record.parse(Reading(missing=True)) == {}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"pool": []}', '{"pool": {"p": {}}}', '{"pool": {"p": {"uuid": "", "before": 1}}}'],
)
def test_a_damaged_record_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ParseError, match="damaged") as caught:
        record.parse(Reading(text=text))
    assert "/var/lib/hearth/backup" in caught.value.remedy


def test_an_unreadable_record_is_not_an_empty_one() -> None:
    with pytest.raises(ParseError, match="Permission denied"):
        record.parse(Reading(why="/var/lib/hearth/libvirt.json: Permission denied"))
