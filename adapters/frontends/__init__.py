"""Circuits of other frameworks, read from their interchange texts into Qiskit's.

Each module reads one format: ``read(payload)``, found through the ``qcpaas.frontends`` entry-point
group once such a payload comes. A text is parsed, never evaluated.
"""
