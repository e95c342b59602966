# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles declared, as titled lists."""

from __future__ import annotations

import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import declared


def test_declarations_are_titled_and_empty_kinds_left_out() -> None:
    shown = {section.title: section.items for section in declared.declared_from(report_samples.DECLARED)}
    assert shown == {
        "Kernel arguments": (("intel_iommu=on", "vfio"), ("hugepagesz=1G hugepages=16", "kvm, vfio")),
        "Kernel modules": (("vfio_pci", "vfio"),),
        "Open ports": (("5900-5910/tcp from mgmt (vnc)", "kvm"),),
    }
