"""Where a request comes from and what it calls the desk."""

from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from al_assets.config import DeskSettings, is_loopback


class Addresses:
    """Tells trusted proxies from others, and the desk's own names from foreign ones."""

    def __init__(self, settings: DeskSettings) -> None:
        self._trusted = [ip_network(each, strict=False) for each in settings.trusted_proxies]
        self._public = urlsplit(settings.public_url) if settings.public_url else None

    def is_trusted_proxy(self, address: str) -> bool:
        """Whether a peer is one of ``desk.trusted_proxies``."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)

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
        own = {f"{connection.url.scheme}://{connection.headers.get('host', '')}".lower()}
        if self._public is not None:
            own.add(f"{self._public.scheme}://{self._public.netloc}")
        return origin.lower() in own


def limited_as(address: str) -> str:
    """Return what of an address attempts are counted by: of IPv6 the network, since one customer has all of it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))


def _host_of(netloc: str) -> str | None:
    if any(each in netloc for each in "@/\\?#") or not netloc.isascii():
        return None
    try:
        parts = urlsplit(f"//{netloc}")
        # Reading the port checks it.
        return parts.hostname if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None
