# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that real programs wrote; where they come from is in the folder's README."""

from __future__ import annotations

import pathlib

_FOLDER = pathlib.Path(__file__).parents[3] / "fixtures" / "iptables"

CAPTURES = {path.stem: path.read_text() for path in sorted(_FOLDER.glob("*.save"))}
ODD = CAPTURES["odd"]
