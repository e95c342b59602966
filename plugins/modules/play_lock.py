#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: keep other plays away from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: play_lock
short_description: Keep other plays away from a host until this one ends
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Takes the lease of a host for the run of C(ansible-playbook) that this task belongs to, or gives it
    back. While it is held, every module of this collection that would change the host refuses to do so for
    any other run, and says who holds the host, since when and until when.
  - The lease is the text of C(/run/hearth/lock). That is memory, not disk; a reboot empties it, so a play
    that reboots the host takes the lease again afterwards.
  - A lease ends when it is given back, when it expires, or when the run that holds it was started on the
    same controller and is seen to be dead.
  - The environment variable C(HEARTH_PLAY) tells the modules which run they belong to. The lookup
    P(hearth.gpu_host.play_id#lookup) computes it.
notes:
  - Reports C(changed=false) always. The lease is bookkeeping of the run, no part of the host's
    configuration.
extends_documentation_fragment: [hearth.gpu_host._attributes]
attributes:
  check_mode:
    details: Writes nothing, and still refuses when another run holds the host.
  diff_mode:
    support: N/A
    description: Changes no configuration.
options:
  state:
    description: Whether this run holds the host.
    type: str
    choices: [held, released]
    default: held
  minutes:
    description: After how many minutes the lease ends by itself. A play that may run longer takes it again.
    type: int
    default: 120
  takeover:
    description: Take the host from whoever holds it. For a run that is known to be dead.
    type: bool
    default: false
  instead_of:
    description: Id of the run whose lease does not count, because it is dead. Filled in by the action plugin.
    type: str
    default: ''
  who:
    description: What others are told about this run. Filled in by the action plugin.
    type: str
    default: an unnamed play
"""

EXAMPLES = r"""
- name: Provision
  hosts: hypervisors
  environment:
    HEARTH_PLAY: "{{ lookup('hearth.gpu_host.play_id') }}"
  pre_tasks:
    - name: Hold the host
      hearth.gpu_host.play_lock:
        takeover: "{{ gpu_host_lock_takeover | default(false) }}"
  post_tasks:
    - name: Give the host back
      hearth.gpu_host.play_lock:
        state: released
"""

RETURN = r"""
holder:
  description: The lease that keeps this run away.
  returned: when another run holds the host
  type: dict
  sample:
    play: 820143c2-7d34-4f83-ba22-5887a6bfa674/4026531836/4711/121285
    who: site.yml, run by ann on deploy1 (pid 4711)
    since: 1781258400.0
    expires: 1781265600.0
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Params, failing_politely


def apply(host: Host, params: Params, check_mode: bool) -> None:
    """Take the lease, give it back, or in check mode only see whether it can be had."""
    play, now = _lock.own_play(), host.now()
    if not play:
        raise ParseError(
            f"The environment variable {_lock.PLAY_VARIABLE} is not set.",
            remedy="let the play set it to lookup('hearth.gpu_host.play_id') under environment",
        )
    if not 1 <= params["minutes"] <= 24 * 60:
        raise ParseError(f"minutes is {params['minutes']}.", remedy="name a time from 1 minute to a day")
    instead_of = "*" if params["takeover"] else params["instead_of"]
    if params["state"] == "held" and check_mode:
        _lock.check_lease(host, instead_of)
    elif params["state"] == "held":
        expires = now + 60 * params["minutes"]
        _lock.take_lease(host, _lock.Lease(play, params["who"], now, expires), instead_of)
    elif not check_mode:
        _lock.drop_lease(host)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
            "minutes": {"type": "int", "default": 120},
            "takeover": {"type": "bool", "default": False},
            "instead_of": {"type": "str", "default": ""},
            "who": {"type": "str", "default": "an unnamed play"},
        },
        supports_check_mode=True,
    )
    with failing_politely(module):
        apply(Host(), module.params, module.check_mode)
        module.exit_json(changed=False)


if __name__ == "__main__":
    main()
