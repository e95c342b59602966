# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The two files of SR-IOV: udev rules that every boot follows, and the record of what was before. Pure.

Both hold one line a device, of the same words. In the rules it is a comment above the rule that says the same to
udev, so that the file can be read back without understanding rules; in the record it is all there is.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.record import is_exact, parse_identity

RULES = "/etc/udev/rules.d/11-hearth-sriov.rules"
RECORD = "/var/lib/hearth/sriov"

Entries = t.Mapping[str, model.Entry]

_MARK = "# hearth: "
_RULES_HEAD = (
    "# Virtual functions, made at each boot. Written by hearth.gpu_host.sriov_vfs; changes are overwritten.\n"
)
_RECORD_HEAD = "# What devices were set to before hearth.gpu_host.sriov_vfs changed them. Do not edit.\n"
_IP = "PATH=/usr/sbin:/usr/bin:/sbin:/bin; for i in /sys%p/net/*; do ip link set dev $${i##*/} "
_NAMES = {"link_state": "state"}
# What an initramfs with systemd has in place of os-release: dracut's copies the rules of the host into such a one.
_INITRAMFS = "/etc/initrd-release"


def parse_rules(text: str) -> dict[str, model.Entry]:
    """Return the entries of the rules file.

    :raises ParseError: a comment of ours is damaged.
    """
    lines = [line[len(_MARK) :] for line in text.splitlines() if line.startswith(_MARK)]
    return _entries(lines, RULES)


def render_rules(entries: Entries) -> str:
    """Return the rules file, empty when there is nothing to do at boot."""
    blocks = [_block(entries[address]) for address in sorted(entries) if entries[address].settings]
    return _RULES_HEAD + "".join(f"\n{block}" for block in blocks) if blocks else ""


def parse_record(text: str) -> dict[str, model.Entry]:
    """Return the entries of the record.

    :raises ParseError: a line is damaged.
    """
    return _entries([line for line in text.splitlines() if line and not line.startswith("#")], RECORD)


def render_record(entries: Entries) -> str:
    """Return the record, empty when nothing is recorded."""
    lines = [f"{_line(entries[address])}\n" for address in sorted(entries)]
    return _RECORD_HEAD + "".join(lines) if lines else ""


def arguments(index: int, fields: t.Mapping[str, str]) -> tuple[str, ...]:
    """Return how ``ip link set dev NAME`` is told the settings of a VF."""
    words = ["vf", str(index)]
    for field in model.FIELDS:
        if field in fields:
            words += [_NAMES.get(field, field), fields[field]]
    return tuple(words)


def _line(entry: model.Entry) -> str:
    words = [f"{key}={value}" for key, value in model.in_order(entry.settings)]
    return " ".join([entry.address, str(entry.identity), *words])


def _entries(lines: t.Iterable[str], path: str) -> dict[str, model.Entry]:
    entries: dict[str, model.Entry] = {}
    for line in lines:
        entry = _entry(line.split())
        if entry is None or entry.address in entries:
            raise ParseError(
                f"{path} is damaged: {line!r}.",
                f"restore the line, or remove it: then what was set of this device is not known to be ours ({path})",
            )
        entries[entry.address] = entry
    return entries


def _entry(words: t.Sequence[str]) -> model.Entry | None:
    identity = parse_identity(words[1]) if len(words) > 1 else None
    if identity is None or not is_exact(words[0]):
        return None
    pairs = [tuple(word.split("=", 1)) for word in words[2:]]
    settings = dict(pair for pair in pairs if len(pair) == 2 and model.valid(*pair))
    if len(settings) != len(pairs):
        return None
    return model.Entry(words[0], identity, settings)


def _block(entry: model.Entry) -> str:
    """Return the rule of one device.

    At a cold start udev tells of the device as added while its driver has it already, or, when the driver comes
    later, as bound. VFs are made only where there are none, so that an event that is told again later takes no VF
    away from who uses it. The number has lines of its own, because VFs that this rule has just made are to be set,
    and no others. An initramfs that was given this file, too, makes none: it has no ``ip``, and outside of it they
    would be there already.
    """
    names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
    ids = str(entry.identity).split(":")
    guard = "".join(f', ATTR{{{name}}}=="0x{value}"' for name, value in zip(names, ids))
    guard += f', TEST!="{_INITRAMFS}"'
    who = f'SUBSYSTEM=="pci", KERNEL=="{entry.address}"'
    start = f'ACTION=="add|bind", {who}{guard}'
    lines = [f"{_MARK}{_line(entry)}"]
    if model.AUTOPROBE in entry.settings:
        lines.append(f'{start}, ATTR{{sriov_drivers_autoprobe}}="{entry.settings[model.AUTOPROBE]}"')
    if model.NUMBER in entry.settings:
        number = entry.settings[model.NUMBER]
        make = f'ATTR{{sriov_numvfs}}=="0", ATTR{{sriov_numvfs}}="{number}"'
        lines.append(f'{start}, DRIVER=="?*", {make}, ENV{{.HEARTH_SRIOV}}="1"')
    for index, fields in model.vfs_of(entry.settings).items():
        command = f"{_IP}{' '.join(arguments(index, fields))}; done"
        lines.append(f'{who}, ENV{{.HEARTH_SRIOV}}=="1", RUN+="/bin/sh -c \'{command}\'"')
    return "".join(f"{line}\n" for line in lines)
