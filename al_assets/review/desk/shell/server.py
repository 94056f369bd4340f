"""The desk's server: uvicorn, on this machine alone unless somebody takes care of TLS."""

import asyncio
import signal
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette

from al_assets.config import DeskSettings, is_loopback
from al_assets.review.desk.shell.events import end_streams

SECONDS_TO_FINISH = 3
SECONDS_TO_KEEP = 30


class ServerError(ValueError):
    """The desk cannot be served so; the message says why and the way out."""


@dataclass(frozen=True)
class ListenAt:
    """Where the server listens.

    :param port: 0 for one that is free.
    :param certificate: PEM file of the TLS certificate and what it is signed with; with ``private_key``.
    :param behind_proxy: a proxy before the desk takes care of TLS.
    """

    host: str = "127.0.0.1"
    port: int = 8200
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: bool = False

    def origin(self, port: int) -> str:
        """Return the address under which the server is reached directly."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{port}"


def settings_at(address: ListenAt, settings: DeskSettings, public_url: str | None = None) -> DeskSettings:
    """Return the settings for an address to listen at: with the one under which browsers will find the desk.

    :param public_url: said on the command line; it goes before the policy file's.
    :raises ServerError: votes or sign-ins would go over the network unencrypted, or nobody said under which address.
    """
    if bool(address.certificate) != bool(address.private_key):
        raise ServerError("TLS needs both files: --certificate and --private-key")
    wanted = public_url or settings.public_url
    if wanted is None and address.certificate and is_loopback(address.host) and address.port:
        wanted = address.origin(address.port)
    try:
        made = DeskSettings.model_validate({**settings.model_dump(), "public_url": wanted})
    except ValidationError as error:
        raise ServerError(f"--public-url: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    if address.certificate and made.public_url is not None and not made.public_url.startswith("https://"):
        raise ServerError(f"--public-url {made.public_url}: with --certificate it must be https")
    if is_loopback(address.host):
        return made
    if not address.certificate and not address.behind_proxy:
        raise ServerError(
            f"--host {address.host}: other machines could reach the desk, unencrypted; give --certificate "
            "and --private-key, or --behind-proxy if a proxy takes care of TLS; see docs/desk-security.md"
        )
    if made.public_url is None:
        raise ServerError(
            f"--host {address.host}: say under which address browsers find the desk, since no other is answered: "
            "--public-url https://HOST, or desk.public_url in the policy file"
        )
    return made


def bound_socket(address: ListenAt) -> socket.socket:
    """Return a socket that listens at a address.

    :raises ServerError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # Told the protocol, asyncio sends what it has at once; else a page would wait 40 ms between its head and its body.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        # Two servers can be bound to one port; only one can listen.
        listener.listen()
    except (OSError, OverflowError, TypeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise ServerError(f"{address.host}:{address.port}: {reason}; name another with --host or --port") from error
    return listener


class DeskServer(uvicorn.Server):
    """Stops within seconds of being asked to, even while pages listen to its events.

    Only what is being written to the database is waited for, as long as that waits for another writer.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams first: nothing else would."""
        end_streams()
        await super().shutdown(sockets)


def desk_server(app: Starlette, address: ListenAt) -> DeskServer:
    """Return a server for a desk's application; ``run`` it with ``bound_socket``.

    :raises ServerError: the certificate or the private key cannot be used.
    """
    config = uvicorn.Config(
        app,
        host=address.host,
        port=address.port,
        ssl_certfile=address.certificate,
        ssl_keyfile=address.private_key,
        # The desk writes its own, without the tokens of invitations.
        access_log=False,
        # Whom to believe about addresses is for the desk to decide.
        proxy_headers=False,
        server_header=False,
        # The other parser of uvicorn reads heads without end.
        http="h11",
        h11_max_incomplete_event_size=16 * 1024,
        ws="none",
        log_level="warning",
        timeout_keep_alive=SECONDS_TO_KEEP,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ServerError(
            f"TLS: {address.certificate} and {address.private_key} cannot be used ({error}); both must be PEM files "
            "that belong together"
        ) from error
    return DeskServer(config)


def serve(server: DeskServer, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is being answered."""
    for each in (signal.SIGINT, signal.SIGTERM):
        # The server handles them, and raises them once more when it has stopped; that time they mean nothing.
        signal.signal(each, lambda *_: None)
    asyncio.run(server.serve([listener]))
