# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The program on the host that takes a change back which nobody confirmed, and the unit that runs it at boot.

It is one POSIX sh program, so that it works where Ansible and Python do not: on a host that nobody reaches, early at
boot, on a full disk. ``docs/guard.md`` says how it decides.
"""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.script_decide import DECIDE
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.script_tools import TOOLS
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.script_verbs import VERBS

PROGRAM = "/usr/local/libexec/hearth-guard"
COMMAND = "/usr/local/sbin/hearth-guard"
"""A link to the program, so that a person at a console finds it."""

UNIT_FILE = "/etc/systemd/system/hearth-guard.service"
WANTED_BY = "/etc/systemd/system/sysinit.target.wants/hearth-guard.service"

# Not after ovsdb-server.service: that one is after network-pre.target in Debian, and systemd breaks such a circle by
# leaving out one of its jobs, whichever it likes.
UNIT = r"""# Written by hearth.gpu_host. Changes are overwritten.
[Unit]
Description=Take back what was changed before a reboot and never confirmed
Documentation=file:///usr/local/libexec/hearth-guard
DefaultDependencies=no
ConditionDirectoryNotEmpty=|/var/lib/hearth/guard/armed
ConditionDirectoryNotEmpty=|/var/lib/hearth/guard/confirming
ConditionDirectoryNotEmpty=|/var/lib/hearth/guard/undoing
RequiresMountsFor=/var/lib/hearth /usr/local/libexec
After=local-fs.target
Wants=network-pre.target
Before=network-pre.target hearth-firewall.service ovs-vswitchd.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/usr/local/libexec/hearth-guard boot
TimeoutStartSec=300

[Install]
WantedBy=sysinit.target
"""

GUARD = TOOLS + DECIDE + VERBS
