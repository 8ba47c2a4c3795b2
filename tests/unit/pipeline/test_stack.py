import itertools
import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp, Statevector

from adapters.backend import DeviceBackend
from adapters.registry import open_device
from pipeline.extrapolation.zne import ZeroNoiseExtrapolation, ZneContext
from pipeline.measuring.measurement import MeasurementContext
from pipeline.readout.mitigation import ReadoutContext, ReadoutMitigation
from pipeline.stack import (
    build_stack,
    combine_together,
    describe_options,
    find_options,
    options_of,
    parameter_columns,
    plan_together,
)
from qcpaas.errors import OptionError
from qcpaas.execution import (
    Binding,
    EnrichedExecutionBackend,
    ExpectationValues,
    Experiment,
    OptionSettings,
    PlanContext,
)
from qcpaas.schemas import OptionSpec

Z = SparsePauliOp("Z")


class NoContext(PlanContext):
    pass


class DoubledValues(EnrichedExecutionBackend):
    """A user's own option: multiplies expectation values."""

    rank = 20
    levels = frozenset({"expectation"})

    class Settings(OptionSettings):
        factor: float = 2.0

    def expand(self, experiments):
        return experiments, NoContext()

    def reduce(self, context, outcomes):
        return tuple(
            ExpectationValues(self.settings.factor * o.values, o.variances) for o in outcomes
        )


class ThreeCopies(EnrichedExecutionBackend):
    """Runs every circuit three times and averages."""

    rank = 30
    levels = frozenset({"expectation"})

    def expand(self, experiments):
        return [e for e in experiments for _ in range(3)], NoContext()

    def reduce(self, context, outcomes):
        groups = [outcomes[i : i + 3] for i in range(0, len(outcomes), 3)]
        return tuple(
            ExpectationValues(
                np.mean([o.values for o in group], axis=0),
                np.mean([o.variances for o in group], axis=0) / 3,
            )
            for group in groups
        )


class NeedsTheMoon(EnrichedExecutionBackend):
    """Needs a distribution that nobody has."""

    requires = ("moon-cheese-9000",)

    def expand(self, experiments):
        return experiments, NoContext()

    def reduce(self, context, outcomes):
        return tuple(outcomes)


@pytest.fixture(scope="module")
def device():
    return DeviceBackend(open_device("statevector"), lambda: 7)


def specs(*texts):
    return [OptionSpec.parse(text) for text in texts]


def rotated(angle):
    circuit = QuantumCircuit(1)
    circuit.ry(angle, 0)
    binding = Binding((0,), "s", np.zeros((1, 2)), ())
    return Experiment(circuit, np.zeros((1, 0)), (Z,), None, binding)


def test_installed_options_and_imported_descendants_are_found():
    found = find_options()
    assert {"ZeroNoiseExtrapolation", "ReadoutMitigation", "DoubledValues"} <= set(found)
    assert "MeasurementBasis" not in found  # placed by the platform


def test_options_are_described_outermost_first():
    described = describe_options()
    ranks = [option.rank for option in described]
    assert ranks == sorted(ranks)
    zne = next(option for option in described if option.name == "ZeroNoiseExtrapolation")
    assert {"scale_factors", "fit", "gates"} < set(zne.settings)
    assert zne.summary.startswith("Extrapolates")


def test_an_unknown_option_is_refused_with_the_nearest_names(device):
    with pytest.raises(OptionError, match="Did you mean ReadoutMitigation"):
        build_stack(specs("ReadoutMitigatoin"), device, "expectation")


def test_a_broken_plug_in_stops_only_jobs_that_name_it(device, tmp_path, monkeypatch):
    metadata = tmp_path / "broken_plugin-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[qcpaas.options]\nBroken = no_such_module:Broken\n")
    monkeypatch.syspath_prepend(tmp_path)
    build_stack(specs("ReadoutMitigation"), device, "expectation")
    with pytest.raises(OptionError, match="Broken is installed, but cannot be imported"):
        build_stack(specs("Broken"), device, "expectation")


def test_an_installed_option_is_found_through_its_entry_point(device, tmp_path, monkeypatch):
    metadata = tmp_path / "tripling-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tripling\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[qcpaas.options]\nTripled = tripling:Tripled\n")
    source = [
        "from pipeline.readout.mitigation import ReadoutMitigation",
        "class Tripled(ReadoutMitigation):",
        "    rank = 75",
    ]
    (tmp_path / "tripling.py").write_text("\n".join(source))
    monkeypatch.syspath_prepend(tmp_path)
    stack = build_stack(specs("Tripled"), device, "expectation")
    assert [option.option_name() for option in options_of(stack)][-1] == "Tripled"


def test_a_wrong_order_is_refused_with_the_right_one(device):
    with pytest.raises(OptionError, match="it must be ZeroNoiseExtrapolation, ReadoutMitigation"):
        build_stack(specs("ReadoutMitigation", "ZeroNoiseExtrapolation"), device, "expectation")


