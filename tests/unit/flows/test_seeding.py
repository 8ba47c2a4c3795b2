import json
import random

import numpy as np
from qiskit_algorithms.utils import algorithm_globals

from flows.seeding import generator_states, restore_generators, seeded


def draw():
    return (
        random.random(),
        random.gauss(0, 1),
        np.random.normal(),
        float(algorithm_globals.random.normal()),
    )


def test_the_global_generators_repeat_themselves_under_one_seed():
    with seeded(5):
        first = [draw() for _ in range(3)]
    with seeded(5):
        assert [draw() for _ in range(3)] == first
    with seeded(6):
        assert draw() != first[0]


def test_the_caller_gets_its_own_generators_back():
    random.seed(1)
    np.random.seed(1)
    expected = [random.random(), np.random.random()]
    random.seed(1)
    np.random.seed(1)
    with seeded(5):
        draw()
    assert [random.random(), np.random.random()] == expected


def test_a_seed_that_the_code_chose_itself_stays():
    algorithm_globals.random_seed = 42
    try:
        with seeded(5):
            assert algorithm_globals.random_seed == 42
        assert algorithm_globals.random_seed == 42
    finally:
        algorithm_globals.random_seed = None


def test_generators_go_on_from_a_state_that_went_through_json():
    random.gauss(0, 1)
    np.random.normal()
    states = json.loads(json.dumps(generator_states()))
    expected = [random.random(), random.gauss(0, 1), *np.random.normal(size=3)]
    restore_generators(states)
    assert [random.random(), random.gauss(0, 1), *np.random.normal(size=3)] == expected


def test_a_ping_to_the_server_takes_no_number_from_the_users_code():
    from prefect.utilities.math import clamped_poisson_interval
    from websockets.asyncio import connection

    def drawn(ping):
        with seeded(5):
            first = random.random()
            if ping:
                connection.random.getrandbits(32)
                clamped_poisson_interval(10.0)
            return first, random.random()

    assert drawn(ping=True) == drawn(ping=False)
