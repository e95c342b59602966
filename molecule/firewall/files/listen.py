# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen on TCP ports for both families, greet whoever comes, and hang up: listen.py PORT..."""

from __future__ import annotations

import selectors
import socket
import sys


def main() -> None:
    """Serve for ever."""
    waiting = selectors.DefaultSelector()
    for port in map(int, sys.argv[1:]):
        waiting.register(
            socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True),
            selectors.EVENT_READ,
        )
    print("listening", flush=True)
    while True:
        for key, _events in waiting.select():
            stream, _peer = key.fileobj.accept()
            with stream:
                stream.sendall(b"lab\n")


if __name__ == "__main__":
    main()
