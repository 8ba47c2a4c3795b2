"""Which runs a warm worker can fork, with what, and what it asks the server twice."""

import asyncio
import os
import uuid
from types import SimpleNamespace

import pytest
from prefect.client.schemas.objects import WorkPool

from flows.warm.nursery import PROJECT
from flows.warm.release import RELEASE, check_release
from flows.warm.remembered import FOR_S, RememberingClient
from flows.warm.worker import (
    WarmJobConfiguration,
    WarmWorker,
    needs_interpreter,
    run_environment,
    warm_entrypoint,
)
from qcpaas.errors import PlatformError

SET_FOLDER = "prefect.deployments.steps.set_working_directory"
HERE = [{SET_FOLDER: {"directory": "{{ $QCPAAS_PROJECT_DIR }}"}}]


def asked(entrypoint="flows.workload.workload", steps=HERE, command="python -m flows.engine"):
    configuration = WarmJobConfiguration(command=command, env={"QCPAAS_PROJECT_DIR": str(PROJECT)})
    deployment = SimpleNamespace(entrypoint=entrypoint, pull_steps=steps)
    configuration._related_objects = {"deployment": deployment}
    return configuration


@pytest.mark.parametrize("steps", [HERE, None, []])
def test_flows_of_this_project_are_forked(steps):
    assert warm_entrypoint(asked(steps=steps)) == "flows.workload.workload"


@pytest.mark.parametrize(
    "other",
    [
        {"entrypoint": "flows/workload.py:workload"},
        {"entrypoint": None},
        {"steps": [{SET_FOLDER: {"directory": "/elsewhere"}}]},
        {"steps": [{SET_FOLDER: {"directory": "{{ $UNSET }}"}}]},
        {"steps": [{"prefect.deployments.steps.git_clone": {"repository": "r"}}]},
        {"command": "prefect flow-run execute"},
    ],
)
def test_what_the_zygote_has_not_imported_gets_an_interpreter(other):
    assert warm_entrypoint(asked(**other)) is None


def test_variables_that_an_interpreter_reads_at_its_start_need_one():
    assert not needs_interpreter({**os.environ, "MINE": "1", "PREFECT__FLOW_RUN_ID": "x"})
    assert needs_interpreter({**os.environ, "PYTHONHASHSEED": "12345"})
    assert needs_interpreter({**os.environ, "LD_PRELOAD": "lib.so"})


def test_hooks_are_the_workers_and_a_run_is_patient():
    env = run_environment({"A": "1", "B": None, "PREFECT_CLIENT_MAX_RETRIES": "2"})
    assert env["A"] == "1"
    assert "B" not in env
    assert env["PREFECT_CLIENT_MAX_RETRIES"] == "7"
    assert env["PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"] == "false"


@pytest.mark.parametrize(("kind", "warned"), [("process", 0), ("qcpaas-warm", 0), ("docker", 1)])
def test_it_serves_process_pools_too(kind, warned, monkeypatch):
    worker = WarmWorker(work_pool_name="qcpaas", name="w", limit=2)
    warnings = []
    monkeypatch.setattr(worker._logger, "warning", lambda text, *rest: warnings.append(text))
    template = {"job_configuration": {}, "variables": {}}
    worker._record_work_pool_snapshot(WorkPool(name="p", type=kind, base_job_template=template))
    assert worker.work_pool.type == kind
    assert len(warnings) == warned


def test_another_prefect_is_refused():
    check_release(RELEASE)
    with pytest.raises(PlatformError, match=r"made for Prefect 3\.8\.8.*--process"):
        check_release("3.9.0")


def test_a_deployment_is_asked_for_once_and_its_answer_is_the_callers():
    asked_for, now = [], [0.0]

    class Answer(SimpleNamespace):
        def model_copy(self, deep):
            assert deep
            return Answer(variables=dict(self.variables))

    async def read(deployment_id):
        asked_for.append(deployment_id)
        return Answer(variables={"env": 1})

    client = RememberingClient(SimpleNamespace(read_deployment=read, other=3), lambda: now[0])
    one = uuid.uuid4()

    async def scenario():
        first = await client.read_deployment(one)
        first.variables.clear()
        assert (await client.read_deployment(one)).variables == {"env": 1}
        now[0] += FOR_S + 1
        await client.read_deployment(one)

    asyncio.run(scenario())
    assert asked_for == [one, one]
    assert client.other == 3
