"""Who votes, and the desk at which they do."""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from al_assets.config.section import OPERATIONAL, Section, Share, Text


class ReviewSettings(Section):
    """Who votes, and when a round of votes is complete."""

    raters: Annotated[tuple[Text, ...], Field(min_length=2)]
    votes_per_item: Annotated[int, Field(ge=2)] = 2
    deadline_hours: Annotated[float, Field(gt=0)] | None = None
    deadline_coverage: Share = 0.8

    @model_validator(mode="after")
    def _enough_raters(self) -> Self:
        if len(set(self.raters)) != len(self.raters):
            raise ValueError(f"raters: {', '.join(self.raters)} names a rater twice")
        if self.votes_per_item > len(self.raters):
            raise ValueError(
                f"votes_per_item: {self.votes_per_item} votes an item need as many raters; {len(self.raters)} are named"
            )
        return self


class DeskSettings(Section):
    """The review desk: where it is reached, who is let in, and for how long. See docs/desk-security.md.

    :param public_url: the address in the raters' browsers, such as ``https://desk.example.org``.
    :param contact: whom a person should ask who is not let in, such as ``Ada Lovelace, ada@example.org``.
    :param identity_header: the request header in which a proxy says who is signed in.
    :param trusted_proxies: addresses or networks of the proxies before the desk, such as ``127.0.0.1``; the only ones
        that are believed, about who is signed in and where a request came from.
    """

    public_url: Annotated[Text | None, OPERATIONAL] = None
    contact: Annotated[str, OPERATIONAL] = ""
    identity_header: Annotated[str | None, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]*$"), OPERATIONAL] = None
    trusted_proxies: Annotated[tuple[Text, ...], OPERATIONAL] = ()
    invite_hours: Annotated[float, Field(gt=0, le=720), OPERATIONAL] = 72
    session_idle_hours: Annotated[float, Field(gt=0, le=8760), OPERATIONAL] = 168
    session_hours: Annotated[float, Field(gt=0, le=8760), OPERATIONAL] = 720

    @field_validator("public_url")
    @classmethod
    def _origin_only(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{value!r} is no address ({error}); write https://HOST or https://HOST:PORT") from error
        host = (parts.hostname or "").lower()
        if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(f"{value!r} must be https://HOST or https://HOST:PORT, without a path")
        if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host):
            raise ValueError(
                f"{value!r}: {host!r} is not how browsers send a host; write it in ASCII, such as "
                "xn--mnchen-3ya.example for münchen.example"
            )
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError(f"{value!r} would send sign-ins unencrypted; use https, or an address of this machine")
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ip_network(value, strict=False)
            except ValueError:
                raise ValueError(f"{value!r} is no address or network; write 127.0.0.1 or 10.0.0.0/24") from None
        return values

    @model_validator(mode="after")
    def _header_has_a_sender(self) -> Self:
        if self.identity_header and not self.trusted_proxies:
            raise ValueError(
                f"identity_header: {self.identity_header!r} would be believed from nobody; name the proxy that sets it "
                "in desk.trusted_proxies"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, seen from itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
