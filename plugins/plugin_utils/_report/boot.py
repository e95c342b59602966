# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""How the host boots: what is wanted, configured and effective side by side, and what waits for a reboot."""

from __future__ import annotations

import dataclasses
import re
import typing as t

Data = t.Mapping[str, t.Any]

# The area of the findings that requests of the reboot ledger become.
REBOOT = "reboot."
PENDING_REBOOT = "A reboot is pending"
EFFECTIVE, PENDING, NOT_NEEDED, FAILED, FULFILLED = (
    "effective",
    "pending",
    "not_needed",
    "failed",
    "fulfilled",
)
# The statuses of the report (model.py), by those of arguments and requests; any other word is unknown.
_LEVELS = {EFFECTIVE: "pass", FULFILLED: "pass", PENDING: "warn", NOT_NEEDED: "na", FAILED: "fail"}
_STATES = {
    EFFECTIVE: "effective",
    PENDING: "waits for a reboot",
    NOT_NEEDED: "not needed",
    FAILED: "not effective",
}
_LOADERS = {
    "grub": "GRUB",
    "bls": "GRUB with boot loader entries",
    "proxmox": "proxmox-boot-tool",
}
NOT_KNOWN, ABSENT = "not known", "absent"
# To these statuses only a look at /proc/cmdline leads, so what it did not show is absent.
_LOOKED_AT = frozenset({PENDING, NOT_NEEDED, FAILED})

_REASONS = {
    PENDING: "A reboot was asked for by {who}: {reason}",
    FAILED: "The reboot that {who} asked for did not help: {reason}",
    FULFILLED: "The reboot that {who} asked for helped: {reason}",
}
_UNJUDGED = "Whether the reboot that {who} asked for is still needed is not known: {reason}"
_HINTS = {
    PENDING: "Reboot the host and run again, or run again with -e reboot_policy=auto.",
    FAILED: "Do not reboot for it again. Compare what was asked for with /proc/cmdline and with what the boot "
    "loader starts, correct it, and run again.",
    FULFILLED: "",
}
_JUDGE = "Make what could not be read readable (run as root, on the running host), and run again."
_TITLES = {
    FAILED: "A reboot did not help",
    PENDING: "Waiting for a reboot",
    "": "Perhaps waiting for a reboot",
    FULFILLED: "Done by a reboot",
}
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")
_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a row: a text of the host, or words of ours in its place."""

    label: str
    text: str
    otherwise: str = ""


@dataclasses.dataclass(frozen=True)
class Argument:
    """One kernel argument, as ``kernel_args`` returns it."""

    name: str
    wanted: str
    configured: str | None
    effective: str | None
    status: str
    why: str
    owners: str

    @property
    def level(self) -> str:
        """Return the status as one of the report's."""
        return _LEVELS.get(self.status, "unknown")

    @property
    def state(self) -> str:
        """Return the status in words."""
        return _STATES.get(self.status, NOT_KNOWN)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return what stands side by side; a value that was not read is not called absent."""
        unseen = ABSENT if self.effective is not None or self.status in _LOOKED_AT else NOT_KNOWN
        return (
            Cell("Wanted", self.wanted, NOT_KNOWN),
            Cell("Configured", self.configured or "", NOT_KNOWN if self.configured is None else ABSENT),
            Cell("Effective", self.effective or "", unseen),
        )


@dataclasses.dataclass(frozen=True)
class Item:
    """A boot entry or an initramfs: its name, how it stands, what is in it."""

    name: str
    level: str
    state: str
    contents: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Request:
    """One request of the reboot ledger, as judged on the host."""

    name: str
    reason: str
    requested_by: str
    since: str
    status: str
    lacking: tuple[str, ...]

    @property
    def level(self) -> str:
        """Return the status as one of the report's."""
        return _LEVELS.get(self.status, "unknown")

    def finding(self) -> dict[str, t.Any]:
        """Return the request as a finding: it counts, it is advice, and it decides on the verdict."""
        everything = "everything that was expected" if self.status == FULFILLED else None
        return {
            "id": REBOOT + _NOT_IN_AN_ID.sub("_", self.name),
            "status": self.level,
            "value": "; ".join(self.lacking) or everything,
            "why": _REASONS.get(self.status, _UNJUDGED).format(who=self.requested_by, reason=self.reason),
            "hint": _HINTS.get(self.status, _JUDGE),
            "source": f"the reboot ledger, asked for {self.since}",
            "needs_reboot": self.status == PENDING,
        }


@dataclasses.dataclass(frozen=True)
class Boot:
    """All of it. ``loader`` is empty when the role ``boot`` did not run."""

    loader: str = ""
    arguments: tuple[Argument, ...] = ()
    entries: tuple[Item, ...] = ()
    images: tuple[Item, ...] = ()
    notices: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()

    def __bool__(self) -> bool:
        return self != Boot()

    @property
    def waiting(self) -> tuple[tuple[str, tuple[Request, ...]], ...]:
        """Return the requests under a title each, those that need somebody first."""
        groups: dict[str, list[Request]] = {title: [] for title in _TITLES.values()}
        for request in self.requests:
            groups[_TITLES.get(request.status, _TITLES[""])].append(request)
        return tuple((title, tuple(requests)) for title, requests in groups.items() if requests)


def build(state: Data, reboots: t.Sequence[Data]) -> Boot:
    """Build it from what the roles ``boot`` (``boot_state``) and ``reboot`` (``reboot_ledger``) export."""
    backend = str(state.get("backend") or "")
    return Boot(
        loader=_LOADERS.get(backend, backend),
        arguments=tuple(map(_argument, state.get("arguments") or ())),
        entries=tuple(map(_entry, state.get("entries") or ())),
        images=tuple(map(_image, state.get("initramfs") or ())),
        notices=tuple(map(str, state.get("notices") or ())),
        requests=tuple(map(_request, reboots)),
    )


def _argument(data: Data) -> Argument:
    return Argument(
        name=str(data["name"]),
        wanted=str(data.get("wanted") or ""),
        configured=_text(data.get("configured")),
        effective=_text(data.get("effective")),
        status=str(data.get("status") or ""),
        why=str(data.get("why") or ""),
        owners=", ".join(map(str, data.get("owners") or ())),
    )


def _text(value: t.Any) -> str | None:
    return None if value is None else str(value)


def _entry(data: Data) -> Item:
    if data.get("bare"):
        return Item(str(data["name"]), "na", "left bare")
    return Item(str(data["name"]), *_completeness(data, "has the arguments", "lacks arguments"))


def _image(data: Data) -> Item:
    contents = (*(data.get("modules") or ()), *(data.get("files") or ()))
    return Item(str(data["image"]), *_completeness(data, "complete", "incomplete"), tuple(map(str, contents)))


def _completeness(data: Data, complete: str, incomplete: str) -> tuple[str, str]:
    if data.get("complete") is None:
        return "unknown", NOT_KNOWN
    return ("pass", complete) if data["complete"] else ("fail", incomplete)


def _request(data: Data) -> Request:
    since = str(data.get("since") or "")
    utc = _UTC.fullmatch(since)
    return Request(
        name=str(data["name"]),
        reason=str(data.get("reason") or "no reason was given"),
        requested_by=str(data.get("requested_by") or "an unnamed role"),
        since=f"{utc[1]} {utc[2]} UTC" if utc else since or "at a time that was not noted",
        status=str(data.get("status") or ""),
        lacking=tuple(map(str, data.get("lacking") or ())),
    )
