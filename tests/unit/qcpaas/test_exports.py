"""What ``import qcpaas`` offers, and what it costs."""

import json
import subprocess
import sys

import qcpaas
from qcpaas import errors


def test_exported_names_are_these():
    assert sorted(set(qcpaas.__all__) - set(dir(errors))) == [
        "BindingPolicy",
        "Cost",
        "Counts",
        "DeviceRegistration",
        "Diagnostic",
        "Distribution",
        "EnrichedExecutionBackend",
        "Estimator",
        "ExecutionBackend",
        "ExpectationValues",
        "Experiment",
        "JobState",
        "Manifest",
        "OptionSettings",
        "OptionSpec",
        "PartialResult",
        "PlanContext",
        "PlanningServices",
        "Plot",
        "Priority",
        "Progress",
        "Recovery",
        "Reservation",
        "RuntimeJob",
        "RuntimeProvider",
        "RuntimeWorkerBase",
        "Sampler",
        "Scheduling",
        "Series",
        "Settings",
        "__version__",
        "next_part",
    ]


def test_every_error_of_the_tree_is_exported():
    tree = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.QCPaaSError)
    ]
    assert set(tree) <= set(qcpaas.__all__)


def test_every_exported_name_can_be_had():
    for name in qcpaas.__all__:
        assert getattr(qcpaas, name) is not None
    assert qcpaas.__version__.count(".") == 2


def loaded_after(statement):
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_importing_the_package_loads_one_module_of_ours_and_nothing_heavy():
    modules = loaded_after("import qcpaas")
    assert [name for name in modules if name.startswith("qcpaas")] == ["qcpaas"]
    heavy = {"prefect", "qiskit", "numpy", "rich", "httpx", "pydantic"}
    assert heavy.isdisjoint(modules)


def test_a_remote_client_and_the_command_need_neither_prefect_nor_qiskit():
    modules = loaded_after(
        "import qcpaas.cli\nqcpaas.RuntimeProvider('http://127.0.0.1:1')\nqcpaas.RuntimeWorkerBase"
    )
    assert {"prefect", "qiskit", "numpy", "sqlalchemy", "store"}.isdisjoint(modules)
