from conformance.suite import *  # noqa: F403

LABELS = ("qvm", "qcs")
