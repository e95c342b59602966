# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import contextlib
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import files
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
    Wish,
)

FORWARD = Item("net.ipv4.ip_forward", value="1", owners=("kvm",))
VGA = Item("vfio_pci", "disable_vga", "1", ("vfio",))


def put(root: pathlib.Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def checked(root: pathlib.Path, wish: Wish) -> None:
    files.check(wish, files.read_foreign(Host(root=str(root)), wish))


def test_every_line_names_who_wants_it() -> None:
    assert files.render(SYSCTL, [FORWARD]).splitlines()[1:] == ["# kvm", "net.ipv4.ip_forward = 1"]
    assert files.render(MODULES, [Item("tun", owners=("kvm", "net"))]).splitlines()[1:] == [
        "# kvm, net",
        "tun",
    ]
    wordy = Item("snd", "model", "a b")
    assert files.render(OPTIONS, [VGA, wordy]).splitlines()[1:] == [
        "# vfio",
        "options vfio_pci disable_vga=1",
        "# site",
        'options snd model="a b"',
    ]


def test_with_nothing_wanted_there_is_no_file() -> None:
    assert [files.render(kind, []) for kind in (MODULES, OPTIONS, SYSCTL)] == ["", "", ""]


VALUES = st.text("abc019_,. ", min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.tuples(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), VALUES), max_size=4))
def test_options_read_back_as_they_were_written(wanted: list[tuple[str, str]]) -> None:
    items = [Item("kvm", option, value) for option, value in wanted]
    found = files.parse_modprobe(files.render(OPTIONS, items))
    assert found == [("options", "kvm", f"{option}={value}") for option, value in wanted]


@given(st.dictionaries(st.sampled_from(["vm.swappiness", "net.ipv4.conf.eth0/1.rp_filter"]), VALUES))
def test_sysctls_read_back_as_they_were_written(wanted: dict[str, str]) -> None:
    items = [Item(key, value=value) for key, value in wanted.items()]
    assert files.parse_sysctl(files.render(SYSCTL, items)) == [
        (key, " ".join(value.split())) for key, value in wanted.items()
    ]


# sysctl.conf of procps 4.0.2 (Debian 12), shortened, with one line uncommented as operators do.
SYSCTL_CONF = """#
# /etc/sysctl.conf - Configuration file for setting system variables
#
#kernel.domainname = example.com
; another comment
-net/ipv4/ip_forward=0
broken line
"""


