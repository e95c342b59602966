# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Talk to the database of Open vSwitch through its own tool, where there is no socket to speak to directly.

``ovsdb-client transact`` takes and prints the very JSON of the wire; unlike ``ovs-vsctl`` it quotes nothing, needs no
vswitchd, and has no dry run that never ends. It ends with 0 also when the transaction failed.
"""

from __future__ import annotations

import json
import math
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed, Runner
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Operation
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import (
    DATABASE,
    DatabaseError,
    Result,
    Unanswered,
    Unreachable,
    refusal,
    results_of,
)

TOOL = "ovsdb-client"
# Linux takes 128 KiB as one argument, the zero at its end included.
_LONGEST = (1 << 17) - 1
_KILLED_BY_ITS_CLOCK = (-14, 142)
_RETURNED = "transaction returned error: "


class ToolClient:
    """A database that ``ovsdb-client`` speaks to.

    :param remote: as the tool names it; empty for the one that it was built for.
    :param options: more of the tool's options, such as ``--private-key=FILE`` for ``ssl:``.
    """

    def __init__(self, remote: str, timeout_s: float, run: Runner, options: t.Sequence[str] = ()) -> None:
        self._remote = remote
        self._timeout_s = timeout_s
        self._run = run
        self._options = tuple(options)

    def transact(self, operations: t.Sequence[Operation]) -> list[Result]:
        text = json.dumps([DATABASE, *operations], separators=(",", ":"))
        if len(text) > _LONGEST:
            raise DatabaseError(
                f"The transaction has {len(text)} characters, and {TOOL} takes no more than {_LONGEST}. "
                "Nothing was applied.",
                remedy="name a unix: or tcp: address with db, which has no such limit",
            )
        return results_of(operations, self._parsed(self._transact(text)))

    def close(self) -> None:
        """Do nothing: each transaction has a connection of its own."""

    def _transact(self, text: str) -> Completed:
        clock = f"--timeout={max(1, math.ceil(self._timeout_s))}"
        remote = [self._remote] if self._remote else []
        argv = [TOOL, clock, *self._options, "transact", *remote, text]
        try:
            return self._run(argv, timeout_s=self._timeout_s + 5, check=False)
        except CommandError as error:
            # Its message quotes the transaction, and there may be keys of tunnels in it.
            if isinstance(error.__cause__, OSError):
                raise Unreachable(
                    f"{TOOL} cannot be run: {error.__cause__.strerror}. Nothing was applied.",
                    remedy=f"install the package that provides {TOOL}",
                    missing=True,
                ) from None
            raise self._unanswered() from None

    def _parsed(self, done: Completed) -> t.Any:
        if done.rc in _KILLED_BY_ITS_CLOCK:
            raise self._unanswered()
        if done.rc != 0:
            raise _failure(done.err.strip())
        try:
            return json.loads(done.out)
        except ValueError:
            raise self._unanswered() from None

    def _unanswered(self) -> Unanswered:
        return Unanswered(
            f"{TOOL} got no answer from {self._remote or 'the database of Open vSwitch'} within "
            f"{self._timeout_s:g} s. Whether the transaction was applied is not known.",
            remedy="see that ovsdb-server runs, and run again: the state is read anew",
        )


def _failure(words: str) -> DatabaseError:
    """Tell a transaction that was refused as a whole from a server that is not there."""
    _tool, returned, answer = words.partition(_RETURNED)
    if returned:
        error = json.loads(answer)
        return refusal("the request", str(error.get("error")), str(error.get("details", "")))
    return Unreachable(
        f"{words.splitlines()[-1] if words else TOOL + ' failed'}. Nothing was applied.",
        remedy="see that ovsdb-server runs there, or correct db",
        missing="No such file" in words,
    )
