# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Keys of tunnels on their way to the host. Pure.

Options of a port are a free mapping, and Ansible knows secrets by the names of options only: it would write a key to
the journal of the host. So the action plugin takes secrets out of their places into one option that Ansible never
shows, and here they come back.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.known import SECRETS

OPTION = "secrets"

Given = t.Mapping[str, t.Any]


def without_secrets(given: Given) -> dict[str, t.Any]:
    """Return the options of a task with its secrets by port and key in an option of their own."""
    found = {**(given.get(OPTION) or {})}
    ports = given.get("ports")
    if not isinstance(ports, list):
        return dict(given)
    plain = []
    for port in ports:
        options = port.get("options") if isinstance(port, dict) else None
        if isinstance(options, dict) and SECRETS & {*options}:
            # Null deletes a key, and is no secret.
            hidden = {key: value for key, value in options.items() if key in SECRETS and value is not None}
            found.update({str(port.get("name")): hidden} if hidden else {})
            port = {**port, "options": {key: value for key, value in options.items() if key not in hidden}}
        plain.append(port)
    return {**given, "ports": plain, **({OPTION: found} if found else {})}


def with_secrets(params: Given) -> Given:
    """Return the options with the secrets in their places."""
    secrets = params.get(OPTION) or {}
    if not secrets:
        return params
    ports = [
        {**port, "options": {**(port.get("options") or {}), **secrets[port["name"]]}}
        if port.get("name") in secrets
        else port
        for port in params.get("ports") or ()
    ]
    return {**params, "ports": ports}
