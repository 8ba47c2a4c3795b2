"""What the Braket loopback server takes as programs, and how it runs them: with the SDK's own
parser and state-vector simulator, knowing nothing of who wrote them."""

import json
import math
import re

PROGRAM = "braket.ir.openqasm.program"
SET = "braket.ir.openqasm.program_set"
_STATEMENT = re.compile(r"(\w+)\s*(?:\(([^)]*)\))?\s+([^;]+);")


def problem_of(asked, machine):
    """Why a task is refused; empty where it is not."""
    action = json.loads(asked["action"])
    kind = action["braketSchemaHeader"]["name"]
    if kind not in {PROGRAM, SET} or (kind == SET and not machine.executables):
        return f"{machine.name} takes no {kind}"
    programs = action["programs"] if kind == SET else [action]
    executables = sum(map(executables_of, programs)) if kind == SET else 1
    if executables > max(1, machine.executables):
        return f"{executables} executables are more than {machine.executables}"
    each, rest = divmod(asked["shots"], executables)
    if rest or not 1 <= each <= machine.max_shots:
        return f"{asked['shots']} shots of {executables} executables"
    if kind == SET and asked["shots"] > machine.total_shots:
        return f"{asked['shots']} shots in all are more than {machine.total_shots}"
    if machine.qpu and machine.kind != "ionq":
        found = (_problem_of_box(program["source"], machine) for program in programs)
        return next(filter(None, found), "")
    return ""


def executables_of(program):
    inputs = program.get("inputs") or {}
    return len(next(iter(inputs.values()))) if inputs else 1


def _problem_of_box(source, machine):
    """Native gates on coupled physical qubits, in a verbatim box."""
    box = re.search(r"#pragma braket verbatim\s+box\s*\{([^}]*)\}", source)
    if "qubit[" in source or (box is None and " $" in source.split("measure")[0]):
        return "native gates stand in a verbatim box, on physical qubits"
    for name, angles, operands in _STATEMENT.findall(box[1] if box else ""):
        if name == "barrier":
            continue
        if name not in machine.gates:
            return f"{name} is no native gate"
        qubits = [int(each.strip().lstrip("$")) for each in operands.split(",")]
        if not set(qubits) <= set(machine.qubits):
            return f"there is no qubit {qubits}"
        if len(qubits) == 2 and not machine.couples(*qubits):
            return f"qubits {qubits} are not coupled"
        quarters = float(angles) / (math.pi / 2) if name == "rx" else 0
        if abs(quarters - round(quarters)) > 1e-9:
            return f"rx({angles}) is no quarter turn"
    return ""


def simulated(request, folder, machine):
    """The files that a task leaves in S3, by their path in its folder."""
    from braket.default_simulator import StateVectorSimulator
    from braket.ir.openqasm import Program, ProgramSet
    from braket.task_result import GateModelTaskResult, ProgramSetTaskResult

    action = json.loads(request["action"])
    simulator = StateVectorSimulator()
    if action["braketSchemaHeader"]["name"] == PROGRAM:
        found = simulator.run(Program.parse_obj(action), shots=request["shots"])
        result = json.loads(GateModelTaskResult.parse_raw(found.json()).json())
        result["taskMetadata"] |= {"deviceId": machine.arn, "status": "COMPLETED"}
        result["additionalMetadata"] |= _metadata(machine)
        return {"results.json": result}
    found = simulator.run(ProgramSet.parse_obj(action), shots=request["shots"])
    result = json.loads(ProgramSetTaskResult.parse_raw(found.json()).json())
    result["taskMetadata"] |= {"deviceId": machine.arn}
    if len(action["programs"]) == 1:
        return {"results.json": result}
    return _files(result | {"s3Location": [request["outputS3Bucket"], folder]})


def _files(result):
    """A set of several programs in files of their own, as large ones are stored."""
    files = {"metadata.json": result["taskMetadata"]}
    for number, program in enumerate(result["programResults"]):
        folder = f"programs/{number}"
        files[f"{folder}/program.json"] = program["source"]
        for each in program["executableResults"]:
            files[f"{folder}/executables/{each['inputsIndex']}.json"] = each
        names = [f"executables/{each['inputsIndex']}.json" for each in program["executableResults"]]
        files[f"{folder}/results.json"] = program | {
            "source": "program.json",
            "executableResults": names,
        }
    paths = [f"programs/{number}/results.json" for number in range(len(result["programResults"]))]
    files["results.json"] = result | {"programResults": paths, "taskMetadata": "metadata.json"}
    return files


def _metadata(machine):
    if machine.kind != "simulators":
        return {}
    header = {"name": "braket.task_result.simulator_metadata", "version": "1"}
    return {"simulatorMetadata": {"braketSchemaHeader": header, "executionDuration": 40}}
