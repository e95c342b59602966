#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: what every initramfs of the host holds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: initramfs
short_description: What every initramfs of the host holds
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Puts kernel modules and files into the initramfs of every installed kernel, those of kernels to come included, and
    loads the modules early. C(/etc/modprobe.d) goes with them.
  - Works with initramfs-tools, by the hook C(/etc/initramfs-tools/hooks/hearth), and with dracut, by
    C(/etc/dracut.conf.d/90-hearth.conf) and a small module of dracut. A host that has neither is refused, with the
    manual instruction.
  - The listing of each image decides, not what was done before. An image is built anew when it lacks something, when
    it cannot be read, or when it was built from other inputs. For the latter the build leaves an empty file in the
    image, C(/etc/hearth/initramfs.DIGEST), whose name carries a digest of our configuration, the declared files and
    all of C(/etc/modprobe.d). So an image that a kernel upgrade built proves its inputs as well.
  - The image that the host booted with is kept beside the new one as C(IMAGE.hearth-previous). At any time a complete
    image has the name that the boot loader looks for.
  - This module asks for no reboot. Who needs the content to be in effect at once asks for one with what must be seen
    afterwards.
  - Every user of the host, and who has the disk, can read an initramfs. Secrets do not belong in it.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  modules:
    description:
      - Modules that must be inside, by name. Their firmware and what they depend on comes along. C(-) and C(_) are
        equal. A module that is built into a kernel, or that this kernel does not have, is left out of its image.
      - Left out, what this module put there stays. An empty list takes it out. With both lists empty the host gets
        images without any trace of this module.
    type: list
    elements: str
  files:
    description: Files that must be inside, by their absolute path. Left out or empty, as O(modules).
    type: list
    elements: str
  owners:
    description: The roles that want a module or a file, by its name. For messages.
    type: dict
    default: {}
  contents:
    description:
      - The text of files that earlier tasks of this play have written, by path, and empty where they have removed one.
        In check mode these are not on the disk yet. With this, check mode predicts the same as the real run does.
      - C(files) of the result of M(hearth.gpu_host.kernel_config) is in this form.
    type: dict
    default: {}
  keep_previous:
    description: Whether the image that the host booted with is kept. It takes room in C(/boot).
    type: bool
    default: true
  running:
    description:
      - Whether the root is the running system. With V(false), as for an image that is being baked, no image is kept,
        and a kernel without an initramfs is no error.
    type: bool
    default: true
seealso:
  - module: hearth.gpu_host.kernel_config
"""

EXAMPLES = r"""
- name: Bind devices to VFIO before their own drivers come
  hearth.gpu_host.initramfs:
    modules: [vfio_pci]
    files: [/etc/udev/rules.d/10-hearth-vfio.rules]
    owners:
      vfio_pci: [vfio]
      /etc/udev/rules.d/10-hearth-vfio.rules: [vfio]

- name: Take everything back
  hearth.gpu_host.initramfs:
    modules: []
    files: []
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - write /etc/initramfs-tools/hooks/hearth (0755)
    - keep /boot/initrd.img-6.1.0-13-amd64 as /boot/initrd.img-6.1.0-13-amd64.hearth-previous
    - run update-initramfs -u -k 6.1.0-13-amd64
backend:
  description: The tool that builds the images, V(initramfs-tools) or V(dracut). Empty when there is none.
  returned: success
  type: str
  sample: initramfs-tools
without:
  description:
    - Kernels in C(/boot) that have no image. Most hosts do not start with one of these. No image is made for them, as
      an operator's own kernel may need none.
  returned: success
  type: list
  elements: str
  sample: []
images:
  description: The images of installed kernels. Empty when nothing is wanted in them, so that nobody looked.
  returned: success
  type: list
  elements: dict
  contains:
    kernel:
      description: The release of the kernel.
      type: str
    image:
      description: The path of the image.
      type: str
    rebuilt:
      description: Whether it was, or in check mode would be, built anew. The new image was listed and has everything.
      type: bool
    missing:
      description: What it lacked before.
      type: list
      elements: str
    modules:
      description: The modules that it holds after this task.
      type: list
      elements: str
    builtin:
      description: The modules that are part of this kernel itself.
      type: list
      elements: str
    unavailable:
      description: The modules that this kernel does not have.
      type: list
      elements: str
    files:
      description: The files that it holds after this task.
      type: list
      elements: str
  sample:
    - kernel: 6.1.0-13-amd64
      image: /boot/initrd.img-6.1.0-13-amd64
      rebuilt: true
      missing: [vfio_pci]
      modules: [vfio_pci]
      builtin: []
      unavailable: []
      files: []
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.capability import Initramfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        Initramfs,
        {
            "modules": {"type": "list", "elements": "str"},
            "files": {"type": "list", "elements": "str"},
            "owners": {"type": "dict", "default": {}},
            "contents": {"type": "dict", "default": {}},
            "keep_previous": {"type": "bool", "default": True},
            "running": {"type": "bool", "default": True},
        },
    )


if __name__ == "__main__":
    main()
