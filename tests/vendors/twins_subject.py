"""Digital twins: one of each kind of chip."""

from contextlib import contextmanager

from vendors.subjects import Subject

LABELS = ("FakeAthens", "FakeKolkata", "FakeSherbrooke", "FakeTorino")


@contextmanager
def subjects(folder):
    yield [Subject(name, slack=0.12) for name in LABELS]
