"""Tokens that an identity provider signs: OpenID Connect, RFC 7519 and RFC 8725."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    PyJWTError,
)

from gateway.auth.authenticator import Authenticator
from gateway.auth.bearer import bearer_token
from gateway.auth.signing_keys import SigningKeys
from gateway.person import Person
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError, NotLetIn
from qcpaas.scheduling import Role
from store.database import Store
from store.people import People

# With asymmetric ones alone nobody can sign with the public key that everybody has.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
LEEWAY_S = 30
_REQUIRED = ["exp", "iss", "aud", "sub"]
_REASONS: tuple[tuple[type[PyJWTError], str], ...] = (
    (ExpiredSignatureError, "it has expired"),
    (ImmatureSignatureError, "it is not valid yet"),
    (InvalidAudienceError, "it was made for another audience"),
    (InvalidIssuerError, "another provider made it"),
)


class OpenIdConnect(Authenticator):
    """Lets in who shows a token of the configured provider; a user is made at the first login.

    Raises:
        InputError: Issuer or audience is not configured, or keys would come without TLS.
    """

    def __init__(self, settings: GatewaySettings, store: Store) -> None:
        super().__init__(settings, store)
        if not settings.oidc_issuer or not settings.oidc_audience:
            raise InputError(
                "QCPAAS_GATEWAY_AUTH=oidc needs QCPAAS_GATEWAY_OIDC_ISSUER and "
                "QCPAAS_GATEWAY_OIDC_AUDIENCE: what the provider's tokens name as `iss` and `aud`."
            )
        self._keys = SigningKeys(settings.oidc_issuer, settings.oidc_jwks_url)
        self._people = People(store)

    def person(self, authorization: str | None) -> Person:
        claims = self._claims(bearer_token(authorization))
        subject = str(claims["sub"])
        user = self._people.log_in(
            self.settings.oidc_issuer,
            subject,
            _name(claims),
            _role(claims, self.settings.oidc_roles_claim),
        )
        if user.disabled:
            raise NotLetIn(f"the user {user.name} was disabled. Ask the platform's administrator.")
        return Person(user.name, user.role)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """What the token says, once its signature, dates, issuer and audience are checked."""
        try:
            header = jwt.get_unverified_header(token)
            # Before any key is looked for: `none` and HMAC have nothing to look for here.
            if header.get("alg") not in ALGORITHMS:
                raise NotLetIn(f"this token's algorithm is not one of {', '.join(ALGORITHMS)}.")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.key(str(header.get("kid", ""))),
                algorithms=ALGORITHMS,
                audience=self.settings.oidc_audience,
                issuer=self.settings.oidc_issuer,
                leeway=LEEWAY_S,
                options={"require": _REQUIRED},
            )
        except PyJWTError as error:
            reason = next((text for kind, text in _REASONS if isinstance(error, kind)), "")
            raise NotLetIn(
                f"this token opens nothing here: {reason or 'it is no token of the provider'}. "
                "Log in again."
            ) from None
        return claims


def _name(claims: Mapping[str, Any]) -> str:
    """What to call a new user: who they are is the issuer's and the subject's business alone."""
    for claim in ("preferred_username", "email", "sub"):
        found = claims.get(claim)
        if isinstance(found, str) and found.strip():
            return re.sub(r"[^\w.@-]", "_", found.strip(), flags=re.ASCII)[:128]
    return "somebody"


def _role(claims: Mapping[str, Any], claim: str) -> Role:
    """The highest role that the claim lists; names of others' roles count for nothing."""
    told = _listed(claims, claim)
    for role in (Role.ADMINISTRATOR, Role.OWNER):
        if role.value in told:
            return role
    return Role.USER


def _listed(claims: Mapping[str, Any], claim: str) -> list[Any]:
    """A claim by its name, or by its path, as in Keycloak's ``realm_access.roles``."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found.split()
    return list(found) if isinstance(found, list) else []
