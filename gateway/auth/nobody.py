"""No authentication, for a platform that only its own machine reaches."""

from __future__ import annotations

import ipaddress

from gateway.auth.authenticator import Authenticator
from gateway.person import Person
from gateway.settings import GatewaySettings
from qcpaas.errors import InputError
from qcpaas.scheduling import Role, UserInfo
from store.database import Store
from store.people import People

LOCAL_USER = "local"


class LoopbackOnly(Authenticator):
    """Everybody on this machine is one administrator, called ``local``.

    Raises:
        InputError: The gateway would listen to other machines.
    """

    def __init__(self, settings: GatewaySettings, store: Store) -> None:
        super().__init__(settings, store)
        check_host(settings.host)
        people = People(store)
        if people.user(LOCAL_USER) is None:
            people.keep(UserInfo(name=LOCAL_USER, role=Role.ADMINISTRATOR))

    def person(self, authorization: str | None) -> Person:
        return Person(LOCAL_USER, Role.ADMINISTRATOR)


def check_host(host: str) -> None:
    """Raises `InputError` for an address that other machines reach."""
    if not is_loopback(host):
        raise InputError(
            f"without authentication everybody who reaches {host} would be an administrator. Set "
            "QCPAAS_GATEWAY_AUTH to tokens (then `qcpaas user add NAME --role administrator` and "
            "`qcpaas token create NAME`) or oidc, or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)
