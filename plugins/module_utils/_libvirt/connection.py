# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The way to libvirt: opened late, with a time limit, replaceable by a fake."""

from __future__ import annotations

import dataclasses
import importlib
import threading
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError

CALL_TIMEOUT_S = 90.0
DEFAULT_URI = "qemu:///system"
Result = t.TypeVar("Result")


class LibvirtUnavailable(CommandError):
    """There is no libvirt to talk to: no Python binding, or no daemon that answers."""


@dataclasses.dataclass(frozen=True)
class Api:
    """An open connection, and the error class that its calls raise."""

    connection: t.Any
    error: type[Exception]


Opener = t.Callable[[str], Api]


def open_libvirt(uri: str) -> Api:
    """Connect to libvirt.

    :raises LibvirtUnavailable: the binding is not installed, or nothing answers at ``uri``.
    """
    try:
        libvirt = importlib.import_module("libvirt")
    except ImportError as error:
        raise LibvirtUnavailable(
            f"The libvirt binding for Python is not installed ({error}).",
            remedy="install python3-libvirt, and let ansible_python_interpreter be the system's Python",
        ) from error
    # Without a handler libvirt prints every error to stderr as well as raising it.
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        return Api(libvirt.open(uri), libvirt.libvirtError)
    except libvirt.libvirtError as error:
        raise LibvirtUnavailable(
            f"libvirt does not answer at {uri}: {error}.",
            remedy="start libvirtd (or virtqemud, virtnetworkd and virtstoraged) and read its journal",
        ) from error


def within(seconds: float, what: str, call: t.Callable[[], Result]) -> Result:
    """Return ``call()``, or stop waiting for it after ``seconds``.

    libvirt's calls block inside C, where no signal handler of Python can run; a thread that
    is left behind dies with the process, and so does its connection.

    :raises CommandError: there was no answer in time.
    """
    answer: list[Result] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            answer.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise CommandError(
            f"libvirt gave no answer within {seconds:g} s ({what}).",
            remedy="look at the journal of libvirtd or virtqemud; a hung storage mount or guest can block it",
        )
    if failure:
        raise failure[0]
    return answer[0]


class Link:
    """One connection, opened at its first use and then kept."""

    def __init__(self, uri: str, opener: Opener = open_libvirt, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self.uri = uri
        self._opener = opener
        self._timeout_s = timeout_s
        self._api: Api | None = None

    def open(self) -> Api:
        """Return the connection.

        :raises LibvirtUnavailable: there is none to be had.
        """
        if self._api is None:
            self._api = within(self._timeout_s, f"open {self.uri}", lambda: self._opener(self.uri))
        return self._api

    def call(self, what: str, function: t.Callable[[t.Any], Result]) -> Result:
        """Return ``function(connection)``; libvirt's errors come out typed and say ``what`` failed.

        :raises CommandError: libvirt refused, or did not answer in time.
        """
        api = self.open()
        try:
            return within(self._timeout_s, what, lambda: function(api.connection))
        except api.error as error:
            raise CommandError(
                f"libvirt could not {what}: {error}.",
                remedy="correct what libvirt names; its journal has the details",
            ) from error
