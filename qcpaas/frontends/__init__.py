"""Circuits of other frameworks: recognised, written as text, and answered in their own terms.

No framework is imported to take a circuit: an object is recognised by the module that its class is
from, and written by its own methods or its module, which its user has imported. The platform's
packages read the texts (entry-point group ``qcpaas.frontends``). A result in a framework's own
classes imports the framework, since that is what was asked for.
"""

from __future__ import annotations

from qcpaas.frontends import qir
from qcpaas.frontends.reading import can_read, read_payload
from qcpaas.frontends.results import asked_observables, native_result
from qcpaas.frontends.writing import load_file, unknown_circuit, written

__all__ = [
    "asked_observables",
    "can_read",
    "load_file",
    "native_result",
    "qir",
    "read_payload",
    "unknown_circuit",
    "written",
]
