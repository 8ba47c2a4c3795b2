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
    "zne_auto_readout": ("ZeroNoiseExtrapolation(scale_factors=auto)", READOUT),
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
    "symmetry_readout": ("SymmetryVerification", READOUT),
    "shadows": ("ClassicalShadows",),
    "tomography": ("StateTomography",),
    "tensor": ("TensorNetworkMitigation",),
    "distillation": ("VirtualDistillation",),
    "cutting": ("CircuitCutting",),
    "auto": ("auto",),
    "mitiq_zne_readout": ("MitiqZNE", READOUT),
    "mitiq_lre_readout": ("MitiqLRE(degree=1)", READOUT),
    "mitiq_pec_readout": ("MitiqPEC", READOUT),
    "mitiq_pea_readout": ("MitiqPEA", READOUT),
    "mitiq_ddd_readout": ("MitiqDDD", READOUT),
}
# They correct errors of gates and of the readout; the others leave one of them in place, which no
# error bar from shots can know of.
COMPLETE = frozenset(
    label
    for label, options in STACKS.items()
    if label == "auto"
    or (
        len(options) > 1
        and not label.startswith(("twirled", "decoupling", "symmetry", "mitiq_ddd"))
    )
)
FEW = ("readout", "trex", "zne", "zne_readout", "lre_readout", "pec_readout", "cdr_readout")


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
