"""The ideal simulators."""

from contextlib import contextmanager

from vendors.subjects import Subject

LABELS = ("statevector", "aer")


@contextmanager
def subjects(folder):
    yield [Subject(name) for name in LABELS]
