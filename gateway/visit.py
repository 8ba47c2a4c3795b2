"""What a request says of itself, before anybody believes it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.types import Scope

from gateway.auth.nobody import is_loopback
from gateway.person import Person
from gateway.replies import Refused

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_HEADER_BYTES = 32_768
# One of each: of two, this side and a proxy might read different ones.
_SINGLE = ("authorization", "content-length", "content-type", "host", "idempotency-key")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass
class Visit:
    """One request.

    Attributes:
        address: Of the client's end of the connection; what headers claim counts for nothing,
            unless a trusted proxy says it.
        headers: By lower-case name, values of repeated ones joined.
        person: Who was let in; nobody yet, or nobody needed.
    """

    request_id: str
    method: str
    path: str
    address: str
    headers: Mapping[str, str]
    repeated: tuple[str, ...]
    person: Person | None = field(default=None)

    @classmethod
    def of(cls, scope: Scope) -> Visit:
        headers: dict[str, str] = {}
        repeated = []
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers:
                repeated.append(name)
                value = f"{headers[name]}, {value}"
            headers[name] = value
        given = headers.get("x-request-id", "")
        client = scope.get("client")
        return cls(
            request_id=given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex,
            method=scope["method"],
            path=scope["path"],
            address=client[0] if client else "",
            headers=headers,
            repeated=tuple(repeated),
        )

    @property
    def forwarded(self) -> bool:
        """Whether it came through a proxy, and so perhaps from another machine."""
        return any(name in self.headers for name in _FORWARDED)

    @property
    def is_local(self) -> bool:
        return is_loopback(self.address) and not self.forwarded

    def check_headers(self) -> None:
        """Raises `Refused` for what no honest client sends."""
        if sum(len(name) + len(value) for name, value in self.headers.items()) > _HEADER_BYTES:
            raise Refused(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers are larger than {_HEADER_BYTES} bytes together. Send fewer.",
            )
        twice = [name for name in _SINGLE if name in self.repeated]
        if twice:
            raise Refused(
                HTTPStatus.BAD_REQUEST, f"the header {twice[0]} came more than once. Send one."
            )

    def check_local(self) -> None:
        """Raises `Refused` where others than programs on this machine may be behind it.

        Without authentication an address is all that is known. A page in a browser here can be
        from anywhere, and can give its own name this machine's address.
        """
        host = urlsplit(f"//{self.headers.get('host', 'localhost')}").hostname or ""
        origin = self.headers.get("origin", "")
        at_home = is_loopback(host) and (not origin or is_loopback(urlsplit(origin).hostname or ""))
        other_site = self.headers.get("sec-fetch-site") == "cross-site"
        if not self.is_local or not at_home or other_site:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "this platform lets everybody in, and so only programs on its own machine: the "
                "request came through a proxy, from a web page, or to another name. Set "
                "QCPAAS_GATEWAY_AUTH to tokens or oidc to let others in.",
            )
