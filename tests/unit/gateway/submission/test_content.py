import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.submission.content import (
    MAX_QUBITS,
    check_bundle,
    check_circuit_text,
    check_content,
    content_key,
)
from qcpaas.errors import CircuitError, InputError, PackingError
from qcpaas.packing import MAX_BUNDLE_BYTES
from qcpaas.scheduling import Scheduling
from qcpaas.schemas import Bundle, CircuitPayload, ExecutionSettings, Requirement, WorkloadJob

BUNDLE = Bundle(entry="work:Work", modules={"work": "class Work: pass", "lab.states": ""})


def job(**changes):
    given = {"execution": {"backend": "FakeLima"}, "bundle": BUNDLE, **changes}
    return WorkloadJob.model_validate(given)


def test_the_same_job_has_the_same_key_whatever_its_id_and_what_was_left_open():
    first, second = job(job_id="a"), job(job_id="b")
    assert first.execution.seed != second.execution.seed
    assert content_key(first) == content_key(second)
    seeded = job(execution={"backend": "FakeLima", "seed": 1})
    assert len({content_key(each) for each in (first, seeded, job(inputs={"n": 1}))}) == 3


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"x": math.nan}, "not finite"),
        ({"x": ["a\x00b"]}, "zero character"),
        ({"\x00": 1}, "zero character"),
        ({"x": "\ud800"}, "no Unicode"),
    ],
)
def test_what_no_database_keeps_is_refused(inputs, told):
    with pytest.raises(InputError, match=told):
        content_key(job(inputs=inputs))


def test_deep_nesting_is_refused_before_anything_recurses():
    nested = []
    for _ in range(200):
        nested = [nested]
    with pytest.raises(InputError, match="nested deeper"):
        content_key(job(inputs={"x": nested}))


@pytest.mark.parametrize(
    "name",
    ["../work", "/etc/passwd", "a..b", "", "a b", "work.py/../x", "a\\b", ".hidden", "a" * 201],
)
def test_names_that_lead_elsewhere_are_refused(name):
    modules = {**BUNDLE.modules, name: ""}
    with pytest.raises(PackingError, match="no module's name"):
        check_bundle(BUNDLE.model_copy(update={"modules": modules}))
    with pytest.raises(PackingError, match="no module's name"):
        check_bundle(BUNDLE.model_copy(update={"packages": (name,)}))


@given(st.text(min_size=1, max_size=12))
def test_every_name_that_passes_is_dotted_identifiers(name):
    bundle = BUNDLE.model_copy(update={"modules": {**BUNDLE.modules, name: ""}})
    try:
        check_bundle(bundle)
    except PackingError:
        return
    assert all(part.isidentifier() for part in name.split("."))


def test_a_bundle_has_its_entry_and_limits():
    check_content(job())
    with pytest.raises(PackingError, match="in none of its modules"):
        check_bundle(Bundle(entry="other:Work", modules=BUNDLE.modules))
    large = {"work": "#" * (MAX_BUNDLE_BYTES + 1)}
    with pytest.raises(PackingError, match=r"5\.0 MB; 5 MB can travel"):
        check_bundle(Bundle(entry="work:Work", modules=large))
    many = {f"m{index}": "" for index in range(1001)}
    with pytest.raises(PackingError, match="1001 modules"):
        check_bundle(Bundle(entry="m0:Work", modules=many))
    odd = (Requirement(name="numpy; rm -rf", version="1"),)
    with pytest.raises(PackingError, match="no name of a distribution"):
        check_bundle(BUNDLE.model_copy(update={"requirements": odd}))


def test_a_register_larger_than_any_device_is_refused_before_it_is_read():
    text = f"OPENQASM 2.0; qreg q[{MAX_QUBITS + 1}];"
    with pytest.raises(CircuitError, match="no device has more"):
        check_circuit_text(CircuitPayload(format="qasm2", text=text))
    check_circuit_text(CircuitPayload(format="qasm2", text=text.replace("10001", "10000")))


def test_a_deadline_without_a_zone_is_refused():
    wished = Scheduling.model_validate({"deadline": "2030-01-01T00:00"})
    with pytest.raises(InputError, match="no time zone"):
        check_content(
            WorkloadJob(execution=ExecutionSettings(backend="x"), bundle=BUNDLE, scheduling=wished)
        )
