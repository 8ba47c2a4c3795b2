"""The policy that a gateway's settings name."""

from __future__ import annotations

import importlib

from gateway.scheduling.policy import SchedulingPolicy
from qcpaas.errors import InputError


def open_policy(name: str) -> SchedulingPolicy:
    """Of ``package.module:Class``, made without arguments.

    Raises:
        InputError: There is no such class, or it is no policy.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"QCPAAS_GATEWAY_POLICY is {name!r}, and {error}. Write package.module:Class."
        ) from error
    if not (isinstance(found, type) and issubclass(found, SchedulingPolicy)):
        raise InputError(
            f"QCPAAS_GATEWAY_POLICY is {name!r}, which is no class derived from "
            "gateway.scheduling.policy.SchedulingPolicy."
        )
    return found()
