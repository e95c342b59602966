#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: record what roles need of the host's shared files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: declarations
short_description: Record what roles need of the host's shared files
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Keeps the declarations registry of a host. A role that needs a kernel argument, a kernel module, a
    modprobe option, a sysctl, something in the initramfs or an open port declares it here; the one owner of
    the file in question merges what all roles declared and writes it.
  - Each role has one file, C(/etc/hearth/declarations.d/ROLE.json). The files of roles that are not named
    in O(roles) are never changed, so that a run of one role never takes away what others need.
  - Two views of all files follow them, the local fact C(ansible_local.hearth_declarations) and the metrics
    file C(hearth_declarations.prom) in O(metrics_dir).
  - Declarations that exclude each other are refused before the first write.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  roles:
    description:
      - What each role declares, by the role's name without its collection. An empty declaration removes the
        role's file. With O(state=absent) only the names matter.
      - A declaration is a mapping of any of C(kernel_args) (list of mappings with C(name), and C(value) or
        C(values) unless the argument is a bare flag), C(modules) (list of names), C(modprobe_options)
        (mapping of module to mapping of option to value), C(sysctl) (mapping of key to value), C(initramfs)
        (list of absolute paths and module names) and C(ports) (list of mappings with C(name), C(port) as
        V(N) or V(N-M), C(proto), and C(from), a zone or a network).
      - C(-) and C(_) are equal in names of kernel arguments and modules.
      - Huge pages are declared as C(hugepages) with values such as V(1G=64), never as C(hugepagesz).
      - Declarations are readable by every user of the host. Secrets do not belong in them.
    type: dict
    default: {}
  state:
    description: Whether the named roles declare something.
    type: str
    choices: [present, absent]
    default: present
  metrics_dir:
    description: The folder of the metrics file, such as the one that node-exporter reads.
    type: path
    default: /var/lib/hearth/metrics
seealso:
  - module: hearth.gpu_host.play_lock
"""

EXAMPLES = r"""
- name: Declare what the host needs for VFIO
  hearth.gpu_host.declarations:
    roles:
      vfio:
        kernel_args:
          - {name: intel_iommu, value: 'on'}
          - {name: vfio-pci.ids, values: ['10de:2330', '10de:22a3']}
          - {name: hugepages, values: ['1G=64']}
        modules: [vfio_pci]
        modprobe_options: {vfio_pci: {disable_vga: 1}}
        sysctl: {vm.swappiness: 10}
        ports: [{name: vnc, port: 5900-5910, proto: tcp, from: mgmt}]
  register: result

- name: Show who needs which kernel argument
  ansible.builtin.debug:
    msg: "{{ item.tokens | join(' ') }}: {{ item.owners | join(', ') }}"
  loop: "{{ result.merged.kernel_args }}"

- name: Take back what the role declared, and nothing else
  hearth.gpu_host.declarations:
    roles: {vfio: {}}
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [write /etc/hearth/declarations.d/vfio.json (0644)]
roles:
  description: Names of all roles that declare something on this host.
  returned: success
  type: list
  elements: str
  sample: [kvm, vfio]
merged:
  description:
    - What all roles together declare; each item with its C(owners). In check mode, the files on the host and
      what this task would write.
  returned: success
  type: dict
  contains:
    kernel_args:
      description: Kernel arguments, with C(tokens) as they stand on the command line.
      type: list
      elements: dict
      sample: [{name: intel_iommu, values: ['on'], tokens: ['intel_iommu=on'], owners: [kvm, vfio]}]
    modules:
      description: Kernel modules to load.
      type: list
      elements: dict
      sample: [{name: vfio_pci, owners: [vfio]}]
    modprobe_options:
      description: Options of kernel modules.
      type: list
      elements: dict
      sample: [{module: vfio_pci, option: disable_vga, value: '1', owners: [vfio]}]
    sysctl:
      description: Kernel settings.
      type: list
      elements: dict
      sample: [{key: vm.swappiness, value: '10', owners: [vfio]}]
    initramfs:
      description: Files and modules that must be in the initramfs.
      type: list
      elements: dict
      sample: [{name: vfio_pci, owners: [vfio]}]
    ports:
      description: Ports to open.
      type: list
      elements: dict
      sample: [{name: vnc, port: 5900-5910, proto: tcp, from: mgmt, owners: [vfio]}]
"""

import functools

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations import plan as registry
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import Declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import (
    check_role,
    parse_declaration,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan, run_capability


class Declarations(Capability[registry.Raw, registry.Registry]):
    """The declarations registry of a host."""

    def read(self) -> registry.Raw:
        """Read every file of the registry."""
        return registry.read_registry(self.host, self.params["metrics_dir"])

    def parse(self, raw: registry.Raw) -> registry.Registry:
        """Parse the files of the roles that this task does not speak for."""
        return registry.parse_registry(raw, self._wanted)

    def plan(self, current: registry.Registry) -> Plan[registry.Registry]:
        """Let the named roles declare what the options say."""
        actions, after, merged = registry.plan_registry(current, self._wanted, self.params["metrics_dir"])
        roles = sorted({*after.foreign, *(role for role, wish in self._wanted.items() if wish)})
        return Plan(actions, after, {"merged": merged, "roles": roles})

    def show(self, model: registry.Registry) -> str:
        """Render all files."""
        return registry.show_registry(model)

    @functools.cached_property
    def _wanted(self) -> dict[str, Declaration]:
        roles = self.params["roles"].items()
        if self.params["state"] == "absent":
            return {check_role(role): Declaration() for role, _ignored in roles}
        return {check_role(role): parse_declaration(f"role {role}", wish) for role, wish in roles}


def main() -> None:
    """Run the module."""
    run_capability(
        Declarations,
        {
            "roles": {"type": "dict", "default": {}},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "metrics_dir": {"type": "path", "default": "/var/lib/hearth/metrics"},
        },
    )


if __name__ == "__main__":
    main()
