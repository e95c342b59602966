# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What an initramfs shall hold, and the stamp by which a listing of an image proves what it was built from. Pure.

The stamp is an empty file in the image whose name carries a digest of all inputs. It is made while the image is
built, by a shell function in our hook; the module computes the same digest in Python. So an image that a kernel
upgrade built, long after our run, proves its inputs as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

STAMP_DIR = "etc/hearth"
_STAMP = re.compile(rf"{STAMP_DIR}/initramfs\.([0-9a-f]{{16}})")
_NOTE = re.compile(r"^# hearth: (\{.*\})$", re.MULTILINE)

STAMP_FUNCTION = r"""# Print the digest of the inputs: of each file that is there its path and its checksum, one a line.
# The module hearth.gpu_host.initramfs computes the same; change both or none.
hearth_digest() {
    for hearth_input in "$@"; do
        [ -f "$hearth_input" ] || continue
        printf '%s\n' "$hearth_input"
        sha256sum < "$hearth_input" | cut -c1-64
    done | sha256sum | cut -c1-16
}
"""


@dataclasses.dataclass(frozen=True)
class Content:
    """Modules in normal form, and files by their absolute path; both sorted. False when there is nothing."""

    modules: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != Content()


def note(content: Content) -> str:
    """Return the line that keeps the content in our own configuration."""
    return f"# hearth: {json.dumps(dataclasses.asdict(content), sort_keys=True)}\n"


def parse_note(path: str, text: str) -> Content:
    """Read the content out of our own configuration.

    :raises ParseError: the file is not ours, or somebody changed it.
    """
    try:
        found = json.loads(_NOTE.findall(text)[0])
        return Content(tuple(found["modules"]), tuple(found["files"]))
    except (IndexError, ValueError, KeyError, TypeError) as error:
        raise ParseError(
            f"{path} is not what this module writes.", remedy=f"move {path} away, then run again"
        ) from error


def digest(sums: t.Iterable[tuple[str, str]]) -> str:
    """Return the digest of the inputs, given as (path, SHA-256) in their order."""
    text = "".join(f"{path}\n{checksum}\n" for path, checksum in sums)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def stamps(names: t.Iterable[str]) -> tuple[str, ...]:
    """Return the digests that stand in the listing of an image: none or one, unless somebody joined images."""
    return tuple(sorted({match.group(1) for match in map(_STAMP.fullmatch, names) if match}))
