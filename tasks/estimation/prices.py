"""Price models, and the lists that say which device is charged by which of them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from qcpaas.devices import DeviceInfo
from qcpaas.errors import InputError
from qcpaas.scheduling import JobEstimate, Money
from qcpaas.wire import Wire

GROUP = "qcpaas.prices"


class PriceModel(Wire, ABC):
    """What one kind of device costs.

    Attributes:
        adapter: Name of the adapter that reaches it.
        address: Regular expression for what the vendor calls it, all of it.
        currency: ISO 4217 code; ``XXX`` for seconds whose price is in a contract.
        minimum: At least that much a job.
        priced_on: Day of the price list, ISO 8601.
        source: Where the price was read.
    """

    adapter: str
    address: str = ".*"
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    minimum: float = Field(default=0.0, ge=0.0)
    priced_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    source: str = ""

    @field_validator("address")
    @classmethod
    def _is_expression(cls, text: str) -> str:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from None
        return text

    def is_for(self, device: DeviceInfo) -> bool:
        address = device.address or device.name
        return device.adapter == self.adapter and re.fullmatch(self.address, address) is not None

    @abstractmethod
    def amount(self, estimate: JobEstimate) -> float:
        """What a job costs without the minimum."""

    @abstractmethod
    def words(self) -> str:
        """How it is reckoned."""

    def of(self, estimate: JobEstimate) -> Money:
        """What a job costs, by an estimate that has its circuits, shots and seconds."""
        return Money(
            amount=max(self.minimum, self.amount(estimate)),
            currency=self.currency,
            model=self.words(),
            priced_on=self.priced_on,
        )


class PerTaskAndShot(PriceModel):
    """Every circuit and parameter point is a task, with its price and that of its shots."""

    model: Literal["per_task_and_shot"] = "per_task_and_shot"
    per_task: float = Field(default=0.0, ge=0.0)
    per_shot: float = Field(default=0.0, ge=0.0)

    def amount(self, estimate: JobEstimate) -> float:
        return estimate.circuits * self.per_task + estimate.shots * self.per_shot

    def words(self) -> str:
        return f"{self.per_task:g} a task and {self.per_shot:g} a shot"


class PerSecond(PriceModel):
    """Seconds that the device is in use."""

    model: Literal["per_second"] = "per_second"
    per_second: float = Field(ge=0.0)

    def amount(self, estimate: JobEstimate) -> float:
        return estimate.qpu_s * self.per_second

    def words(self) -> str:
        return f"{self.per_second:g} a QPU second"


class PerBilledSecond(PriceModel):
    """Seconds by a formula of the vendor's, whatever the circuits really take."""

    model: Literal["per_billed_second"] = "per_billed_second"
    per_second: float = Field(ge=0.0)
    billed_shot_s: float = Field(gt=0.0)
    minimum_s: float = Field(default=0.0, ge=0.0)

    def amount(self, estimate: JobEstimate) -> float:
        return max(estimate.shots * self.billed_shot_s, self.minimum_s) * self.per_second

    def words(self) -> str:
        return (
            f"{self.per_second:g} a billed second, {self.billed_shot_s:g} s a shot and "
            f"{self.minimum_s:g} s a job at least"
        )


AnyPrice = Annotated[PerTaskAndShot | PerSecond | PerBilledSecond, Field(discriminator="model")]


class PriceList(Wire):
    prices: tuple[AnyPrice, ...] = ()


_LIST = TypeAdapter(PriceList)


def find_prices(own: Path | None = None) -> tuple[PriceModel, ...]:
    """All prices: the owner's file first, then installed packages', then the published ones.

    Args:
        own: The owner's price list, in the form of ``tasks/estimation/prices.json``.

    Raises:
        InputError: The owner's file cannot be read.
    """
    found: list[PriceModel] = [] if own is None else list(_read_own(own).prices)
    for entry in entry_points(group=GROUP):
        found.extend(entry.load()())
    published = files(__package__).joinpath("prices.json").read_text(encoding="utf-8")
    return (*found, *_LIST.validate_json(published).prices)


def price_for(device: DeviceInfo, prices: Iterable[PriceModel]) -> PriceModel | None:
    """The first price that is for a device."""
    return next((price for price in prices if price.is_for(device)), None)


def _read_own(path: Path) -> PriceList:
    try:
        return _LIST.validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the price list {path} (QCPAAS_PRICES) cannot be read: {error.strerror}."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"the price list {path} (QCPAAS_PRICES) is wrong at {where}: {first['msg']}."
        ) from error
