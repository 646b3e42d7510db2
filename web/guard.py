"""Who may talk to the page, and how much.

A page on this machine can be reached by every page that a browser on it has open: by its address
(a form that posts, a websocket), and by a foreign name that is made to point here (DNS rebinding).
So the Host must be one of ours, the Origin of whatever is no plain GET as well, and beyond this
machine a token must come with the first request, as notebooks have it; it is then a cookie that no
other site sends.
"""

import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "arcadia-token"
# Nothing is asked of other hosts, and nobody frames the page.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class Access:
    """Which names of this machine a browser may use, and the token that it needs."""

    hosts: tuple[str, ...] = LOOPBACK
    """Names and addresses, without a port; none: any, as one who listens on all networks must."""
    token: str = ""
    """What the address must carry the first time; "": nothing."""

    @classmethod
    def beyond(cls, host: str) -> "Access":
        """Return the access of a page that other machines reach under this address."""
        everywhere = host in ("0.0.0.0", "::")
        return cls(() if everywhere else (*LOOPBACK, host), secrets.token_urlsafe(24))

    def knows(self, host: str) -> bool:
        """Say whether a Host header names this machine."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return bool(name) and (not self.hosts or name in self.hosts)

    def same_origin(self, headers: Headers) -> bool:
        """Say whether a request comes from a page of ours, or from no page at all."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        try:
            return urlsplit(origin).netloc == headers.get("host", "")
        except ValueError:
            return False

    def has_token(self, scope: Scope, headers: Headers) -> bool:
        """Say whether a request brings the token, in its address or as a cookie."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        given = cookies[COOKIE].value if COOKIE in cookies else query
        return any(
            secrets.compare_digest(each.encode(), self.token.encode()) for each in (given, query)
        )


@dataclass
class Guard:
    """Lets through what may come in; refuses the rest with a status and a line."""

    app: ASGIApp
    access: Access = field(default_factory=Access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers, access = Headers(scope=scope), self.access
        plain = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not access.knows(headers.get("host", "")):
            await refuse(scope, receive, send, "this page has another address")
        elif not plain and not access.same_origin(headers):
            await refuse(scope, receive, send, "asked by a page of another site")
        elif access.token and not access.has_token(scope, headers):
            await refuse(
                scope, receive, send, "open the address that the command printed, with its token"
            )
        else:
            await self.app(scope, receive, self.with_headers(scope, send))

    def with_headers(self, scope: Scope, send: Send) -> Send:
        """Return `send` with the headers that every answer has."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.access.token:
                    headers.append(
                        "set-cookie", f"{COOKIE}={self.access.token}; HttpOnly; SameSite=Strict"
                    )
            await send(message)

        return sending


async def refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    """Answer that this is not for whoever asks."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4403, "reason": why})
    else:
        await PlainTextResponse(f"refused: {why}\n", 403)(scope, receive, send)
