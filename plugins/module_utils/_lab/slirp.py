# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Port forwards of a running slirp4netns, asked for over its API socket (slirp4netns(1))."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_PATIENCE_S = 10.0


@dataclasses.dataclass(frozen=True)
class Forward:
    """A TCP port on 127.0.0.1 and the port in the namespace that it leads to."""

    host_port: int
    guest_port: int


@dataclasses.dataclass(frozen=True)
class AddForward(Action):
    """Add one forward."""

    api_socket: str
    forward: Forward

    def describe(self) -> str:
        return f"forward 127.0.0.1:{self.forward.host_port} to port {self.forward.guest_port}"

    def perform(self, host: Host) -> None:
        arguments = {
            "proto": "tcp",
            "host_addr": "127.0.0.1",
            "host_port": self.forward.host_port,
            "guest_port": self.forward.guest_port,
        }
        ask(self.api_socket, "add_hostfwd", arguments)


def forwards(api_socket: str) -> frozenset[Forward]:
    """Return the forwards that are in force."""
    entries = ask(api_socket, "list_hostfwd", {})["entries"]
    return frozenset(Forward(entry["host_port"], entry["guest_port"]) for entry in entries)


def _connect(api_socket: str) -> socket.socket:
    """Connect; a slirp4netns that was started a moment ago may not listen yet."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE_S)
        try:
            connection.connect(api_socket)
            return connection
        except (FileNotFoundError, ConnectionRefusedError) as error:
            connection.close()
            if time.monotonic() > deadline:
                raise CommandError(
                    f"Nobody answers at {api_socket}: {error.strerror}.",
                    remedy="see the log of slirp in the host's folder; make lab-down and make lab begin anew",
                ) from error
            time.sleep(0.1)


def ask(api_socket: str, execute: str, arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Send one request; the answer ends with the connection."""
    with _connect(api_socket) as connection:
        connection.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    reply: dict[str, t.Any] = json.loads(answer)
    if "error" in reply:
        raise CommandError(f"slirp4netns refused {execute}: {reply['error']}")
    # Debian 12's slirp4netns answers list_hostfwd without the envelope that it documents.
    result: dict[str, t.Any] = reply.get("return", reply)
    return result