# dev-sec/ansible-collection-hardening#213: hardening sets ip_forward=0 in its own file and "silently smothers
# docker". Whose file wins is an accident of names, so that it is said before anything is written.
def test_regression_dev_sec_213_a_later_sysctl_file_cannot_silently_win(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "/etc/sysctl.conf", SYSCTL_CONF)
    (tmp_path / "etc/sysctl.d").mkdir()
    (tmp_path / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    with pytest.raises(
        Contradiction, match=r"ip_forward = 1 is wanted by role kvm, and /etc/sysctl.d/99-sysctl"
    ):
        checked(tmp_path, {SYSCTL: (FORWARD,)})


@pytest.mark.parametrize(
    ("path", "text", "refused"),
    [
        ("/usr/lib/sysctl.d/50-default.conf", "net.ipv4.ip_forward = 0", False),
        ("/run/sysctl.d/95-x.conf", "net.ipv4.ip_forward = 0", True),
        ("/etc/sysctl.d/95-x.conf", "net.ipv4.ip_forward = 0x1", False),
        ("/etc/sysctl.d/95-x.conf", "net.ipv4.ip_forward_update_priority = 0", False),
        ("/etc/sysctl.d/95-x.conf", "net.ipv4.* = 0", False),
        ("/etc/sysctl.d/95-x.conf.bak", "net.ipv4.ip_forward = 0", False),
        ("/etc/sysctl.d/.95-x.conf", "net.ipv4.ip_forward = 0", False),
    ],
)
def test_only_what_would_win_over_us_is_refused(
    tmp_path: pathlib.Path, path: str, text: str, refused: bool
) -> None:
    put(tmp_path, path, text)
    if refused:
        with pytest.raises(Contradiction, match=path):
            checked(tmp_path, {SYSCTL: (FORWARD,)})
    else:
        checked(tmp_path, {SYSCTL: (FORWARD,)})


def test_a_file_in_etc_hides_one_of_the_same_name(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "/usr/lib/sysctl.d/95-x.conf", "net.ipv4.ip_forward = 0")
    put(tmp_path, "/etc/sysctl.d/95-x.conf", "")
    checked(tmp_path, {SYSCTL: (FORWARD,)})


@pytest.mark.parametrize(
    ("ours", "theirs", "refused"),
    [
        ("net.ipv4.*.*.rp_filter", "net.ipv4.conf.*.rp_filter", True),
        ("net.ipv4.conf.*.rp_filter", "net.*.conf.*.rp_filter", True),
        ("net.ipv4.conf.*.rp_filter", "net.ipv6.conf.*.rp_filter", False),
        # systemd-sysctl leaves out of a pattern what has a line of its own.
        ("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.*.rp_filter", False),
    ],
)
def test_of_two_patterns_for_the_same_keys_the_later_one_wins(
    tmp_path: pathlib.Path, ours: str, theirs: str, refused: bool
) -> None:
    wish = {SYSCTL: (Item(ours, value="2"),)}
    put(tmp_path, "/etc/sysctl.d/10-early.conf", f"{theirs} = 1")
    checked(tmp_path, wish)
    put(tmp_path, "/etc/sysctl.d/95-late.conf", f"{theirs} = 1")
    with pytest.raises(Contradiction, match="95-late.conf") if refused else contextlib.nullcontext():
        checked(tmp_path, wish)


def test_a_plain_key_wins_over_our_pattern_wherever_it_stands(tmp_path: pathlib.Path) -> None:
    put(tmp_path, "/usr/lib/sysctl.d/10-x.conf", "net.ipv4.conf.lo.rp_filter = 0")
    with pytest.raises(Contradiction, match="more exact"):
        checked(tmp_path, {SYSCTL: (Item("net.ipv4.conf.*.rp_filter", value="2"),)})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("options vfio-pci ids=1:1 disable-vga=0", "disable-vga=0"),
        ("# comment\noptions vfio_pci \\\n  disable_vga=0", "disable_vga=0"),
        ("blacklist vfio-pci", "blacklist vfio_pci"),
        ("install vfio_pci /bin/false", "install vfio_pci /bin/false"),
        ("options vfio-pci ids=1:1 disable_vga=1", ""),
        ("options vfio disable_vga=0", ""),
        ("blacklist vfio\nsoftdep vfio_pci pre: vfio", ""),
        ("install vfio_pci /sbin/modprobe --ignore-install vfio_pci", ""),
        ("install", ""),
    ],
)
def test_what_others_say_about_a_module_is_read_as_modprobe_does(
    tmp_path: pathlib.Path, text: str, says: str
) -> None:
    put(tmp_path, "/etc/modprobe.d/vfio.conf", text)
    wish = {OPTIONS: (VGA,), MODULES: (Item("vfio_pci", owners=("vfio",)),)}
    if says:
        with pytest.raises(
            Contradiction, match=f"wanted by role vfio, and /etc/modprobe.d/vfio.conf says '{says}'"
        ):
            checked(tmp_path, wish)
    else:
        checked(tmp_path, wish)


def test_our_own_file_contradicts_nobody_and_what_is_not_managed_is_not_read(tmp_path: pathlib.Path) -> None:
    put(tmp_path, files.PATHS[OPTIONS], "options vfio_pci disable_vga=0")
    checked(tmp_path, {OPTIONS: (VGA,)})
    assert files.read_foreign(Host(root=str(tmp_path)), {SYSCTL: ()}).files == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("4096\t131072\t6291456\n", "4096 131072 6291456", True),
        ("1", "0x1", True),
        ("1", "01", False),
        ("1", "1 1", False),
        ("|/bin/x", "|/bin/y", False),
    ],
)
def test_values_are_compared_as_the_kernel_prints_them(one: str, other: str, same: bool) -> None:
    assert files.same_value(one, other) is same


def test_keys_have_one_form() -> None:
    assert files.dotted("net/ipv4/conf/eth0.1/rp_filter") == "net.ipv4.conf.eth0/1.rp_filter"
    assert files.dotted("net.ipv4.conf.eth0/1.rp_filter") == "net.ipv4.conf.eth0/1.rp_filter"
    assert files.dotted("broken") == "broken"
