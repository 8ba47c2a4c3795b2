"""QIR in text and bitcode, of the base profile and beyond."""

import base64
import contextlib
import random

import pyqir
import pytest
import qirrunner
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from adapters.contract import Submission
from adapters.frontends.qir_program import program_of
from adapters.simulators import SimulatorProvider
from qcpaas.circuits import circuit_key, from_payload, to_payload
from qcpaas.errors import CircuitError
from qcpaas.execution import Experiment
from qcpaas.frontends import qir
from qcpaas.schemas import CircuitPayload

BASE = """%Qubit = type opaque
%Result = type opaque
@0 = internal constant [3 x i8] c"r0\\00"
define void @main() #0 {
entry:
  call void @__quantum__rt__initialize(i8* null)
  br label %body
body:
  call void @__quantum__qis__h__body(%Qubit* null)
  call void @__quantum__qis__rx__body(double 0.4, %Qubit* null)
  call void @__quantum__qis__s__adj(%Qubit* null)
  call void @__quantum__qis__cnot__body(%Qubit* null, %Qubit* inttoptr (i64 1 to %Qubit*))
  call void @__quantum__qis__mz__body(%Qubit* null, %Result* inttoptr (i64 1 to %Result*))
  call void @__quantum__qis__mz__body(%Qubit* inttoptr (i64 1 to %Qubit*), %Result* null)
  call void @__quantum__rt__array_record_output(i64 2, i8* null)
  call void @__quantum__rt__result_record_output(%Result* null, i8* getelementptr inbounds
    ([3 x i8], [3 x i8]* @0, i32 0, i32 0))
  call void @__quantum__rt__result_record_output(%Result* inttoptr (i64 1 to %Result*), i8* null)
  ret void
}
declare void @__quantum__rt__initialize(i8*)
declare void @__quantum__qis__h__body(%Qubit*)
declare void @__quantum__qis__x__body(%Qubit*)
declare void @__quantum__qis__s__adj(%Qubit*)
declare void @__quantum__qis__rx__body(double, %Qubit*)
declare void @__quantum__qis__cnot__body(%Qubit*, %Qubit*)
declare void @__quantum__qis__mz__body(%Qubit*, %Result*)
declare i1 @__quantum__qis__read_result__body(%Result*)
declare void @__quantum__rt__array_record_output(i64, i8*)
declare void @__quantum__rt__result_record_output(%Result*, i8*)
attributes #0 = { "entry_point" "qir_profiles"="base_profile" "required_num_qubits"="2"
  "required_num_results"="2" }
"""
# Puts qubit 1 back to 0 where qubit 0 was 1, and measures it again.
ADAPTIVE = BASE.replace(
    "  call void @__quantum__rt__array_record",
    "  %r = call i1 @__quantum__qis__read_result__body(%Result* inttoptr (i64 1 to %Result*))\n"
    "  br i1 %r, label %then, label %join\n"
    "then:\n"
    "  call void @__quantum__qis__x__body(%Qubit* inttoptr (i64 1 to %Qubit*))\n"
    "  br label %join\n"
    "join:\n"
    "  call void @__quantum__qis__mz__body(%Qubit* inttoptr (i64 1 to %Qubit*), %Result* null)\n"
    "  call void @__quantum__rt__array_record",
)


def read(text):
    return from_payload(CircuitPayload(format="qir", text=text))


def bitcode(text):
    return pyqir.Module.from_ir(pyqir.Context(), text).bitcode


@pytest.mark.parametrize("form", ["text", "bitcode"])
def test_base_profile_is_a_gate_list(form):
    payload = qir.write_text(BASE) if form == "text" else qir.write_bitcode(bitcode(BASE))
    found = from_payload(payload)
    assert [(r.name, len(r)) for r in found.cregs] == [("results", 2)]
    measured = [found.find_bit(s.clbits[0]).index for s in found.data if s.name == "measure"]
    assert measured == [1, 0]
    expected = QuantumCircuit(2)
    expected.h(0)
    expected.rx(0.4, 0)
    expected.sdg(0)
    expected.cx(0, 1)
    found.remove_final_measurements()
    assert Operator(found).equiv(Operator(expected))


def test_program_that_branches_runs_on_a_simulator_as_the_runner_runs_it():
    circuit = read(ADAPTIVE)
    assert program_of(circuit) is not None
    travelled = from_payload(to_payload(circuit))
    assert circuit_key(travelled) == circuit_key(circuit)
    device = SimulatorProvider().open("statevector")
    experiment = Experiment(travelled, np_rows(), shots=400)
    handle = device.submit(Submission((experiment,), seed=3), "token")
    (counts,) = device.result(handle).counts
    found = counts.points[0].to_dict()
    assert counts.registers == (("outputs", 2),)
    # The first output, rightmost, was put back to 0; the second is even: 200 of 400, 5 sigma.
    assert set(found) == {"00", "10"}
    assert abs(found["00"] - 200) < 50
    output = qirrunner.OutputHandler()
    qirrunner.run_bytes(bitcode(ADAPTIVE), shots=20, rng_seed=1, output_fn=output.handle)
    assert "OUTPUT\tRESULT\t1\tr0" not in output.get_output()


def np_rows():
    import numpy as np

    return np.empty((1, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("define", "expected type"),
        (BASE[:700], "broken QIR"),
        ("not base64 at all!", "broken QIR"),
        (base64.b64encode(b"BC\xc0\xde1234").decode(), "broken QIR"),
        (BASE.replace('"entry_point"', ""), "0 entry points"),
        (BASE.replace('"required_num_qubits"="2"', ""), "required_num_qubits"),
        (BASE.replace('qubits"="2"', 'qubits"="1"'), "names number 1; the entry point requires 1"),
        (BASE.replace('qubits"="2"', 'qubits"="99999999"'), "99,999,999 qubits"),
        (BASE.replace("__h__body", "__warp__body"), "no instruction __quantum__qis__warp__body"),
        (BASE.replace("double 0.4", "double 0x7FF0000000000000"), "finite"),
        (BASE.replace("define void @main()", "define void @main(double %a)"), "takes 1 arguments"),
        (ADAPTIVE.replace("call void @__quantum__rt__result_record_output", "call void @nothing")
         + "declare void @nothing(%Result*, i8*)\n", "records no output"),
    ],
)  # fmt: skip
def test_broken_or_unknown_qir_is_refused(text, message):
    with pytest.raises(CircuitError, match=message):
        read(text)


def test_garbled_programs_are_read_or_refused():
    drawn = random.Random(3)
    binary = bitcode(BASE)
    for number in range(120):
        place = drawn.randrange(len(BASE))
        text = BASE[:place] + drawn.choice("(){}%@,;0 x") + BASE[place + 1 :]
        if number % 2:
            cut = drawn.randrange(8, len(binary))
            text = base64.b64encode(binary[:cut]).decode()
        with contextlib.suppress(CircuitError):
            read(text)
