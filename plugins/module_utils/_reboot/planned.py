# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What earlier tasks of a run in check mode would have done to the ledger, which does not have it. Pure.

It is applied where the ledger is parsed, so that all that follows is one code path.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import book, ledger

Items = t.Sequence[t.Mapping[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Planned:
    """The requests that earlier tasks returned, and the names of those that they take out."""

    requests: ledger.Ledger
    gone: frozenset[str]


def refuse_real_run(gate: Gate, foretells: bool) -> None:
    """Refuse a prediction where it would be carried out.

    :raises Refusal: something is foretold outside check mode.
    """
    if foretells and not gate.check_mode:
        raise Refusal(
            "planned and predict foretell what a run would do, and this run does it.",
            remedy="give them in check mode only, such as predict: '{{ ansible_check_mode }}'",
        )


def parse_planned(items: Items) -> Planned:
    """Read requests as the modules return them in ``requests``.

    :raises ParseError: one is no request.
    """
    found = [parse_item("planned", item) for item in items]
    over = (ledger.FULFILLED, ledger.WITHDRAWN)
    gone = frozenset(item["name"] for item in items if item.get("status") in over)
    return Planned({request.name: request for request in found}, gone)


def parse_item(what: str, item: t.Mapping[str, t.Any]) -> ledger.Request:
    """Read one request; how it was judged is left out.

    :raises ParseError: it is none.
    """
    try:
        kept = {key: value for key, value in item.items() if key not in ("status", "lacking")}
        return ledger.parse_request(kept)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ParseError(
            f"{what} is no request: {type(error).__name__}: {error}.",
            remedy="give requests as the modules of this collection return them",
        ) from error


def assume(found: book.Book, planned: Planned, metrics_dir: str = book.METRICS_DIR) -> book.Book:
    """Return the ledger as the earlier tasks leave it."""
    wanted = {**ledger.drop(found.ledger, planned.gone), **ledger.drop(planned.requests, planned.gone)}
    if wanted == found.ledger:
        return found
    return book.Book(wanted, book.render_files(wanted, metrics_dir) if wanted else {}, found.evidence)
