# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell which TCP ports can be reached: probe.py [--from ADDRESS] [--tries N] ADDRESS PORT...

Prints one line for each: "PORT open", "PORT silent", or "PORT refused", where the packet came through and nobody
listens, or where it was rejected.
An answer counts at once; no answer counts after every try.
"""

from __future__ import annotations

import argparse
import socket

PATIENCE_S = 0.5


def probe(address: str, port: int, source: str = "", tries: int = 6) -> str:
    """Connect until somebody answers."""
    for _try in range(tries):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as stream:
            stream.settimeout(PATIENCE_S)
            if source:
                stream.bind((source, 0))
            try:
                stream.connect((address, port))
            except ConnectionRefusedError:
                return "refused"
            except OSError:
                continue
            return "open"
    return "silent"


def main() -> None:
    """Probe what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", default="")
    parser.add_argument("--tries", type=int, default=6)
    parser.add_argument("address")
    parser.add_argument("ports", nargs="+", type=int)
    options = parser.parse_args()
    for port in options.ports:
        print(port, probe(options.address, port, options.source, options.tries), flush=True)


if __name__ == "__main__":
    main()
