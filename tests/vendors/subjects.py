"""Devices that the conformance suite puts to the test.

``NAME_subject.py`` beside this file holds ``subjects(folder)``, a context manager that yields a
list of `Subject` with their servers running, and where these are several ``LABELS``, a word for
each of them in their order. ``tests/conformance/test_NAME.py`` takes the whole suite for them:
``pytest tests/conformance -k NAME``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.snapshot import Reading


@dataclass(frozen=True, eq=False)
class Subject:
    """A device under test.

    Attributes:
        name: That `adapters.registry.open_device` opens it by.
        slack: Largest total variation distance from the ideal distribution that its noise may
            cause in a GHZ state of three qubits.
        environment: Variables under which it can be opened, in this process and its children.
        wrong_credentials: Changes of them under which its vendor lets nobody in.
        server: What stands where the vendor's service stands (a `vendors.process.VendorServer`,
            or what has its methods); ``None`` for a device in the process itself.
        served: What the server's calibration of a number says, from the very data that it serves
            and not from the adapter: quantity, qubits, value (SI), date.
    """

    name: str
    slack: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict)
    wrong_credentials: Mapping[str, str] | None = None
    server: Any = None
    served: Callable[[int], Sequence[Reading]] | None = None


class NoSuchFault(Exception):
    """A server's ``set`` was asked for what this server cannot do; the test is skipped."""
