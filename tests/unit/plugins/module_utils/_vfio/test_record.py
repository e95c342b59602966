# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity

BOOT = "5f0e8a2c-8c1f-4c57-9d0e-0d9a4d9f6a11"
WHO = Identity("1234", "1111", "1af4", "1100")
DISPLAY = Entry("0000:01:00.0", WHO, "vfio-pci", "bochs-drm", "", "", BOOT)
EDU = Entry("0000:02:00.0", Identity("1234", "11e8", "1af4", "1100"), "vfio-pci", "")
BOTH = {entry.address: entry for entry in (DISPLAY, EDU)}
TEXT = f"""\
# hearth vfio 1: address identity driver origin origin_override gpu_uuid boot_id
0000:01:00.0 1234:1111:1af4:1100 vfio-pci bochs-drm - - {BOOT}
0000:02:00.0 1234:11e8:1af4:1100 vfio-pci - - - -
"""

HEX4 = st.text("0123456789abcdef", min_size=4, max_size=4)
ADDRESSES = st.builds(
    "{}:{:02x}:{:02x}.{}".format,
    st.sampled_from(["0000", "10000", "0001"]),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENTRIES = st.builds(
    Entry,
    ADDRESSES,
    st.builds(Identity, HEX4, HEX4, HEX4, HEX4),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    NAMES,
    NAMES,
    NAMES,
    st.sampled_from(["", BOOT]),
)
RECORDS = st.lists(ENTRIES, max_size=5).map(lambda entries: {entry.address: entry for entry in entries})


def test_a_record_has_one_line_a_device_that_a_shell_can_read() -> None:
    assert record.render_record(BOTH) == TEXT
    assert record.parse_record(TEXT) == BOTH


def test_no_text_is_an_empty_record_and_the_other_way_round() -> None:
    assert record.parse_record("") == {}
    assert record.render_record({}) == ""


@given(RECORDS)
def test_what_is_written_is_what_is_read_whatever_the_names(found: dict[str, Entry]) -> None:
    text = record.render_record(found)
    assert record.parse_record(text) == found
    assert record.render_record(record.parse_record(text)) == text
    assert all(len(line.split(" ")) == 7 for line in text.splitlines()[1:])


@given(RECORDS, st.integers(0), st.integers(0))
def test_a_record_that_lost_its_end_is_no_record(found: dict[str, Entry], line: int, column: int) -> None:
    lines = record.render_record(found).splitlines()
    if lines:
        cut = lines[line % len(lines)]
        broken = "\n".join([*lines[: line % len(lines)], cut[: column % len(cut)]])
        try:
            short = record.parse_record(broken)
        except ParseError:
            return
        assert all(found[address] == entry for address, entry in short.items()), "or it lost whole lines only"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("# hearth vfio 1", "# hearth vfio 2", "the first line is not"),
        ("0000:02:00.0 1234", "0000:01:00.0 1234", "0000:01:00.0 is there twice"),
        ("0000:02:00.0", "02:00.0", "it does not begin with an address"),
        ("0000:02:00.0", "0000:02:00.A", "it does not begin with an address"),
        ("1234:11e8:1af4:1100", "1234:11e8:1af4", "four ids"),
        ("1234:11e8:1af4:1100", "1234:11E8:1af4:1100", "four ids"),
        ("vfio-pci - - - -", "vfio-pci - - -", "it has 6 words and not 7"),
        ("vfio-pci - - - -", "- - - - -", "it has no driver"),
        ("vfio-pci - - - -", "vfio-pci  - - -", "'' is no word"),
        ("vfio-pci - - - -", "vfio%pci - - - -", "'vfio%pci' is no word"),
        (BOOT, BOOT[:-1], "a boot id that is none"),
        ("0000:02:00.0", "\n0000:02:00.0", "it has 1 words"),
    ],
)
def test_a_damaged_record_is_named_and_not_guessed(old: str, new: str, why: str) -> None:
    with pytest.raises(ParseError) as caught:
        record.parse_record(TEXT.replace(old, new, 1))
    assert caught.value.message.startswith(f"{record.PATH} is damaged: line ")
    assert why in caught.value.message
    assert "/var/lib/hearth/backup" in caught.value.remedy


@pytest.mark.parametrize("name", ["-", "a driver", "%2D", "ünder", "a\nb", "vfio_pci"])
def test_any_name_of_a_driver_is_one_word(name: str) -> None:
    entry = Entry("0000:01:00.0", WHO, name, name, name)
    assert record.parse_record(record.render_record({entry.address: entry})) == {entry.address: entry}


def test_identities_are_read_as_they_print_themselves() -> None:
    assert record.parse_identity(str(WHO)) == WHO
    assert record.parse_identity("1234:1111:1af4:110") is None


def test_only_an_address_as_the_kernel_writes_it_is_exact() -> None:
    assert record.is_exact("0000:3b:00.0") and record.is_exact("10000:e1:00.0")
    assert not any(map(record.is_exact, ("3b:00.0", "0000:3B:00.0", "00000000:3b:00.0", "", "AMDI0020:00")))