def test_an_option_named_twice_is_refused(device):
    with pytest.raises(OptionError, match="ReadoutMitigation is named twice"):
        build_stack(specs("ReadoutMitigation", "ReadoutMitigation"), device, "expectation")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ZeroNoiseExtrapolation(scales=[1,3])", "scales.*Its settings: scale_factors"),
        ("ZeroNoiseExtrapolation(fit=cubic)", "fit"),
        ("ZeroNoiseExtrapolation(scale_factors=[3, 5])", "must contain 1"),
        ("ZeroNoiseExtrapolation(scale_factors=[1, 3], fit=quadratic)", "needs 3"),
        ("DeviceEstimator(strength=2)", "Its settings: none"),
    ],
)
def test_wrong_settings_are_refused_and_the_right_ones_named(device, text, complaint):
    with pytest.raises(OptionError, match=complaint):
        build_stack(specs(text), device, "expectation")


def test_a_missing_distribution_is_refused_by_name(device):
    with pytest.raises(OptionError, match="NeedsTheMoon needs moon-cheese-9000"):
        build_stack(specs("NeedsTheMoon"), device, "counts")


def test_an_option_that_gives_no_counts_is_refused_for_counts(device):
    with pytest.raises(OptionError, match="gives expectation, and this job asks for counts"):
        build_stack(specs("ZeroNoiseExtrapolation"), device, "counts")


def test_a_users_own_option_runs_with_its_settings(device):
    stack = build_stack(specs("DoubledValues(factor=3)"), device, "expectation")
    (outcome,) = stack.run([rotated(0.4)])
    assert outcome.values[0, 0] == pytest.approx(3 * np.cos(0.4))


ALL = ("ZeroNoiseExtrapolation(gates=all)", "DoubledValues", "ThreeCopies", "ReadoutMitigation")
MIXES = [mix for n in range(len(ALL) + 1) for mix in itertools.combinations(ALL, n)]


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: "+".join(t.partition("(")[0] for t in mix))
def test_any_mix_of_options_combines_what_it_planned(device, mix):
    stack = build_stack(specs(*mix), device, "expectation")
    ranks = [option.rank for option in options_of(stack)]
    assert ranks == sorted(ranks)
    angles = [0.3, 1.1, 2.0]
    experiments = [rotated(angle) for angle in angles]
    plan = stack.plan(experiments)
    copies = (3 if "ThreeCopies" in mix else 1) * (3 if ALL[0] in mix else 1)
    assert len(plan.experiments) == copies * len(angles)
    outcomes = stack.combine(plan, stack.execute(plan.experiments))
    factor = 2 if "DoubledValues" in mix else 1
    values = [outcome.values[0, 0] for outcome in outcomes]
    assert values == pytest.approx(factor * np.cos(angles), abs=1e-9)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_circuits_with_different_options_share_one_submission(device, order):
    stacks = [
        build_stack(specs(), device, "expectation"),
        build_stack(specs("ThreeCopies"), device, "expectation"),
        build_stack(specs("DoubledValues", "ReadoutMitigation"), device, "expectation"),
    ]
    angles, factors = [0.3, 1.1, 2.0, 0.7], [1, 1, 2]
    chosen = [*order, order[0]]
    own = [stacks[i] for i in chosen]
    plan = plan_together(own, [rotated(angle) for angle in angles])
    outcomes = combine_together(
        own, pickle.loads(pickle.dumps(plan)), device.execute(plan.experiments)
    )
    expected = [factors[i] * np.cos(angle) for i, angle in zip(chosen, angles, strict=True)]
    assert [o.values[0, 0] for o in outcomes] == pytest.approx(expected, abs=1e-9)


def test_a_joint_plan_moves_to_other_points_with_parameters_in_the_right_columns(device):
    theta = ParameterVector("theta", 12)
    circuit = QuantumCircuit(1)
    for index in (10, 2, 11, 0, 1, 3, 4, 5, 6, 7, 8, 9):
        circuit.ry(theta[index], 0)
        circuit.rz(theta[index] / 3, 0)
    rows = np.random.default_rng(1).uniform(-2, 2, (4, 12))
    first = Experiment(circuit, rows[:1], (Z,), None)
    stack = build_stack([], device, "expectation")
    plan = plan_together([stack], [first]).at([Experiment(circuit, rows, (Z,), None)])
    (outcome,) = combine_together([stack], plan, device.execute(plan.experiments))
    truth = [Statevector(circuit.assign_parameters(row)).expectation_value(Z).real for row in rows]
    assert outcome.values[:, 0] == pytest.approx(truth, abs=1e-9)


def test_columns_follow_names_where_the_order_of_parameters_differs():
    theta = ParameterVector("theta", 12)
    source, dropped = QuantumCircuit(1), QuantumCircuit(1)
    for element in theta:
        source.ry(element, 0)
    for index in (10, 2):
        dropped.ry(theta[index], 0)
    assert parameter_columns(dropped, source) == (2, 10)


def test_contexts_survive_json(device):
    experiments = [rotated(0.4), rotated(1.0)]
    options = [
        (ZeroNoiseExtrapolation(device), ZneContext),
        (ReadoutMitigation(device), ReadoutContext),
    ]
    for option, kind in options:
        _, context = option.expand(experiments)
        assert kind.model_validate_json(context.model_dump_json()) == context
    plan = build_stack([], device, "expectation").plan(experiments)
    (context,) = plan.contexts
    assert MeasurementContext.model_validate_json(context.model_dump_json()) == context
