"""What the browser holds: a signed cookie, and a token for forms that is bound to it."""

import hashlib
import hmac

from itsdangerous import BadSignature, Signer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from al_assets.config import DeskSettings


class Cookies:
    """Signs the desk's cookie and reads it back.

    The same cookie holds the token of a session or, before signing in, a token that opens nothing: the form on the
    page of an invitation is bound to it, so that nobody can be signed in by a form on another site.

    ``SameSite=Lax``: a link in a mail finds its reader signed in, a form on another site does not.
    """

    def __init__(self, key: bytes, settings: DeskSettings) -> None:
        self._key = key
        self._signer = Signer(key, salt=b"al desk cookie", key_derivation="hmac", digest_method=hashlib.sha256)
        self.secure = (settings.public_url or "").startswith("https://")
        # Browsers send a cookie to every port of a host: desks of one machine must not sign each other's people out.
        own = hmac.new(key, b"cookie name", hashlib.sha256).hexdigest()[:8]
        # Browsers take a cookie of this prefix only over TLS, for this host alone: a neighbour host cannot plant one.
        self.name = f"__Host-al-desk-{own}" if self.secure else f"al-desk-{own}"
        self._most = int(settings.session_hours * 3600)

    def token(self, connection: HTTPConnection) -> str | None:
        """Return the token of a request's cookie, None if there is none that this desk signed."""
        try:
            return self._signer.unsign(connection.cookies.get(self.name, "").encode("utf-8", "replace")).decode()
        except BadSignature:
            return None

    def header(self, token: str, *, keep: bool) -> str:
        """Return the Set-Cookie header for a token.

        :param keep: outlives the browser's window, as a session does.
        """
        response = Response()
        self._set(response, token, keep=keep)
        return response.headers["set-cookie"]

    def sign_in(self, response: Response, token: str) -> None:
        """Give the browser the token of a new session."""
        self._set(response, token, keep=True)

    def sign_out(self, response: Response) -> None:
        """Take the token away."""
        response.delete_cookie(self.name, path="/", secure=self.secure, httponly=True, samesite="lax")

    def csrf(self, bound_to: str) -> str:
        """Return the token that forms must carry, for a cookie's token or an identity."""
        return hmac.new(self._key, b"csrf\0" + bound_to.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _set(self, response: Response, token: str, *, keep: bool) -> None:
        response.set_cookie(
            self.name,
            self._signer.sign(token).decode(),
            max_age=self._most if keep else None,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )
