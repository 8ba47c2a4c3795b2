"""Tokens of the platform's own, of which the store holds hashes."""

from __future__ import annotations

from gateway.auth.authenticator import Authenticator
from gateway.auth.bearer import bearer_token
from gateway.person import Person
from gateway.settings import GatewaySettings
from qcpaas.errors import NotLetIn
from store.database import Store
from store.people import People


class ApiTokens(Authenticator):
    """Lets in who shows a token that ``qcpaas token create`` made."""

    def __init__(self, settings: GatewaySettings, store: Store) -> None:
        super().__init__(settings, store)
        self._people = People(store)

    def person(self, authorization: str | None) -> Person:
        found = self._people.opened_by(bearer_token(authorization))
        if found is None:
            raise NotLetIn(
                "this token opens nothing here: it is unknown, has ended or was revoked, or its "
                "user was disabled. Ask the platform's administrator for one."
            )
        user, token = found
        return Person(user.name, user.role, until=token.expires_at)
