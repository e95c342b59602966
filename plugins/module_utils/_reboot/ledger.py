# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The reboot ledger: who asked for a reboot, why, and by what one sees that it helped. Pure.

A request is written *before* the change that makes it necessary, so that a run that dies in between
cannot lose it. It is asked for in one boot; whether it is fulfilled is measured, never remembered:

* everything it expects holds: fulfilled, whoever rebooted;
* something is missing, and the host still runs the boot in which it was asked for: pending;
* something is missing, and the host has booted since: failed. Another reboot would not help either,
  so a failed request never leads to one;
* what decides it cannot be read: unknown, which is neither fulfilled nor a reason to reboot.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import FALLBACK_WORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import canonical
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

LEDGER = "/var/lib/hearth/reboot.json"
FACT_FILE = "/etc/ansible/facts.d/hearth_reboot.fact"
METRICS_NAME = "hearth_reboot.prom"

FULFILLED, PENDING, FAILED, UNKNOWN = "fulfilled", "pending", "failed", "unknown"
WITHDRAWN = "withdrawn"
"""What became of a request that nobody needs any more; only in results, never in the ledger."""

AT_LEAST, EQUALS, MATCHES, FILLED = "at_least", "equals", "matches", "filled"
OPERATORS = (AT_LEAST, EQUALS, MATCHES, FILLED)

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclasses.dataclass(frozen=True)
class Check:
    """What a file or folder of the running kernel must say.

    ``at_least`` compares numbers, ``equals`` the stripped text (``Y`` and ``1``, ``N`` and ``0`` are
    equal, as module parameters print them), ``matches`` searches a regular expression, ``filled``
    wants a folder that has entries.
    """

    path: str
    operator: str
    value: str = ""
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Expect:
    """By what one sees that a reboot helped.

    ``present`` and ``absent`` are words of ``/proc/cmdline``; with ``boot`` any boot after the
    request will do, but for the fallback of a trial, which is what ran before.
    """

    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    boot: bool = False


@dataclasses.dataclass(frozen=True)
class Request:
    """One reason to reboot. ``since`` is UTC, ``boot_id`` the boot in which it was asked for."""

    name: str
    reason: str
    requested_by: str
    since: str
    boot_id: str
    expect: Expect

    def as_dict(self) -> dict[str, t.Any]:
        """Return the request as plain data."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the running host says: its boot, its command line, what the checks found.

    ``boot_id`` is empty where it cannot be read. ``held`` maps each check to what was found, ``None``
    where that cannot be told; ``ignored`` are words that nobody knows. ``words_known`` is
    false where ``/proc/cmdline`` could not be read.
    """

    boot_id: str
    words: tuple[str, ...]
    held: t.Mapping[Check, tuple[bool | None, str]] = dataclasses.field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    words_known: bool = True


@dataclasses.dataclass(frozen=True)
class Judgement:
    """A request, where it stands, and what is missing in words."""

    request: Request
    status: str
    lacking: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as plain data, for results and reports."""
        return {**self.request.as_dict(), "status": self.status, "lacking": list(self.lacking)}


Ledger = t.Mapping[str, Request]


def moment(epoch: float) -> str:
    """Return a time as requests record it: UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def epoch(since: str) -> int:
    """Return the seconds of a recorded time.

    :raises ValueError: it is no time.
    """
    try:
        # Python 3.9 does not read the Z.
        when = datetime.datetime.fromisoformat(re.sub(r"Z$", "+00:00", since))
        return int((when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)).timestamp())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"since is {since!r}, expected a time such as 2026-01-31T23:59:59Z") from error


def parse_ledger(text: str) -> dict[str, Request]:
    """Read the ledger's file; an empty text is an empty ledger.

    :raises ParseError: it is not what :func:`render_ledger` writes.
    """
    if not text.strip():
        return {}
    try:
        requests = [parse_request(item) for item in json.loads(text)["requests"]]
        found = {request.name: request for request in requests}
        if len(found) < len(requests):
            raise ValueError("a name comes twice")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ParseError(
            f"{LEDGER} is broken: {type(error).__name__}: {error}.",
            remedy=f"look at it, then remove {LEDGER}: what is not effective asks for its reboot again",
        ) from error
    return found


def parse_request(item: t.Mapping[str, t.Any]) -> Request:
    """Build a request from plain data, such as :meth:`Request.as_dict` returns.

    :raises KeyError: a field is missing.
    :raises TypeError: a field is unknown.
    :raises ValueError: a field has no value that it may have.
    """
    expect = dict(item["expect"])
    expect["checks"] = tuple(_check(check) for check in expect.get("checks", ()))
    for words in ("present", "absent"):
        expect[words] = tuple(_text(words, word) for word in expect.get(words, ()))
    if not isinstance(expect.get("boot", False), bool):
        raise ValueError(f"boot is {expect['boot']!r}")
    request = Request(**{**item, "expect": Expect(**expect)})
    for field in ("reason", "requested_by", "since", "boot_id"):
        _text(field, getattr(request, field))
    if not isinstance(request.name, str) or not _NAME.fullmatch(request.name):
        raise ValueError(f"the name is {request.name!r}, expected letters, digits, dots and dashes")
    epoch(request.since)
    _words(request.expect.present)
    return request


