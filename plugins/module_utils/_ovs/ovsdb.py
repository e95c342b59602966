# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Talk to the database of Open vSwitch: JSON-RPC over its socket (RFC 7047), nothing but the standard library.

There are four ways for a transaction to go wrong, and a type for each: it was refused (:class:`DatabaseError`), the
database was not as it had been read (:class:`Stale`), it was never sent (:class:`Unreachable`): in all of these
nothing has changed. Without an answer (:class:`Unanswered`) only reading tells whether it was applied.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Operation

DATABASE = "Open_vSwitch"
DEFAULT_TIMEOUT_S = 15.0
ABORT: Operation = {"op": "abort"}
"""As the last operation: the server tries all that comes before, and takes it back."""

Result = t.Mapping[str, t.Any]
Address = t.Union[str, tuple[str, int]]
_CHUNK = 1 << 18
# What the kernel takes as the name of a socket, less the zero at its end.
_LONGEST_PATH = 107


class DatabaseError(HearthError):
    """The database refused a transaction; nothing of it was applied.

    ``details`` has the server's own words as ``server_error`` and ``server_details``, and the number of the
    ``operation``, which is one past the last for what is only seen when all of them are done.
    """


class Stale(DatabaseError):
    """A ``wait`` did not hold: somebody changed what the plan rests on since it was read."""


class Unreachable(DatabaseError):
    """The database cannot be asked; nothing was sent. ``missing`` in ``details``: there is no such socket."""


class Unanswered(DatabaseError):
    """The transaction was sent and no answer came: it may have been applied, or not."""


class Client(t.Protocol):
    """A connection to a database."""

    def transact(self, operations: t.Sequence[Operation]) -> list[Result]:
        """Do all operations or none; return the result of each.

        A transaction that ends with :data:`ABORT` succeeds when everything before it would have.

        :raises DatabaseError: see the types above.
        """

    def close(self) -> None:
        """Let go of the connection."""


