"""What all tables share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, MetaData, Table, TypeDecorator
from sqlmodel import SQLModel

# SQLite numbers rows itself only for a column declared INTEGER.
NUMBER = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant to the microsecond; SQLite has no time zones, so UTC is kept and given back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone. Give datetimes in UTC.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Row(SQLModel):
    """What all tables share: names of constraints that migrations can rely on."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def table(row: type[Row]) -> Table:
    """The table behind a row class, for statements that skip the object mapper.

    Measured: the mapper costs three times the statement itself.
    """
    return Row.metadata.tables[str(row.__tablename__)]


def qubits_text(qubits: Iterable[int]) -> str:
    """Qubits as a column holds them: ``0,1``."""
    return ",".join(map(str, qubits))


def listed_qubits(text: str) -> tuple[int, ...]:
    """What `qubits_text` wrote."""
    return tuple(int(qubit) for qubit in text.split(",") if qubit)
