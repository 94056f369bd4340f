"""nginx and Caddy, run with the configuration that docs/desk-security.md shows."""

import os
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Self

import httpx2
import pytest

from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.desk.serving import START_SECONDS, own_certificate
from al_assets_tests.support.processes import Service, is_open, wait_until
from benchmarks.processes import free_port

PAGE = REPOSITORY / "docs/desk-security.md"
HOST = "desk.example.org"
# What the page leaves to the surroundings: where nginx may write, and that it stays in front, in one process.
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""
# The name is nobody's, so the certificate comes from an authority of Caddy's own.
CADDY = """\
{{
    admin off
    https_port {port}
    auto_https disable_redirects
    local_certs
    skip_install_trust
}}
{server}
"""


def shown(language: str, place: int = 0) -> str:
    """Return a block of configuration from the page."""
    blocks: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return blocks[place]


def changed(text: str, values: Mapping[str, object]) -> str:
    """Put what is true here in the place of what the page says; all of it must be there."""
    for old, new in values.items():
        assert old in text, f"{PAGE}: no {old!r}"
        text = text.replace(old, str(new))
    return text


def program(name: str, package: str) -> str:
    """Return a program's path; skip the test where it is missing."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"no {name} on this machine: apt-get install {package}")
    return found


class Browser:
    """Somebody who knows only the proxy, by its public name.

    :param source: the address of this machine that they come from.
    """

    def __init__(self, port: int, certificate: Path, source: str = "127.0.0.2") -> None:
        trusted = ssl.create_default_context(cafile=str(certificate))
        self.client = httpx2.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"Host": HOST},
            transport=httpx2.HTTPTransport(verify=trusted, local_address=source),
            timeout=60,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return self.client.get(path, headers=headers, extensions={"sni_hostname": HOST})

    def submit(self, path: str, html: str, **fields: str) -> httpx2.Response:
        """Send a form of a page."""
        csrf = html.split('name="csrf" value="')[1].split('"')[0]
        return self.client.post(
            path,
            data={"csrf": csrf, **fields},
            headers={"Origin": f"https://{HOST}"},
            extensions={"sni_hostname": HOST},
        )

    @contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        with self.client.stream("GET", "/events", extensions={"sni_hostname": HOST}) as found:
            assert found.status_code == 200, found.read()
            yield found.iter_lines()

    def join(self, token: str) -> None:
        """Come in by a personal link."""
        seen = self.get(f"/join/{token}")
        assert seen.status_code == 200, seen.text
        assert self.submit(f"/join/{token}", seen.text).status_code == 303


@contextmanager
def nginx(
    folder: Path, desk: int, locations: str | None = None, more: Mapping[str, object] = MappingProxyType({})
) -> Iterator[tuple[int, Path]]:
    """Run nginx before a desk's port and yield its own port and the certificate to trust.

    :param locations: what stands in the server instead of the first configuration's locations.
    :param more: what else is replaced in those.
    """
    command = program("nginx", "nginx-light")
    certificate, key = own_certificate(folder, HOST)
    port = free_port()
    server = shown("nginx")
    if locations is not None:
        head = server.split("    location", 1)[0]
        server = f"{head}{locations}}}\n"
    values = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "/etc/ssl/desk/fullchain.pem": certificate,
        "/etc/ssl/desk/privkey.pem": key, "http://127.0.0.1:8200": f"http://127.0.0.1:{desk}", **more,
    }  # fmt: skip
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, server=changed(server, values)))
    with _running([command, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, port):
        yield port, certificate


@contextmanager
def caddy(folder: Path, desk: int) -> Iterator[tuple[int, Path]]:
    """Run Caddy before a desk's port and yield its own port and the certificate to trust."""
    command = program("caddy", "caddy")
    port = free_port()
    server = changed(shown("caddy"), {"127.0.0.1:8200": f"127.0.0.1:{desk}"})
    (folder / "Caddyfile").write_text(CADDY.format(port=port, server=server))
    with _running([command, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], folder, port):
        root = folder / "caddy/pki/authorities/local/root.crt"
        # It opens its port before it has the certificate.
        assert wait_until(lambda: root.exists() and _shows_certificate(port, root), START_SECONDS, every=0.05)
        yield port, root


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    service = Service("proxy", command, environment, folder)
    service.start()
    try:
        assert wait_until(lambda: service.has_ended or is_open(port), START_SECONDS, every=0.05)
        assert not service.has_ended, service.log.read_text()
        yield
    finally:
        service.stop()


def _shows_certificate(port: int, trusted: Path) -> bool:
    context = ssl.create_default_context(cafile=str(trusted))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=HOST),
        ):
            return True
    except OSError:
        return False


@contextmanager
def sign_in_service(people: Mapping[str, str]) -> Iterator[int]:
    """Answer as oauth2-proxy answers nginx, for visitors whose cookie ``who`` is a key; yield the port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/oauth2/sign_in":
                self._say(403, "sign in here")
                return
            cookies = (each.strip().partition("=") for each in self.headers.get("Cookie", "").split(";"))
            who = {name: value for name, _, value in cookies}.get("who", "")
            if who in people:
                self._say(202, "", people[who])
            else:
                self._say(401, "")

        def _say(self, status: int, text: str, email: str | None = None) -> None:
            self.send_response(status)
            if email is not None:
                self.send_header("X-Auth-Request-Email", email)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(START_SECONDS)
        server.server_close()
