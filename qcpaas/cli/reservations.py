"""``qcpaas reservations``: who has a device to themselves, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from qcpaas.cli.connection import AsJson, Remote, connect
from qcpaas.cli.moments import read_duration, read_moment
from qcpaas.cli.tables import print_all
from qcpaas.errors import InputError
from qcpaas.scheduling import Reservation

app = typer.Typer(
    help="List a device's reserved times, add and cancel them.", invoke_without_command=True
)


@app.callback()
def reservations(
    ctx: typer.Context,
    device: Annotated[str, typer.Option(help="Only this one's.")] = "",
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """List open and coming reservations, the next one first."""
    if ctx.invoked_subcommand is None:
        _show(connect(ctx, remote).operations.reservations(device), as_json=as_json)


@app.command("add")
def add(
    ctx: typer.Context,
    device: Annotated[str, typer.Argument(help="As `qcpaas devices` lists it.")],
    *,
    begins: Annotated[
        str, typer.Option("--from", help="A date and time (UTC), now, or +2h from now.")
    ] = "now",
    ends: Annotated[str, typer.Option("--to", help="As --from.")] = "",
    lasts: Annotated[str, typer.Option("--for", help="In place of --to: 30min, 2h, 1d.")] = "",
    holder: Annotated[
        str, typer.Option(help="A user; without one everybody is kept out, as for maintenance.")
    ] = "",
    reason: Annotated[str, typer.Option(help="For the calendar.")] = "",
    of_vendor: Annotated[
        str,
        typer.Option("--id", help="A vendor's reservation, from the list, to give to the holder."),
    ] = "",
    as_json: AsJson = False,
    remote: Remote = None,
) -> None:
    """Keep a device for somebody; jobs of others that would run into it wait until it is over."""
    operations = connect(ctx, remote).operations
    if of_vendor:
        found = [one for one in operations.reservations(device) if one.reservation_id == of_vendor]
        if not found:
            raise InputError(f"there is no reservation {of_vendor!r} of {device}.")
        asked = found[0].model_copy(update={"holder": holder})
    else:
        now = datetime.now(UTC)
        begins_at = _coming(begins, now)
        asked = Reservation(
            device=device,
            begins_at=begins_at,
            ends_at=_end(ends, lasts, begins_at, now),
            holder=holder,
            reason=reason,
        )
    made = operations.reserve(asked)
    if as_json:
        typer.echo(made.model_dump_json())
        return
    typer.echo(
        f"{made.device} is kept for {_whom(made)} from {_shown(made.begins_at)} to "
        f"{_shown(made.ends_at)} UTC: {made.reservation_id}."
    )


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    reservation_id: Annotated[str, typer.Argument(help="As `qcpaas reservations` lists it.")],
    remote: Remote = None,
) -> None:
    """Open a reserved time for everybody again."""
    connect(ctx, remote).operations.cancel_reservation(reservation_id)
    typer.echo(f"reservation {reservation_id} is cancelled.")


def _end(ends: str, lasts: str, begins_at: datetime, now: datetime) -> datetime:
    if bool(ends) == bool(lasts):
        raise InputError("a reservation needs an end. Give either --to or --for.")
    if ends:
        ends_at = _coming(ends, now)
    else:
        length = read_duration(lasts)
        if length is None:
            raise InputError(f"{lasts!r} is no duration. Write 30min, 2h or 1d.")
        ends_at = begins_at + length
    if ends_at <= begins_at:
        raise InputError(
            f"the reservation would end at {_shown(ends_at)} and begin at {_shown(begins_at)} UTC."
        )
    return ends_at


def _coming(text: str, now: datetime) -> datetime:
    """A moment, or ``+2h``: so long from now."""
    ahead = read_duration(text.strip()[1:]) if text.strip().startswith("+") else None
    return read_moment(text, now, end_of_day=False) if ahead is None else now + ahead


def _show(found: Sequence[Reservation], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found]))
        return
    if not found:
        print_all([Text("nothing is reserved.")])
        return
    table = Table("reservation", "device", "from (UTC)", "to (UTC)", "for", "reason", "source")
    for one in found:
        table.add_row(
            one.reservation_id,
            one.device,
            _shown(one.begins_at),
            _shown(one.ends_at),
            _whom(one),
            one.reason,
            one.source,
        )
    print_all([table])


def _whom(one: Reservation) -> str:
    return {"": "nobody", "*": "everybody"}.get(one.holder, one.holder)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
