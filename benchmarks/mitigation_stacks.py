"""The stacks that are compared, as far as their options are installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from pipeline.stack import find_options

READOUT = "ReadoutMitigation"
ZNE = "ZeroNoiseExtrapolation"

STACKS: dict[str, tuple[str, ...]] = {
    "readout": (READOUT,),
    "readout_measured": ("ReadoutMitigation(source=measured)",),
    "trex": ("TwirledReadout",),
    "zne": (ZNE,),
    "zne_readout": (ZNE, READOUT),
    "zne_fixed_readout": ("ZeroNoiseExtrapolation(scale_factors=[1,3,5])", READOUT),
    "zne_linear_readout": ("ZeroNoiseExtrapolation(fit=linear)", READOUT),
    "zne_twirled_readout": (ZNE, "PauliTwirling", READOUT),
    "zne_trex": (ZNE, "TwirledReadout"),
    "twirled_readout": ("PauliTwirling", READOUT),
    "decoupling_readout": ("DynamicalDecoupling", READOUT),
    "lre_readout": ("LayerwiseRichardson", READOUT),
    "pec_readout": ("ProbabilisticErrorCancellation", READOUT),
    "pea_readout": ("ProbabilisticAmplification", READOUT),
    "cdr_readout": ("CliffordDataRegression", READOUT),
    "learned_readout": ("LearnedMitigation", READOUT),
    "torch_readout": ("TorchMitigation", READOUT),
    "symmetry_readout": ('SymmetryVerification(symmetries=["{X}"])', READOUT),
    "shadows": ("ClassicalShadows",),
    "tomography": ("StateTomography",),
    "tensor_readout": ("TensorNetworkMitigation", READOUT),
    "distillation": ("VirtualDistillation",),
    "cutting_readout": ("CircuitCutting(max_qubits=3)", READOUT),
    "auto": ("auto",),
    "mitiq_zne_readout": ("MitiqZNE", READOUT),
    "mitiq_lre_readout": ("MitiqLRE(degree=1)", READOUT),
    "mitiq_pec_readout": ("MitiqPEC", READOUT),
    "mitiq_pea_readout": ("MitiqPEA", READOUT),
    "mitiq_pec_twirled_readout": ("MitiqPEC", "PauliTwirling(twirls=4)", READOUT),
    "mitiq_ddd_readout": ("MitiqDDD", READOUT),
}
# Families whose final states have the symmetry that a stack is told: a Pauli X on every qubit.
SYMMETRIC = {"symmetry_readout": ("ghz", "qaoa")}

# They correct errors of gates and of the readout; the others leave one of them in place, which no
# error bar from shots can know of.
COMPLETE = frozenset(
    label
    for label, options in STACKS.items()
    if label == "auto"
    or (
        len(options) > 1
        and not label.startswith(("twirled", "decoupling", "symmetry", "cutting", "mitiq_ddd"))
    )
)
FEW = ("readout", "trex", "zne", "zne_readout", "lre_readout", "pec_readout", "cdr_readout")

# Chosen by cost alone. Stacks of more than 32 circuits an instance, and whatever trains a model,
# take minutes at 8 qubits; Mitiq's converts every circuit besides; distillation runs two copies,
# 16 noisy qubits. At 12 the density matrix has 16 million entries: seconds a circuit.
TWELVE = ("readout", "zne_readout")
EIGHT = (
    *("readout", "readout_measured", "trex", "zne", "zne_readout", "zne_fixed_readout"),
    *("zne_linear_readout", "twirled_readout", "decoupling_readout", "lre_readout"),
    *("cdr_readout", "auto"),
)
RULE = (
    "by cost alone: at 4 qubits every installed stack; at 8 native ones of at most 32 circuits an "
    f"instance that need no second copy: {', '.join(EIGHT)}; at 12, on shallow circuits, "
    f"{' and '.join(TWELVE)}"
)


def sensible(qubits: int) -> tuple[str, ...] | None:
    """The stacks that are compared on circuits so wide; ``None`` for all."""
    if qubits <= 4:
        return None
    return EIGHT if qubits <= 8 else TWELVE


def on_family(
    stacks: dict[str, tuple[str, ...]], family: str, qubits: int
) -> dict[str, tuple[str, ...]]:
    """The stacks that mean something there, their settings written for so many qubits."""
    return {
        label: tuple(option.replace("{X}", "X" * qubits) for option in options)
        for label, options in stacks.items()
        if family in SYMMETRIC.get(label, (family,))
    }


def installed(names: tuple[str, ...] | None = None) -> dict[str, tuple[str, ...]]:
    """Those whose options this environment has, and what they require; all unless named."""
    known = find_options()

    def is_here(option: str) -> bool:
        found = known.get(option.partition("(")[0])
        return found is not None and all(map(_has, found.requires))

    return {
        label: options
        for label, options in STACKS.items()
        if (names is None or label in names) and all(map(is_here, options))
    }


def _has(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
