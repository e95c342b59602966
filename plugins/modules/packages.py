#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install packages that are missing
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Asks C(dpkg-query) or C(rpm) which packages are missing, and starts the package manager only if any are. A task with
    nothing to do needs neither network nor package lists.
  - Nothing is upgraded or removed on its own account, and what is merely recommended is not installed.
  - Check mode lists the packages that the real run then installs, in the same words.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
options:
  names:
    description: The packages, by the names of the host's distribution. Virtual packages are none.
    type: list
    elements: str
    required: true
  manager:
    description: The package manager.
    type: str
    choices: [apt, dnf]
    required: true
  lists_age_s:
    description:
      - Age in seconds from which apt's package lists are refreshed before an installation. dnf decides by itself.
    type: int
    default: 3600
  lock_timeout_s:
    description: Time limit in seconds to get a lock of apt that others hold. dnf waits as long as O(timeout_s) lets it.
    type: int
    default: 300
  timeout_s:
    description: Time limit in seconds of one call of the package manager.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Install libvirt
  hearth.gpu_host.packages:
    names: [libvirt-daemon-system, python3-libvirt]
    manager: apt
"""

RETURN = r"""
actions:
  description: What was done, or in check mode what would be done.
  type: list
  elements: str
  returned: always
  sample: [install libvirt-daemon-system python3-libvirt]
missing:
  description: The packages that were missing when the task began.
  type: list
  elements: str
  returned: success
  sample: [libvirt-daemon-system, python3-libvirt]
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability
from ansible_collections.hearth.gpu_host.plugins.module_utils._packages.capability import MANAGERS, Packages


def main() -> None:
    """Run the module."""
    run_capability(
        Packages,
        {
            "names": {"type": "list", "elements": "str", "required": True},
            "manager": {"type": "str", "choices": list(MANAGERS), "required": True},
            "lists_age_s": {"type": "int", "default": 3600},
            "lock_timeout_s": {"type": "int", "default": 300},
            "timeout_s": {"type": "int", "default": 3600},
        },
    )


if __name__ == "__main__":
    main()