class JsonRpc:
    """A database that is spoken to directly.

    :param address: the path of a unix socket, or host and port.
    :param timeout_s: how long each transaction may take.
    """

    def __init__(self, address: Address, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._address = address
        self._where = address if isinstance(address, str) else f"{address[0]} port {address[1]}"
        self._timeout_s = timeout_s
        self._buffer = b""
        self._asked = 0
        self._deadline = time.monotonic() + timeout_s
        try:
            self._socket = _connect(address, timeout_s)
        except OSError as error:
            raise _unreachable(self._where, error) from error

    def transact(self, operations: t.Sequence[Operation]) -> list[Result]:
        return results_of(operations, self._call("transact", [DATABASE, *operations]))

    def close(self) -> None:
        self._socket.close()

    def _call(self, method: str, params: t.Sequence[t.Any]) -> t.Any:
        self._asked += 1
        self._deadline = time.monotonic() + self._timeout_s
        try:
            if self._is_over():
                self._connect_again()
            self._send({"method": method, "params": params, "id": self._asked})
        except OSError as error:
            self.close()
            raise _unreachable(self._where, error) from error
        try:
            return _answer_in(self._await_answer())
        except OSError as error:
            # Whatever comes later on this connection answers a question that is no longer asked.
            self.close()
            raise Unanswered(
                f"The database of Open vSwitch at {self._where} gave no answer: {error or 'timed out'}. "
                "Whether the transaction was applied is not known.",
                remedy="see that ovsdb-server runs, and run again: the state is read anew",
            ) from error

    def _is_over(self) -> bool:
        """Tell whether the other end, or this one, has hung up: what is sent then is never read.

        What came in the meantime, such as an echo, stands before the end and is taken in.
        """
        try:
            self._socket.settimeout(0)
            piece = self._socket.recv(_CHUNK)
            while piece:
                self._buffer += piece
                piece = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _connect_again(self) -> None:
        """Begin anew: the server was restarted, or took ten silent seconds for the end (over TCP it does)."""
        self.close()
        self._buffer = b""
        self._socket = _connect(self._address, self._timeout_s)

    def _await_answer(self) -> t.Mapping[str, t.Any]:
        while True:
            message = self._receive()
            if message.get("method") == "echo":
                # The server asks whether anybody is there, and hangs up on who does not say so.
                self._send({"id": message.get("id"), "result": message.get("params"), "error": None})
            elif "method" not in message and message.get("id") == self._asked:
                return message

    def _send(self, message: t.Mapping[str, t.Any]) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> t.Mapping[str, t.Any]:
        """Return the next message; there is nothing between two, and one comes in any number of pieces."""
        while True:
            message = self._take_message()
            if message is not None:
                return message
            self._socket.settimeout(self._left())
            piece = self._socket.recv(_CHUNK)
            self._buffer += piece
            if not piece:
                return self._last_message()

    def _last_message(self) -> t.Mapping[str, t.Any]:
        """Return what came whole before the server died in its next word."""
        message = self._take_message(is_last=True)
        if message is None:
            raise ConnectionResetError("the server closed the connection")
        return message

    def _take_message(self, is_last: bool = False) -> t.Mapping[str, t.Any] | None:
        """Take the first whole message out of the buffer, if there is one."""
        # At the end of it, a blank may be one in the middle of a text.
        self._buffer = self._buffer.lstrip()
        if self._buffer[:1] not in (b"", b"{"):
            raise ConnectionAbortedError("what answers there is no OVSDB server")
        # An answer may have megabytes; to parse it anew with every piece would take its square.
        if not is_last and not self._buffer[-8:].rstrip().endswith(b"}"):
            return None
        text = self._buffer.decode(errors="replace")
        try:
            message, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return None
        self._buffer = text[end:].encode()
        return t.cast(t.Mapping[str, t.Any], message)

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        return left


def results_of(operations: t.Sequence[Operation], answer: t.Any) -> list[Result]:
    """Return the results of a transaction, one for each operation.

    :raises DatabaseError: one of them, or the commit, failed.
    """
    if not isinstance(answer, list) or len(answer) < len(operations):
        raise DatabaseError("The database of Open vSwitch gave an answer that does not fit the question.")
    for number, result in enumerate(answer):
        operation = operations[number] if number < len(operations) else {}
        error = result.get("error") if result else None
        if error and not (operation.get("op") == "abort" and error == "aborted"):
            raise _refused(number, operation, result)
    return [result or {} for result in answer[: len(operations)]]


def refusal(where: str, error: str, words: str, **details: t.Any) -> DatabaseError:
    """Say in one line what the database refused, and why.

    Its ``syntax`` is not told: it quotes whole rows, and there are keys of tunnels in them.
    """
    why = f"{error}: {words}" if words else error
    told = {"server_error": error, "server_details": words, **details}
    if error == "timed out":
        return Stale(
            f"Open vSwitch was changed by somebody else since it was read ({where}). Nothing was applied.",
            remedy="run again",
            **told,
        )
    remedy = _REMEDIES.get(error, "")
    return DatabaseError(f"Open vSwitch refused {where}: {why}. Nothing was applied.", remedy, **told)


_REMEDIES = {
    "unknown column": "this version of Open vSwitch does not have it: leave the option out, or upgrade",
    "unknown database": "the server at that address serves something else: correct db",
}


def _refused(number: int, operation: Operation, result: Result) -> DatabaseError:
    what = " ".join(str(operation[key]) for key in ("op", "table") if key in operation)
    return refusal(
        f"operation {number + 1} ({what})" if operation else "the transaction as a whole",
        str(result["error"]),
        str(result.get("details", "")).rstrip("."),
        operation=number,
    )


def _answer_in(message: t.Mapping[str, t.Any]) -> t.Any:
    """Return the result in a response; its ``error`` is an object, a text, or not there."""
    error = message.get("error")
    if not error:
        return message.get("result")
    if isinstance(error, dict):
        raise refusal("the request", str(error.get("error")), str(error.get("details", "")))
    raise refusal("the request", str(error), "")


def _connect(address: Address, timeout_s: float) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout=timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _short(address) as path:
            connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _short(path: str) -> t.Iterator[str]:
    """Name a socket whose path is too long for the kernel by the open folder that it lies in."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield path
        return
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)


_REASONS = {
    errno.ENOENT: "install and start Open vSwitch there, or name its socket with db",
    errno.ECONNREFUSED: "start ovsdb-server: the socket is there, and nobody listens",
    errno.EACCES: "become root: only root may speak to it",
}


def _unreachable(where: str, error: OSError) -> Unreachable:
    remedy = _REASONS.get(error.errno or 0, "see that ovsdb-server runs, or name its socket with db")
    return Unreachable(
        f"The database of Open vSwitch at {where} cannot be reached: {error.strerror or error}. "
        "Nothing was applied.",
        remedy=remedy,
        missing=error.errno == errno.ENOENT,
    )
