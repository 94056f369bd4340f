"""Where a request comes from and what it calls the desk."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from al_assets.config import DeskSettings, is_loopback

# What stands outside the brackets of an IPv6 address is nothing that a reader of URLs may overlook.
_NETLOC = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


class Addresses:
    """Tells trusted proxies from others, and the desk's own names from foreign ones."""

    def __init__(self, settings: DeskSettings) -> None:
        self._trusted = [ip_network(each, strict=False) for each in settings.trusted_proxies]
        self._public = urlsplit(settings.public_url) if settings.public_url else None

    def is_trusted_proxy(self, address: str) -> bool:
        """Whether a peer is one of ``desk.trusted_proxies``."""
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)

    def client(self, connection: HTTPConnection) -> str:
        """Return the address a request came from: past trusted proxies, the one that the last of them saw."""
        address = connection.client.host if connection.client else ""
        hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
        # Whatever stands to the left of the first hop that is not ours may be made up.
        while self.is_trusted_proxy(address) and hops and hops[-1].strip():
            address = hops.pop().strip()
        return address

    def knows_host(self, connection: HTTPConnection) -> bool:
        """Whether the Host header names this desk: this machine itself, or the host of ``desk.public_url``.

        A page of another site whose name was made to point here (DNS rebinding) sends that name.
        """
        named = connection.headers.getlist("host")
        if len(named) != 1:
            return False
        host = _host_of(named[0])
        return host is not None and (is_loopback(host) or (self._public is not None and host == self._public.hostname))

    def is_own_origin(self, connection: HTTPConnection, origin: str) -> bool:
        """Whether an Origin header names this desk."""
        asked = _origin_of(origin)
        own = [f"{connection.scope['scheme']}://{connection.headers.get('host', '')}"]
        if self._public is not None:
            own.append(self._public.geturl())
        return asked is not None and asked in map(_origin_of, own)


def limited_as(address: str) -> str:
    """Return what of an address attempts are counted by: of IPv6 the network, since one customer has all of it."""
    parsed = _parsed(address)
    if parsed is None:
        return "unknown"
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Return an address, of IPv4 within IPv6 the former; some proxies write the port behind it."""
    with_port = _NETLOC.fullmatch(address)
    try:
        parsed = ip_address(with_port["host"].strip("[]") if with_port else address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped


def _host_of(netloc: str) -> str | None:
    parts = _NETLOC.fullmatch(netloc)
    return None if parts is None else parts["host"].strip("[]").lower()


def _origin_of(text: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, which browsers leave out where it is the usual one."""
    scheme, _, netloc = text.lower().partition("://")
    parts = _NETLOC.fullmatch(netloc)
    if parts is None or scheme not in _PORTS:
        return None
    return scheme, parts["host"], int(parts["port"] or _PORTS[scheme])
