# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lookup: the identity of this run of ansible-playbook."""

from __future__ import annotations

DOCUMENTATION = r"""
name: play_id
short_description: The identity of this run of ansible-playbook
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Returns one text that is the same in every task, host and play of one run of C(ansible-playbook), and
    that no other run has.
  - It is meant for the environment variable C(HEARTH_PLAY), by which M(hearth.gpu_host.play_lock) and all
    modules that change a host know which run they belong to.
options: {}
"""

EXAMPLES = r"""
- name: Provision
  hosts: hypervisors
  environment:
    HEARTH_PLAY: "{{ lookup('hearth.gpu_host.play_id') }}"
"""

RETURN = r"""
_raw:
  description: One text.
  type: list
  elements: str
"""

import typing as t

from ansible.plugins.lookup import LookupBase

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._play import play_id


class LookupModule(LookupBase):
    """The identity of this run."""

    def run(self, terms: t.Any, variables: t.Any = None, **kwargs: t.Any) -> list[str]:
        """Return the identity."""
        return [play_id()]
