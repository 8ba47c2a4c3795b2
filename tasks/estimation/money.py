"""What a job costs on a vendor's device."""

from __future__ import annotations

from functools import cached_property

from qcpaas.errors import InputError
from qcpaas.scheduling import JobEstimate
from qcpaas.settings import Settings
from tasks.estimation.case import Case
from tasks.estimation.estimator import Estimator, found
from tasks.estimation.prices import PriceModel, find_prices, price_for


class Price(Estimator):
    """By the first price list that has the device; nothing for one that nobody charges for."""

    rank = 50

    @cached_property
    def prices(self) -> tuple[PriceModel, ...]:
        return find_prices(Settings().prices)

    def estimate(self, case: Case, so_far: JobEstimate) -> JobEstimate:
        try:
            price = None if case.info is None else price_for(case.info, self.prices)
        except InputError as error:  # the owner's mistake must not keep users' jobs out
            return found(so_far, f"cost: unknown, {error}")
        if price is None:
            return so_far
        cost = price.of(so_far)
        return found(so_far, f"cost: {cost.model}, {price.source or 'own prices'}", cost=cost)
