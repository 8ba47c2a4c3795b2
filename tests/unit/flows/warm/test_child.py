"""What a fork takes over, and what it makes of an assignment."""

import random
import uuid

import numpy as np
import pytest

from flows.warm.assignment import Assignment, Task
from flows.warm.child import reseed, settings_in, take_environment


def test_an_assignment_arrives_as_it_was_sent():
    sent = Assignment(
        Task.HOOKS,
        {"A": "1"},
        "/",
        {"id": str(uuid.uuid4()), "parameters": {"job": {"shots": 10, "x": [0.1, None]}}},
        "flows.workload.workload",
        state={"type": "CRASHED"},
        memory_mib=100,
        time_limit_s=2.5,
    )
    assert Assignment.decoded(sent.encoded()) == sent
    assert sent.run_id == sent.flow_run["id"]


def test_a_fork_has_the_environment_of_its_run_and_nothing_else(fork):
    def taken():
        import os

        take_environment({"ONLY": "this"})
        assert dict(os.environ) == {"ONLY": "this"}

    process = fork(taken)
    process.join(30)
    assert process.exitcode == 0


def test_settings_are_what_prefect_reads_and_not_what_names_the_run():
    env = {"PREFECT_API_URL": "u", "PREFECT__FLOW_RUN_ID": "r", "HOME": "h"}
    assert settings_in(env) == {"PREFECT_API_URL": "u"}


@pytest.mark.parametrize("draw", [random.random, np.random.random_sample])
def test_every_fork_draws_numbers_of_its_own(draw):
    states = random.getstate(), np.random.get_state()
    try:
        drawn = set()
        for _ in range(3):
            random.seed(1)
            np.random.seed(1)
            reseed()
            drawn.add(draw())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
    assert len(drawn) == 3
