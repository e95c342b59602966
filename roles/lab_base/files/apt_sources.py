# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print this machine's own Debian package sources as one-line entries, for another suite: apt_sources.py SUITE."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

PARTS = ("", "-updates", "-security")


class Entry(t.NamedTuple):
    """One line of a sources list: where the packages are, and which of them."""

    uri: str
    suite: str
    components: str
    key: str = ""

    def line(self, suite: str) -> str:
        """Return the entry for ``suite`` in the one-line format."""
        option = f"[signed-by={self.key}] " if self.key else ""
        return f"deb {option}{self.uri} {suite} {self.components}"


def one_line(text: str) -> t.Iterator[Entry]:
    """Parse the one-line format. Of the options in brackets only the key matters here."""
    for line in text.splitlines():
        match = re.fullmatch(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+?)\s*", line)
        if match:
            options, *place = match.groups()
            yield Entry(*place, key="".join(re.findall(r"signed-by=(\S+)", options or "")))


def deb822(text: str) -> t.Iterator[Entry]:
    """Parse the deb822 format."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", "\n".join(lines), flags=re.MULTILINE))
        if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes") == "no":
            continue
        for uri in fields.get("URIs", "").split():
            for suite in fields.get("Suites", "").split():
                yield Entry(uri, suite, fields.get("Components", ""), _key_file(fields.get("Signed-By", "")))


def _key_file(signed_by: str) -> str:
    """Return the path of the key; a key written into the stanza itself cannot be named in one line."""
    return signed_by.strip() if signed_by.strip().startswith("/") else ""


def for_suite(entries: t.Iterable[Entry], own: str, wanted: str) -> list[str]:
    """Keep Debian's own archives, told by the suite's name, and name the wanted suite instead. Pure."""
    names = {own + part: wanted + part for part in PARTS}
    kept = [entry for entry in entries if entry.suite in names]
    return list(dict.fromkeys(entry.line(names[entry.suite]) for entry in kept))


def own_suite(root: pathlib.Path) -> str:
    """Return the code name of the release that this machine runs."""
    text = (root / "etc/os-release").read_text(encoding="utf-8")
    return "".join(re.findall(r'^VERSION_CODENAME="?(\w+)', text, flags=re.MULTILINE))


def read(root: pathlib.Path) -> list[Entry]:
    """Read all sources of the machine."""
    apt = root / "etc/apt"
    lists = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]
    entries = [
        entry for path in lists if path.is_file() for entry in one_line(path.read_text(encoding="utf-8"))
    ]
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        entries += deb822(path.read_text(encoding="utf-8"))
    return entries


def main() -> None:
    """Print the entries, or say why there are none."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    root = pathlib.Path("/")
    lines = for_suite(read(root), own_suite(root), sys.argv[1])
    if not lines:
        sys.exit(f"No source in /etc/apt offers the suite {own_suite(root)!r} of this machine's release.")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
