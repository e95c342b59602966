# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Attributes that every module of the collection declares."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of a module that changes a host, and of one that only reads."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Touches nothing, and predicts the C(changed), C(actions) and C(diff) of the real run.
  diff_mode:
    support: full
    description: Shows the managed state before and after.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
  platform:
    support: full
    platforms: linux
    description: Linux with Python 3.9 or newer; standard library only.
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Only reads; check mode makes no difference.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Always C(changed=false).
  platform:
    support: full
    platforms: linux
    description: Linux with Python 3.9 or newer; standard library only.
"""