def _check(item: t.Mapping[str, t.Any]) -> Check:
    check = Check(**item)
    for field in ("path", "operator", "value", "label"):
        _text(field, getattr(check, field))
    if not check.path.startswith("/"):
        raise ValueError(f"path is {check.path!r}, expected an absolute path")
    if check.operator not in OPERATORS:
        raise ValueError(f"operator is {check.operator!r}, expected one of {', '.join(OPERATORS)}")
    if check.operator == AT_LEAST and not check.value.isdecimal():
        raise ValueError(f"value is {check.value!r}, expected a number")
    if check.operator == MATCHES:
        _pattern(check.value)
    return check


def _words(words: tuple[str, ...]) -> None:
    try:
        cmdline.arguments(words)
    except ParseError as error:
        raise ValueError(error.message) from error


def _pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"value is {text!r}, which is no regular expression: {error}") from error


def _text(field: str, value: t.Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{field} is {value!r}, expected a text")
    return value


def render_ledger(ledger: Ledger) -> str:
    """Render the ledger's file; the same ledger gives the same text."""
    return canonical({"requests": [ledger[name].as_dict() for name in sorted(ledger)]})


def enter(ledger: Ledger, request: Request, renew: bool) -> dict[str, Request]:
    """Enter a request. The same wish keeps its date and boot, unless what fulfils it was changed just now."""
    known = ledger.get(request.name)
    if known and not renew and known.expect == request.expect:
        return dict(ledger)
    return {**ledger, request.name: request}


def drop(ledger: Ledger, names: t.Collection[str]) -> dict[str, Request]:
    """Take requests out."""
    return {name: request for name, request in ledger.items() if name not in names}


def judge(request: Request, evidence: Evidence) -> Judgement:
    """Say where a request stands."""
    lacking = tuple(_lacking(request, evidence))
    unclear = tuple(_unclear(request, evidence, bool(lacking)))
    said = lacking + unclear
    if unclear and not (lacking and evidence.boot_id and request.boot_id):
        return Judgement(request, UNKNOWN, said)
    if not lacking:
        return Judgement(request, FULFILLED)
    return Judgement(request, PENDING if evidence.boot_id == request.boot_id else FAILED, said)


def _lacking(request: Request, evidence: Evidence) -> t.Iterator[str]:
    """Say what is seen to be missing."""
    expect = request.expect
    if evidence.words_known:
        yield from _wrong_words(expect, evidence)
    for check in expect.checks:
        holds, found = _found(check, evidence)
        if holds is False:
            yield f"{check.label or check.path}: {found}"
    if expect.boot and evidence.boot_id:
        yield from _no_boot(request, evidence)


def _no_boot(request: Request, evidence: Evidence) -> t.Iterator[str]:
    if evidence.boot_id == request.boot_id:
        yield "the host has not booted since"
    elif FALLBACK_WORD in evidence.words:
        yield "the host fell back to what it ran with before, and has not booted what is configured"


def _unclear(request: Request, evidence: Evidence, lacks: bool) -> t.Iterator[str]:
    """Say what decides the request and cannot be known."""
    expect = request.expect
    if expect == Expect():
        return
    if (expect.present or expect.absent) and not evidence.words_known:
        yield "/proc/cmdline could not be read"
    for check in expect.checks:
        holds, found = _found(check, evidence)
        if holds is None:
            yield f"{check.label or check.path}: {found}"
    if not evidence.boot_id:
        yield "the id of the running boot could not be read"
    elif not request.boot_id and (lacks or expect.boot):
        yield "it is not on record in which boot it was asked for"


def _found(check: Check, evidence: Evidence) -> tuple[bool | None, str]:
    return evidence.held.get(check, (None, "it was not looked at"))


def _wrong_words(expect: Expect, evidence: Evidence) -> t.Iterator[str]:
    for wish in cmdline.missing(cmdline.arguments(expect.present), evidence.words):
        yield f"{cmdline.join(wish.words)} is not in /proc/cmdline"
    yield from (f"the kernel does not know {word}" for word in expect.present if word in evidence.ignored)
    for word in evidence.words:
        if any(cmdline.matches(word, pattern) for pattern in expect.absent):
            yield f"{word} is still in /proc/cmdline"
