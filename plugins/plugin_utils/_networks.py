# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Addresses and networks as people write them, made canonical or refused with what to write instead. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleFilterError

try:
    import netaddr
except ImportError:
    # Named by the filter that needs it: other plugins of the collection work without.
    netaddr = None

_FORM = re.compile(r"([0-9A-Fa-f.:]+)(?:/[0-9]{1,3})?")


def canonical(values: t.Iterable[t.Any], where: str = "the list") -> list[str]:
    """Return networks in their canonical form, each once, in the order given.

    :param where: what the values belong to, for messages.
    :raises AnsibleFilterError: one is neither an address nor a network.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, t.Iterable):
        raise AnsibleFilterError(f"{where} is {values!r}. Remedy: give a list of networks.")
    return list(dict.fromkeys(network(value, where) for value in values))


def network(value: t.Any, where: str = "the list") -> str:
    """Return one network in its canonical form; an address becomes the network of this one address.

    :raises AnsibleFilterError: it is neither, or it has bits set outside its prefix.
    """
    if netaddr is None:
        raise AnsibleFilterError(
            "The Python package netaddr is missing on the controller, in the environment that runs Ansible."
            " Remedy: install it there, such as with: pip install netaddr."
        )
    text = str(value)
    if not looks_like_one(text):
        raise AnsibleFilterError(
            f"{where} has {text!r}, which is no address and no network. Names are not looked up: a firewall must"
            " load without a resolver. Remedy: write the address, or a network such as 192.0.2.0/24 or 2001:db8::/32."
        )
    try:
        found = netaddr.IPNetwork(text)
    except (netaddr.AddrFormatError, ValueError) as error:
        raise AnsibleFilterError(
            f"{where} has {text!r}: {error}. Remedy: a prefix is 0 to 32 for IPv4, 0 to 128 for IPv6."
        ) from error
    if found.ip != found.network:
        raise AnsibleFilterError(
            f"{where} has {text!r}, with bits set outside the prefix. Remedy: write {found.cidr} for the network, or"
            f" {found.ip} for the one address."
        )
    return str(found.cidr)


def looks_like_one(text: str) -> bool:
    """Tell whether a text has the form of an address or a network, whatever its numbers are.

    netaddr alone also takes ``10/8``, netmasks and host masks, which the host's own check does not.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        return False
    return bool(netaddr.valid_ipv4(form.group(1), netaddr.INET_PTON) or netaddr.valid_ipv6(form.group(1)))
