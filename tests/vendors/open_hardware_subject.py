"""Devices behind the open hardware API, for the conformance suite."""

from contextlib import ExitStack, contextmanager
from functools import partial

from vendors.open_hardware import readings, token_file
from vendors.process import VendorServer
from vendors.subjects import Subject

SLACK = {"FakeAthens": 0.12, "trio": 0.06}
LABELS = tuple(SLACK)


@contextmanager
def subjects(folder):
    """A digital twin and the homemade device of the examples, each served by the product."""
    with ExitStack() as stack:
        yield [
            subject(stack.enter_context(VendorServer("open_hardware", folder / f"{stem}.db")), stem)
            for stem in SLACK
        ]


def subject(server, stem):
    token = token_file(server.state).with_suffix(".token").read_text()
    return Subject(
        name=f"qpu:{server.url}",
        slack=SLACK[stem],
        environment={"QCPAAS_QPU_TOKEN": token},
        wrong_credentials={"QCPAAS_QPU_TOKEN": "not-the-token"},
        server=server,
        served=partial(readings, stem),
    )
