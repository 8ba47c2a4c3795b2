"""The calendar: who has a device to themselves, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import StringConstraints

from gateway.answers import TheAnswers
from gateway.api.moments import Moment
from gateway.api.names import DeviceName
from gateway.audit import about
from gateway.person import Person
from gateway.platform import Needs, Platform, ThePerson, ThePlatform
from gateway.replies import Refused
from qcpaas.errors import InputError, nearest
from qcpaas.scheduling import Reservation, Role
from store.people import People
from store.reservations import EVERYBODY, Reservations

router = APIRouter(prefix="/v1", tags=["reservations"])

ReservationId = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]+$")]
Owner = Annotated[Person, Depends(Needs(Role.OWNER))]


@router.get("/reservations", name="reservation.list")
def reservations(
    platform: ThePlatform,
    person: ThePerson,
    device: DeviceName | None = None,
    since: Annotated[
        Moment | None, Query(description="Those that end later; open and coming ones")
    ] = None,
    until: Annotated[Moment | None, Query(description="Those that begin earlier")] = None,
) -> list[Reservation]:
    """Open and coming windows, the next one first; reasons are told to their holders and owners."""
    found = Reservations(platform.store).between(since or datetime.now(UTC), until, device or "")
    return [
        one if _may_read(person, one) else one.model_copy(update={"reason": ""}) for one in found
    ]


@router.post("/reservations", name="reservation.add", status_code=HTTPStatus.CREATED)
def reserve(
    asked: Reservation,
    platform: ThePlatform,
    person: Owner,
    answers: TheAnswers,
    request: Request,
) -> Reservation:
    """Keep a device for somebody; with the id of a vendor's window, give them that one."""
    _check_holder(platform, person, asked.holder)
    on_device = asked.model_copy(update={"device": answers.spelt(asked.device)})
    made = Reservations(platform.store).add(on_device, person.name)
    about(request, made.reservation_id)
    platform.news.set()
    return made


@router.delete("/reservations/{reservation_id}", name="reservation.cancel", status_code=204)
def cancel(reservation_id: ReservationId, platform: ThePlatform, _: Owner) -> Response:
    """Open a window for everybody; jobs that were to run in it join the backlog."""
    if not Reservations(platform.store).cancel(reservation_id):
        raise Refused(
            HTTPStatus.NOT_FOUND,
            f"there is no open or coming reservation {reservation_id[:40]!r}. `qcpaas "
            "reservations` lists them.",
        )
    platform.news.set()
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _check_holder(platform: Platform, person: Person, holder: str) -> None:
    if holder in {"", EVERYBODY, person.name}:
        return
    names = [user.name for user in People(platform.store).all()]
    if holder not in names:
        raise InputError(f"there is no user {holder!r}. {nearest(holder, names)}")


def _may_read(person: Person, one: Reservation) -> bool:
    return one.holder in {"", EVERYBODY, person.name} or person.is_at_least(Role.OWNER)
