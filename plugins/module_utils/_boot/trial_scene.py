# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a boot on trial needs to know of the host: what it runs with, and what GRUB would boot by itself."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, grub_env
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_env import GRUBENV
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import GRUB_CFG, MenuEntry, find
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import (
    FALLBACK,
    FALLBACK_WORD,
    PREVIOUS,
    TRIAL,
    booted_kernel,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

DEFAULTS, FOLDER = "/etc/default/grub", "/etc/default/grub.d"
DROPIN = f"{FOLDER}/zz-hearth-trial.cfg"
SCRIPT = "/etc/grub.d/42_hearth"
PROXMOX = "/etc/kernel/proxmox-boot-uuids"
CMDLINE, BOOT_ID, UPTIME = "/proc/cmdline", "/proc/sys/kernel/random/boot_id", "/proc/uptime"
FILES = (GRUB_CFG, SCRIPT, DROPIN, GRUBENV, PROXMOX, CMDLINE, BOOT_ID)

# Sources the files as grub-mkconfig does (grub-common 2.06-13+deb12u2), once without our drop-in and once
# with it. What they print themselves is no answer.
_MEASURE = f"""exec 3>&1 >&2
for hearth_skip in {DROPIN} none; do (
    unset GRUB_DEFAULT
    for hearth_file; do
        case $hearth_file in
            "$hearth_skip") ;;
            {DROPIN}) GRUB_DEFAULT={FALLBACK} ;;
            *) . "$hearth_file" ;;
        esac
    done
    printf '%s\\000' "${{GRUB_DEFAULT-}}" >&3
) done
"""


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read.

    ``defaults`` are GRUB_DEFAULT without our drop-in, and with it. ``kept`` names the initial RAM disks
    that an older one is kept of, and tells whether they were built in this boot; ``rebuilt`` names all that were.
    """

    files: t.Mapping[str, Reading]
    defaults: tuple[str, str]
    kept: t.Mapping[str, bool]
    rebuilt: frozenset[str]
    not_writable: str

    def text(self, path: str) -> str:
        """Return the text of a file; empty when there is none.

        :raises ParseError: there is one, and it cannot be read.
        """
        reading = self.files[path]
        if reading.unknown:
            raise ParseError(f"{reading.why}.", remedy=f"make {path} readable")
        return reading.text or ""


@dataclasses.dataclass(frozen=True)
class Scene:
    """What the host runs with, and what it would boot without us.

    ``menu`` are the entries of others. ``previous`` names the initial RAM disks that this boot was not
    started with: it was the one that is kept beside; ``rebuilt`` names those that were built in this boot.
    ``why`` tells why there can be no trial.
    """

    menu: tuple[MenuEntry, ...]
    default: MenuEntry | None
    running: tuple[str, ...]
    boot_id: str
    previous: frozenset[str]
    rebuilt: frozenset[str] = frozenset()
    why: str = ""


def read_scene(host: Host, ask_grub: bool) -> Raw:
    """Read everything; ``ask_grub`` whether GRUB can write its environment block at boot."""
    has_menu = host.exists(GRUB_CFG)
    return Raw(
        files={path: host.read(path) for path in FILES},
        defaults=_measure_defaults(host) if has_menu else ("", ""),
        kept=_kept(host),
        rebuilt=_rebuilt(host),
        not_writable=grub_env.why_not_writable(host) if has_menu and ask_grub else "",
    )


def parse_scene(raw: Raw, menu: t.Sequence[MenuEntry]) -> Scene:
    """Put together what was read, and what is in the menu."""
    env = grub_env.parse_env(raw.text(GRUBENV))
    running = cmdline.split(raw.text(CMDLINE))
    others = tuple(entry for entry in menu if entry.id not in (TRIAL, FALLBACK))
    started_from = _started_from(menu, running, raw.kept)
    scene = Scene(
        menu=others,
        default=find(others, grub_env.variable(env, raw.defaults[0])),
        running=running,
        boot_id=raw.text(BOOT_ID).strip(),
        previous=frozenset(name for name, fresh in raw.kept.items() if fresh or name in started_from),
        rebuilt=raw.rebuilt,
    )
    reasons = (
        why for why in (_why_no_grub(raw, scene), _why_no_default(raw, scene), raw.not_writable) if why
    )
    return dataclasses.replace(scene, why=next(reasons, ""))


def _started_from(
    menu: t.Sequence[MenuEntry], running: t.Sequence[str], kept: t.Iterable[str]
) -> frozenset[str]:
    """Return what the fallback was started with: by its age alone, the one on trial would look like it."""
    if FALLBACK_WORD not in running:
        return frozenset()
    entries = [entry for entry in menu if entry.id == FALLBACK]
    if not entries:
        # The trial was taken back since. Of a kept one it is certain that it has started before.
        return frozenset(kept)
    paths = (path for entry in entries for path in entry.initrd)
    return frozenset(os.path.basename(path[: -len(PREVIOUS)]) for path in paths if path.endswith(PREVIOUS))


def _why_no_grub(raw: Raw, scene: Scene) -> str:
    menu = raw.text(GRUB_CFG)
    if not menu:
        return f"there is no {GRUB_CFG}: the host does not boot by GRUB"
    if not booted_kernel(scene.running):
        return f"the running kernel was not started by GRUB: there is no BOOT_IMAGE in {CMDLINE}"
    if raw.text(PROXMOX).strip():
        return f"{PROXMOX}: GRUB starts from copies of its menu that proxmox-boot-tool makes"
    if "save_env next_entry" not in menu:
        return f"{GRUB_CFG} does not look at what is to be booted once"
    return ""


def _why_no_default(raw: Raw, scene: Scene) -> str:
    entry = scene.default
    if entry is None or not entry.kernel or not entry.of_distribution or entry.bare:
        title = entry.title if entry else ""
        return f"the entry that boots by itself, {title!r}, is not one with the configured arguments"
    if raw.defaults[1] != FALLBACK:
        return f"a file in {FOLDER} that comes after {os.path.basename(DROPIN)} sets GRUB_DEFAULT={raw.defaults[1]}"
    return ""


def _measure_defaults(host: Host) -> tuple[str, str]:
    names = {name for name in host.listdir(FOLDER) if name.endswith(".cfg") and name[0] != "."}
    dropins = sorted({*(f"{FOLDER}/{name}" for name in names), DROPIN})
    first = [DEFAULTS] if host.exists(DEFAULTS) else []
    paths = [path if path == DROPIN else host.path(path) for path in (*first, *dropins)]
    values = host.run(("/bin/sh", "-c", _MEASURE, "sh", *paths), check=False).out.split("\0")
    if len(values) != 3:
        raise ParseError(
            f"A file among {DEFAULTS} and {FOLDER}/*.cfg ends the shell that reads it.",
            remedy="run grub-mkconfig, which reads them the same way, and correct the file that it names",
        )
    return values[0], values[1]


def _kept(host: Host) -> dict[str, bool]:
    started = _started(host)
    names = (name[: -len(PREVIOUS)] for name in host.listdir("/boot") if name.endswith(PREVIOUS))
    return {name: _changed(host, f"/boot/{name}") >= started for name in names}


def _rebuilt(host: Host) -> frozenset[str]:
    started = _started(host)
    names = (name for name in host.listdir("/boot") if name.startswith("initr"))
    # Without the time of the boot none is known to be.
    return frozenset(name for name in names if 0 < started <= _changed(host, f"/boot/{name}"))


def _started(host: Host) -> float:
    uptime = (host.text(UPTIME) or "").split()
    return host.now() - float(uptime[0]) if uptime else 0.0


def _changed(host: Host, path: str) -> float:
    try:
        return os.stat(host.path(path)).st_mtime
    except FileNotFoundError:
        # Nothing but the kept one is there.
        return host.now()
