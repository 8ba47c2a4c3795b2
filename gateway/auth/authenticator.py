"""The seam of authentication: one class, chosen by configuration."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gateway.person import Person
from gateway.settings import GatewaySettings
from store.database import Store


class Authenticator(ABC):
    """Recognises a person by the ``Authorization`` header of a request.

    Args:
        store: Where users and tokens are kept.
    """

    def __init__(self, settings: GatewaySettings, store: Store) -> None:
        self.settings = settings
        self.store = store

    @abstractmethod
    def person(self, authorization: str | None) -> Person:
        """Who asks.

        Raises:
            NotLetIn: Nobody that this platform knows.
        """
