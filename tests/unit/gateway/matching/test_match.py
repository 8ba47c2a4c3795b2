from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.matching.match import find_pool, lacks
from gateway.matching.merged import merged_environment
from qcpaas.devices import DeviceInfo
from qcpaas.errors import NoWorker
from qcpaas.scheduling import Scheduling, WorkerInfo
from qcpaas.schemas import (
    Bundle,
    Environment,
    ExecutionSettings,
    OptionInfo,
    OptionSpec,
    WorkloadJob,
)

TWIN = DeviceInfo(name="FakeLima", adapter="twins", num_qubits=5, simulator=False)
REGISTERED = DeviceInfo(
    name="garnet", adapter="iqm", num_qubits=20, simulator=False, address="https://iqm.example"
)
ZNE = OptionInfo(name="ZeroNoiseExtrapolation", rank=10, summary="")


def environment(**changed):
    fields = {
        "python": "3.11.7",
        "distributions": {"numpy": "2.2.6", "qiskit": "2.1.2"},
        "options": (ZNE,),
        "devices": (TWIN, REGISTERED),
        "adapters": ("ibm",),
        "memory_mib": 4096,
    }
    return Environment(**(fields | changed))


def worker(name, environment, pool="qcpaas"):
    now = datetime.now(UTC)
    info = WorkerInfo(
        name=name,
        pool=pool,
        image=environment.image,
        python=environment.python,
        registered_at=now,
        renewed_at=now,
    )
    return info, environment


def workload(*needs, backend="FakeLima", options=(), scheduling=None):
    bundle = Bundle(
        entry="lab:Loop", modules={"lab": "class Loop: pass"}, needs=needs, python="3.11.2"
    )
    execution = ExecutionSettings(backend=backend, options=options)
    return WorkloadJob(bundle=bundle, execution=execution, scheduling=scheduling or Scheduling())


BASE = worker("base", environment())
TORCH = worker(
    "torch",
    environment(
        distributions={"numpy": "2.2.6", "qiskit": "2.1.2", "torch": "2.5.1"},
        image="registry.example/torch:3",
        gpus=("H200",),
        memory_mib=65_536,
    ),
    pool="gpu",
)


def test_a_plain_job_leaves_the_rare_image_to_others():
    assert find_pool(workload(), [TORCH, BASE]) == "qcpaas"


def test_a_package_that_one_image_has_decides():
    assert find_pool(workload("torch>=2.4"), [BASE, TORCH]) == "gpu"


def test_memory_and_graphics_cards_decide():
    assert find_pool(workload(scheduling=Scheduling(gpus=1)), [BASE, TORCH]) == "gpu"
    assert find_pool(workload(scheduling=Scheduling(memory_mib=8000)), [BASE, TORCH]) == "gpu"


def test_no_match_names_what_is_missing_and_the_nearest_image():
    with pytest.raises(NoWorker) as refused:
        find_pool(workload("torch>=3"), [BASE, TORCH])
    assert "torch>=3" in str(refused.value)
    asks = workload("torch>=2.4", "jax>=0.4")
    with pytest.raises(NoWorker, match=r"Nearest is image registry\.example/torch:3 .*jax"):
        find_pool(asks, [BASE, TORCH])


def test_without_a_worker_it_is_said_how_to_start_one():
    with pytest.raises(NoWorker, match="make up"):
        find_pool(workload(), [])


def test_an_option_that_a_worker_lacks_rules_it_out():
    job = workload(options=(OptionSpec(name="ZeroNoiseExtrapolation"),))
    bare = worker("bare", environment(options=(), distributions={"numpy": "2.2.6"}))
    assert find_pool(job, [bare, TORCH]) == "gpu"


def test_a_registered_device_needs_a_worker_with_its_adapter():
    iqm = worker("iqm", environment(adapters=("ibm", "iqm")), pool="iqm")
    assert find_pool(workload(backend="garnet"), [BASE, iqm]) == "iqm"
    assert find_pool(workload(backend="iqm:https://x.example"), [BASE, iqm]) == "iqm"
    assert "adapter 'iqm'" in lacks(workload(backend="garnet"), BASE[1])[0]


def test_a_requirement_whose_marker_does_not_hold_asks_for_nothing():
    assert lacks(workload("tomli>=2; python_version < '3.11'"), BASE[1]) == []


def test_the_union_has_every_option_and_the_newest_versions():
    older = environment(distributions={"numpy": "2.1.0", "scipy": "1.17.1"}, options=())
    merged = merged_environment([older, environment()])
    assert merged.distributions["numpy"] == "2.2.6"
    assert merged.distributions["scipy"] == "1.17.1"
    assert [one.name for one in merged.options] == ["ZeroNoiseExtrapolation"]
    with pytest.raises(NoWorker):
        merged_environment([])
