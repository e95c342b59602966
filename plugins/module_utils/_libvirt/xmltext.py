# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Small steps on libvirt's XML that the standard library lacks. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError


def parse(text: str) -> ET.Element:
    """Parse a definition.

    :raises ParseError: it is no XML.
    """
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise ParseError(
            f"libvirt's definition is no XML: {error}.",
            remedy="look at the files below /etc/libvirt for one that was cut off",
        ) from error


def attribute(root: ET.Element, path: str, name: str) -> str:
    """Return an attribute of the element at ``path``; empty when either is missing."""
    element = root.find(path)
    return "" if element is None else element.get(name, "")


def content(root: ET.Element, path: str) -> str:
    """Return the stripped text of the element at ``path``; empty when it is missing."""
    return (root.findtext(path) or "").strip()


def child(parent: ET.Element, tag: str) -> ET.Element:
    """Return the child of this tag, made when it is missing."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def drop(parent: ET.Element, tag: str) -> None:
    """Remove all children of this tag."""
    for found in parent.findall(tag):
        parent.remove(found)
