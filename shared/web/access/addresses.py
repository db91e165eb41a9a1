"""The addresses that calls come from, as everything that compares them wants them."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(address: str) -> Address | None:
    """An IP address without its zone; IPv4, where it is IPv4 in the clothes of IPv6.

    A socket that listens on [::] tells of 192.0.2.7 as ``::ffff:192.0.2.7``.

    Returns:
        None for what is no IP address: a Unix socket tells none.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
