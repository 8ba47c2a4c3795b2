"""The public keys of an identity provider, found and kept."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import httpx
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWKError, PyJWKSetError

from gateway.auth.nobody import is_loopback
from qcpaas.errors import InputError, NotLetIn, PlatformUnavailable

KEPT_S = 300.0
# Whoever sends made-up key ids makes the gateway ask the provider no more often than this.
REFETCH_AFTER_S = 10.0
_TIMEOUT_S = 5.0
_DISCOVERY = "/.well-known/openid-configuration"


class SigningKeys:
    """Asks for the keys when they are first needed, every five minutes, and for an unknown id.

    Args:
        url: Of the JWKS; asked of the issuer where empty.
        refetch_after_s: At most this often for ids that nobody knows.

    Raises:
        InputError: An address would be asked without TLS, or there is none.
    """

    def __init__(self, issuer: str, url: str, refetch_after_s: float = REFETCH_AFTER_S) -> None:
        self._issuer = issuer
        self._refetch_after_s = refetch_after_s
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._client: PyJWKClient | None = None
        _check_address(url or issuer)
        if url:
            self._client = self._open(url)

    def key(self, key_id: str) -> PyJWK:
        """The key of that id.

        Raises:
            NotLetIn: The provider has no such key.
            PlatformUnavailable: The provider does not answer.
        """
        # One asks at a time: the others would fill the gateway's threads with waiting.
        with self._lock:
            if time.monotonic() < self._silent_until:
                raise _unavailable()
            try:
                if self._client is None:
                    self._client = self._open(self._discovered())
                return self._client.get_signing_key(key_id)
            except (PyJWKClientConnectionError, httpx.HTTPError, ValueError) as error:
                self._silent_until = time.monotonic() + self._refetch_after_s
                raise _unavailable() from error
            except (PyJWKClientError, PyJWKError, PyJWKSetError) as error:
                raise NotLetIn(
                    "this token is signed with a key that the identity provider does not list. "
                    "Log in again."
                ) from error

    def _open(self, url: str) -> PyJWKClient:
        return PyJWKClient(
            url, lifespan=KEPT_S, timeout=_TIMEOUT_S, cooldown_duration=self._refetch_after_s
        )

    def _discovered(self) -> str:
        """Where the issuer says that its keys are.

        Raises:
            ValueError: It says something else, or that it is another issuer.
        """
        address = self._issuer.rstrip("/") + _DISCOVERY
        told = httpx.get(address, timeout=_TIMEOUT_S, follow_redirects=False)
        told.raise_for_status()
        found = told.json()
        if not isinstance(found, dict) or found.get("issuer") != self._issuer:
            raise ValueError(f"{address} speaks of another issuer")
        url = str(found.get("jwks_uri", ""))
        _check_address(url)
        return url


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"https", "http"}:
        raise InputError(
            f"{url!r} is no address of an identity provider. Set QCPAAS_GATEWAY_OIDC_ISSUER to "
            "what its tokens name as `iss`."
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InputError(f"keys that came from {url} without TLS prove nothing. Use https.")


def _unavailable() -> PlatformUnavailable:
    return PlatformUnavailable(
        "the identity provider that knows who you are does not answer. Try again in a minute."
    )
