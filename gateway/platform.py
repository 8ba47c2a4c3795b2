"""What the requests of one gateway reach, and how endpoints get at it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from gateway.admission.outlook import Outlook
from gateway.person import Person
from gateway.settings import GatewaySettings
from gateway.telemetry.tracing import Tracing
from qcpaas.errors import Forbidden
from qcpaas.scheduling import Role
from store.database import Store

if TYPE_CHECKING:
    from gateway.auth.authenticator import Authenticator
    from gateway.engine.prefect import PrefectEngine
    from gateway.reading.readers import Readers
    from tasks.estimation import Estimation


@dataclass(eq=False)
class Platform:
    """One a process; its parts are safe to share among threads.

    Attributes:
        outlook: What is expected of waiting jobs; kept by the releaser.
        tracing: Where traces of requests go; nowhere unless told.
        readers: Processes that read users' circuits; this process itself without them.
        news: Set by whoever changes the backlog, so that the releaser looks at once.
    """

    settings: GatewaySettings
    store: Store
    engine: PrefectEngine
    authenticator: Authenticator
    outlook: Outlook = field(default_factory=Outlook)
    tracing: Tracing = field(default_factory=Tracing)
    news: threading.Event = field(default_factory=threading.Event)
    readers: Readers | None = None

    @cached_property
    def estimation(self) -> Estimation | Readers:
        """Remembers devices, circuits and layouts from one estimate to the next."""
        if self.readers is not None:
            return self.readers
        from tasks.estimation import Estimation  # and with it the compiler

        return Estimation(self.store)


def the_platform(request: Request) -> Platform:
    found: Platform = request.app.state.platform
    return found


def the_person(request: Request) -> Person:
    """Who was let in; `gateway.front_door` has put them there before any endpoint runs."""
    found: Person = request.state.person
    return found


ThePlatform = Annotated[Platform, Depends(the_platform)]
ThePerson = Annotated[Person, Depends(the_person)]


class Needs:
    """A dependency that refuses whoever has a lesser role: ``Depends(Needs(Role.OWNER))``."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def __call__(self, person: ThePerson) -> Person:
        if not person.is_at_least(self._role):
            raise Forbidden(
                f"this needs the role {self._role.value}; {person.name} is {person.role.value}."
            )
        return person
