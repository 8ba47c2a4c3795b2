"""The ``Authorization`` header."""

from __future__ import annotations

from qcpaas.errors import NotLetIn

_LONGEST = 16_384


def bearer_token(authorization: str | None) -> str:
    """The token of ``Bearer TOKEN``.

    Raises:
        NotLetIn: There is none, or another scheme; the message never repeats what was shown.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST:
        raise NotLetIn(
            "this platform needs a token. Set QCPAAS_TOKEN, or send 'Authorization: Bearer TOKEN'."
        )
    return token
