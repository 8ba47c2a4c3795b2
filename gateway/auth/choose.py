"""The authenticator that a gateway's settings name."""

from __future__ import annotations

import importlib

from gateway.auth.authenticator import Authenticator
from gateway.auth.nobody import LoopbackOnly
from gateway.auth.tokens import ApiTokens
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError
from store.database import Store


def open_authenticator(settings: GatewaySettings, store: Store) -> Authenticator:
    """Raises `InputError` where there is none of that name, or it cannot be used so."""
    return _named(settings.auth)(settings, store)


def _named(name: str) -> type[Authenticator]:
    if name == "none":
        return LoopbackOnly
    if name == "tokens":
        return ApiTokens
    if name == "oidc":
        from gateway.auth.oidc import OpenIdConnect

        return OpenIdConnect
    return _own(name)


def _own(name: str) -> type[Authenticator]:
    module, colon, attribute = name.partition(":")
    if not colon:
        raise InputError(
            f"QCPAAS_GATEWAY_AUTH is {name!r}. Choose none, tokens, oidc or package.module:Class."
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"QCPAAS_GATEWAY_AUTH is {name!r}, and {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Authenticator)):
        raise InputError(
            f"QCPAAS_GATEWAY_AUTH is {name!r}, which is no class derived from "
            "gateway.auth.authenticator.Authenticator."
        )
    return found
