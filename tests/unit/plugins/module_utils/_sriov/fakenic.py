# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network card with virtual functions, and a udev that follows a rules file, on the PCI core of ``fakepci``."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import shutil
import typing as t

from fakepci import DEVICES, Device, FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError

NIC, NETDEV = "0000:03:00.0", "enp3s0"
# Intel 82576, as QEMU 8 has it.
NIC_IDS = "8086:10c9:8086:a03c"
DISK, DISK_IDS = "0000:04:00.0", "1b36:0010:1af4:1100"
FRESH: dict[str, t.Any] = {
    "mac": "00:00:00:00:00:00",
    "vlan": 0,
    "qos": 0,
    "max_tx_rate": 0,
    "min_tx_rate": 0,
    "spoofchk": "on",
    "trust": "off",
    "state": "auto",
}
_NUMBERS = ("vlan", "qos", "max_tx_rate", "min_tx_rate")
_TOKEN = re.compile(r'([A-Z]+)(?:\{([^}]+)\})?(==|!=|\+=|=)"((?:[^"\\]|\\.)*)"(?:, |$)')


class FakeHost(FakeKernel):
    """Has a network card for 7 VFs and a disk for 4; a driver may make ``fewer`` VFs than it is asked for."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self.told: dict[int, dict[str, t.Any]] = {}
        self.fewer = 0
        self.deaf = ""
        self.answer = ""
        self.driver("igb", "8086:10c9")
        self.driver("nvme", "1b36:0010")
        self.driver("vfio-pci")
        self.add(NIC, NIC_IDS, "020000", driver="igb", group="20", under=("0000:00:10.0",), vfs=7)
        self.add(DISK, DISK_IDS, "010802", driver="nvme", group="21", under=("0000:00:10.1",), vfs=4)

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
    ) -> Completed:
        """Be ``ip`` as well."""
        words = list(argv)
        if words[0] != "ip":
            return super().run(argv, stdin=stdin, timeout_s=timeout_s, check=check)
        self.calls.append(tuple(argv))
        if words[1:] == ["-json", "link", "show", "dev", NETDEV]:
            return Completed(0, self.answer or json.dumps([self._shown()]), "")
        if words[1:4] == ["link", "set", "dev"] and words[4] == NETDEV and words[5] == "vf":
            self._set(int(words[6]), dict(zip(words[7::2], words[8::2])))
        return Completed(0, "[]" if "-json" in words else "", "")

    def boot(self, rules: str) -> None:
        """Forget what no device remembers, then follow the rules as udev does at a cold start."""
        for address in (NIC, DISK):
            device = self.devices[address]
            self._remove_vfs(device)
            self.put(f"{device.folder}/sriov_numvfs", "0\n")
            self.put(f"{device.folder}/sriov_drivers_autoprobe", "1\n")
        self.told.clear()
        for address in (NIC, DISK):
            self.event("add", address, rules)

    def event(self, action: str, address: str, rules: str) -> None:
        """Follow the rules for one event: of udev(7) what our rules use; a line that is not understood is an error."""
        environment: dict[str, str] = {}
        programs: list[str] = []
        for line in rules.splitlines():
            if line and line[0] != "#":
                tokens = _TOKEN.findall(line)
                assert (
                    "".join(f'{k}{f"{{{a}}}" if a else ""}{o}"{v}", ' for k, a, o, v in tokens)[:-2] == line
                )
                self._follow(tokens, action, address, environment, programs)
        for program in programs:
            self._shell(program.replace("$$", "$").replace("%p", self.devices[address].folder[4:]))

    def vf(self, index: int, address: str = NIC) -> str:
        """Return the address of a VF."""
        return self.devices[address].vfs[index]

    def number(self, address: str = NIC) -> str:
        return self.text(f"{DEVICES}/{address}/sriov_numvfs").strip()

    def opened(self, pid: int, node: str, comm: str = "qemu-system-x86", name: str = "") -> None:
        """Let a process have a node open."""
        self.put(f"/proc/{pid}/comm", f"{comm}\n")
        self.put(f"/proc/{pid}/cmdline", f"{comm}\0-name\0guest={name}\0" if name else f"{comm}\0")
        self.put(f"/proc/{pid}/maps", "")
        folder = self.root / f"proc/{pid}/fd"
        folder.mkdir()
        (folder / "7").symlink_to(node)

    def _follow(
        self,
        tokens: t.Iterable[tuple[str, str, str, str]],
        action: str,
        address: str,
        environment: dict[str, str],
        programs: list[str],
    ) -> None:
        folder = f"{DEVICES}/{address}"
        has = {
            "ACTION": action,
            "SUBSYSTEM": "pci",
            "KERNEL": address,
            "DRIVER": self.driver_of(address) or "",
        }
        for key, name, operator, value in tokens:
            if operator in ("==", "!="):
                found = environment.get(name, "") if key == "ENV" else has.get(key, "")
                if key == "ATTR":
                    path = self.root / f"{folder}/{name}".lstrip("/")
                    found = path.read_text().strip() if path.exists() else "\0"
                if key == "TEST":
                    found = value if (self.root / value.lstrip("/")).exists() else "\0"
                same = bool(found) if value == "?*" else found in value.split("|")
                if same != (operator == "=="):
                    return
            elif key == "ENV":
                environment[name] = value
            elif key == "ATTR":
                self.write_sysfs(self.host.path(f"{folder}/{name}"), value, 1)
            else:
                assert (key, operator) == ("RUN", "+=")
                programs.append(value)

    def _shell(self, program: str) -> None:
        """Be the shell for the one program that our rules have."""
        shell, option, script = shlex.split(program)
        assert (shell, option) == ("/bin/sh", "-c")
        match = re.fullmatch(
            r"PATH=\S+; for i in /sys(\S+)/net/\*; do (ip .*) (\$\{i##\*/\}) (.*); done", script
        )
        assert match, script
        for name in os.listdir(self.root / f"sys{match.group(1)}/net"):
            self.run([*match.group(2).split(), name, *match.group(4).split()])

    def _attach(self, device: Device, name: str) -> None:
        super()._attach(device, name)
        if name == "igb":
            interface = self._interface(device)
            self.put(f"{device.folder}/net/{interface}/flags", "0x1002\n")
            self.put(f"{device.folder}/net/{interface}/carrier", "0\n")
            self.link(f"/sys/class/net/{interface}", f"{device.folder}/net/{interface}")

    def _detach(self, device: Device) -> None:
        if self.driver_of(device.address) == "igb":
            (self.root / f"sys/class/net/{self._interface(device)}").unlink()
            shutil.rmtree(self.root / f"{device.folder}/net".lstrip("/"))
        super()._detach(device)

    def _interface(self, device: Device) -> str:
        return f"{NETDEV}v{int(device.address[-1]) - 1}" if device.address != NIC else NETDEV

    def _numvfs(self, device: Device, number: int) -> None:
        super()._numvfs(device, min(number, self.fewer) if self.fewer else number)
        if device.address == NIC:
            self.told = {index: self.told.get(index, dict(FRESH)) for index in range(len(device.vfs))}

    def _set(self, index: int, fields: t.Mapping[str, str]) -> None:
        if self.deaf in fields or index not in self.told:
            raise CommandError("RTNETLINK answers: Operation not supported", argv=["ip"])
        if "vlan" in fields:
            self.told[index]["qos"] = 0
        for name, value in fields.items():
            assert name in FRESH, name
            self.told[index][name] = int(value) if name in _NUMBERS else value

    def _shown(self) -> dict[str, t.Any]:
        """Return what print_vfinfo() of ip/ipaddress.c in iproute2 6.1 prints."""
        vfs = []
        for index, told in self.told.items():
            vlan = {name: told[name] for name in ("vlan", "qos") if told[name]}
            vfs.append(
                {
                    "vf": index,
                    "link_type": "ether",
                    "address": told["mac"],
                    "broadcast": "ff:ff:ff:ff:ff:ff",
                    "vlan_list": [vlan],
                    "rate": {"max_tx": told["max_tx_rate"], "min_tx": told["min_tx_rate"]},
                    "spoofchk": told["spoofchk"] == "on",
                    "link_state": told["state"],
                    "trust": told["trust"] == "on",
                    "query_rss_en": False,
                }
            )
        return {"ifindex": 3, "ifname": NETDEV, **({"vfinfo_list": vfs} if vfs else {})}
