"""What the server's events say: that a run is due, or that one is to be cancelled.

Polling goes on beside it: an event may get lost, and with the server its subscription goes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from uuid import UUID

import anyio
import httpx
from prefect.events import Event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from websockets.exceptions import WebSocketException

SCHEDULED = "prefect.flow-run.Scheduled"
CANCELLING = "prefect.flow-run.Cancelling"
AGAIN_AFTER_S = 2.0
_RUN = "prefect.flow-run."


class Signals:
    """Args:
    due: Called when a run may have to be taken up, and after every gap in which one may have.
    cancelling: Called with the id of a run that is to be cancelled.

    Attributes:
        heard: Whether events arrive at this moment.
    """

    def __init__(self, due: Callable[[], None], cancelling: Callable[[UUID], None]) -> None:
        self.heard = False
        self._due, self._cancelling = due, cancelling

    async def listen(self) -> None:
        """For ever; without a server it asks for one every few seconds."""
        while True:
            try:
                await self._listen_once()
            except (OSError, WebSocketException, httpx.HTTPError, TimeoutError) as error:
                self._say(f"does not hear the server's events: {error}")
            except Exception as error:  # noqa: BLE001 - a refused log-in is a bare Exception there
                self._say(f"hears no events, and only polls: {error}")
            self.heard = False
            await anyio.sleep(AGAIN_AFTER_S)

    async def _listen_once(self) -> None:
        names = EventFilter(event=EventNameFilter(name=[SCHEDULED, CANCELLING]))
        async with get_events_subscriber(filter=names, reconnection_attempts=0) as events:
            self.heard = True
            self._due()
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        if event.event == SCHEDULED:
            self._due()
            return
        self._cancelling(UUID(event.resource.id.removeprefix(_RUN)))

    def _say(self, text: str) -> None:
        if self.heard:
            sys.stderr.write(f"{text}\n")
