# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for the shell scripts of the role vfio: a tree in a folder, and a kernel that answers to writes.

The scripts call mv after each write to the kernel, and so mv is the kernel: a stub that reads what was written
and moves the links, before the script goes on. A FIFO that nobody reads blocks whoever writes to it, like a driver
that does not let go.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import files
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.model import Entry as Function
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.record import render_record
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.rules import render_rules

FILES = pathlib.Path(__file__).resolve().parents[4] / "roles" / "vfio" / "files"
IDENTITY = Identity("1234", "1111", "1af4", "1100")
RULES = "etc/udev/rules.d/10-hearth-vfio.rules"
RECORD = "var/lib/hearth/vfio"
FUNCTIONS, FUNCTION_RULES = files.RECORD.lstrip("/"), files.RULES.lstrip("/")


KERNEL = """
cd "$HEARTH_ROOT/sys/bus/pci"
for said in "$HEARTH_ROOT"/functions/*; do
    [ -f "$said" ] || continue
    address=${said##*/}
    for name in sriov_numvfs sriov_drivers_autoprobe; do
        value=$(cat "devices/$address/$name")
        if [ "$(sed -n "s/^$name //p" "$said")" != "$value" ]; then
            echo "$name $value $address" >> "$HEARTH_ROOT/writes"
            sed -i "s/^$name .*/$name $value/" "$said"
            [ "$name$value" != sriov_numvfs0 ] || rm -f "devices/$address"/virtfn*
        fi
    done
done
for file in drivers/*/unbind drivers_probe; do
    [ -f "$file" ] && [ -s "$file" ] || continue
    address=$(cat "$file")
    : > "$file"
    echo "$file $address" >> "$HEARTH_ROOT/writes"
    if [ "$file" = drivers_probe ]; then
        wish=$(cat "devices/$address/driver_override")
        wish=${wish:-$(cat "$HEARTH_ROOT/origins/$address")}
        link=devices/$address/driver
        [ -e "$link" ] || [ ! -d "drivers/$wish" ] || ln -s "../../drivers/$wish" "$link"
    else
        rm "devices/$address/driver"
    fi
done
exec /bin/mv "$@"
"""


class FakeHost:
    """A host whose devices change their drivers when somebody writes to its files."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self.functions: dict[str, Function] = {}
        for folder in ("sys/bus/pci/devices", "etc/udev/rules.d", "var/lib/hearth", "run/hearth", "proc"):
            (root / folder).mkdir(parents=True)
        self.write("sys/bus/pci/drivers_probe", "")
        self.stub("mv", KERNEL)
        self.stub("update-initramfs", 'echo "$@" >> "$HEARTH_ROOT/built"')

    def device(self, address: str, driver: str = "vfio-pci", origin: str = "bochs-drm", **more: str) -> None:
        """Add a device of ours."""
        folder = self.root / "sys/bus/pci/devices" / address
        folder.mkdir()
        for name in ("vendor", "device", "subsystem_vendor", "subsystem_device"):
            (folder / name).write_text(f"0x{more.get(name) or getattr(IDENTITY, name)}\n")
        (folder / "modalias").write_text(f"pci:{address}\n")
        (folder / "driver_override").write_text("vfio-pci\n")
        (folder / "iommu_group").symlink_to(f"../../../kernel/iommu_groups/{more.get('group', '7')}")
        for name in {driver, origin} - {""}:
            self.write(f"sys/bus/pci/drivers/{name}/unbind", "")
        self.write(f"origins/{address}", origin)
        self.bind(address, driver)
        self.entries.append(Entry(address, IDENTITY, "vfio-pci", origin, more.get("override", "")))

    def function(self, address: str, vfs: tuple[str, ...], words: str) -> None:
        """Make a device have virtual functions, with a line in the record; the drivers of both stay."""
        folder = self.root / "sys/bus/pci/devices" / address
        folder.mkdir()
        for name in ("vendor", "device", "subsystem_vendor", "subsystem_device"):
            (folder / name).write_text(f"0x{getattr(IDENTITY, name)}\n")
        (folder / "sriov_numvfs").write_text(f"{len(vfs)}\n")
        (folder / "sriov_drivers_autoprobe").write_text("0\n")
        for index, vf in enumerate(vfs):
            (folder.parent / vf).mkdir(exist_ok=True)
            (folder / f"virtfn{index}").symlink_to(f"../{vf}")
        self.write(f"functions/{address}", f"sriov_numvfs {len(vfs)}\nsriov_drivers_autoprobe 0\n")
        settings = dict(word.split("=", 1) for word in words.split())
        self.functions[address] = Function(address, IDENTITY, settings)
        self.write(FUNCTIONS, files.render_record(self.functions))
        self.write(FUNCTION_RULES, files.render_rules(self.functions))

    def configure(self) -> None:
        """Write the record and the rules, as the module does."""
        self.write(RECORD, render_record({entry.address: entry for entry in self.entries}))
        self.write(RULES, render_rules(self.entries))

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def stub(self, name: str, text: str) -> None:
        self.write(f"stubs/{name}", f"#!/bin/sh\n{text}\n").chmod(0o755)

    def bind(self, address: str, driver: str) -> None:
        """Move the link, as the kernel does."""
        link = self.root / "sys/bus/pci/devices" / address / "driver"
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(f"../../drivers/{driver}")

    def driver_of(self, address: str) -> str:
        link = self.root / "sys/bus/pci/devices" / address / "driver"
        return pathlib.Path(os.readlink(link)).name if link.is_symlink() else ""

    def writes(self) -> list[str]:
        """Return what was written to the kernel, in order."""
        path = self.root / "writes"
        return path.read_text().splitlines() if path.exists() else []

    def override_of(self, address: str) -> str:
        return (self.root / "sys/bus/pci/devices" / address / "driver_override").read_text().strip()

    def block(self, driver: str) -> None:
        """Let the driver never let go: nobody reads what is written to its unbind."""
        unbind = self.root / "sys/bus/pci/drivers" / driver / "unbind"
        unbind.unlink()
        os.mkfifo(unbind)

    def unload(self, driver: str) -> None:
        """Let the driver be gone until modprobe is called."""
        folder = self.root / "sys/bus/pci/drivers" / driver
        shutil.move(folder, self.root / "unloaded")
        self.stub(
            "modprobe", f'echo "$@" >> "$HEARTH_ROOT/modprobe"; /bin/mv "$HEARTH_ROOT/unloaded" "{folder}"'
        )

    def run(self, script: str, *words: str, **environment: str) -> tuple[int, str, str]:
        """Run a script of the role as in a rescue shell: nothing but what it sets itself."""
        shell = shutil.which("dash") or "/bin/sh"
        done = subprocess.run(
            [shell, str(FILES / script), *words],
            env={"HEARTH_ROOT": str(self.root), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr
