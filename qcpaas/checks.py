"""What can be refused before a job is scheduled: small pure functions, for client and platform."""

from __future__ import annotations

import inspect
import math
import platform
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcpaas.devices import DeviceInfo
from qcpaas.errors import (
    CircuitError,
    InputError,
    OptionError,
    PackingError,
    ShotsError,
    UnknownDevice,
    nearest,
)
from qcpaas.frontends.reading import can_read
from qcpaas.needs import unmet
from qcpaas.schemas import (
    MAX_SHOTS,
    Bundle,
    CircuitJob,
    Environment,
    OptionInfo,
    OptionSpec,
    WorkloadJob,
)

if TYPE_CHECKING:
    from pydantic import JsonValue

    from qcpaas.worker import RuntimeWorkerBase

_CLASS = re.compile(r"^class\s+(\w+)", re.MULTILINE)
_LEVEL_NAMES = {"counts": "counts", "expectation": "expectation values"}
_JSON_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "number": ((int, float), "a number"),
    "integer": ((int,), "a whole number"),
    "string": ((str,), "a text"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list in brackets"),
    "object": ((dict,), "a JSON object"),
}


def check_job(job: CircuitJob | WorkloadJob, environment: Environment) -> None:
    """Refuse a job that the workers cannot run.

    Raises:
        InputError: The subclass says what is wrong; nothing was spent.
    """
    execution = job.execution
    device = max(considered(job, environment), key=lambda one: one.num_qubits)
    if not execution.exact:
        check_shots(execution.shots)
    if isinstance(job, WorkloadJob):
        own = bundle_classes(job.bundle) - {job.bundle.entry.partition(":")[2]}
        check_options(execution.options, environment, own)
        lacking = missing(job.bundle, environment)
        if lacking:
            raise PackingError(" ".join(lacking))
        return
    for item in job.items:
        options = execution.options if item.options is None else item.options
        check_options(options, environment)
        check_levels(options, environment, "counts" if item.observables is None else "expectation")
        if item.shots is not None:
            check_shots(item.shots)
    check_circuits(job, device, environment.options)


def considered(job: CircuitJob | WorkloadJob, environment: Environment) -> list[DeviceInfo]:
    """The device that a job names, or all that it can be given where it leaves that open.

    Raises:
        UnknownDevice: There is none of that name; or no name was given, and nobody chooses.
    """
    if job.execution.backend or not environment.chooses_devices:
        return [check_backend(job.execution.backend, environment)]
    if job.scheduling.devices:
        return [check_backend(name, environment) for name in job.scheduling.devices]
    # What is exact would always seem best.
    real = [device for device in environment.devices if not device.simulator]
    return real or list(environment.devices) or [check_backend("", environment)]


def check_backend(name: str, environment: Environment) -> DeviceInfo:
    """A device that a job names; one named by ``ADAPTER:ADDRESS`` is first asked by the worker.

    Raises:
        UnknownDevice: There is none of that name, or no name was given.
    """
    adapter, colon, address = name.partition(":")
    known = {device.name for device in environment.devices}
    if name not in known and adapter in environment.adapters and colon and address:
        return DeviceInfo(name=name, adapter=adapter, num_qubits=0, address=address)
    return check_device(name, environment.devices)


def check_device(name: str, devices: Sequence[DeviceInfo]) -> DeviceInfo:
    """Find a device by name.

    Raises:
        UnknownDevice: There is none of that name, or no name was given.
    """
    known = {device.name: device for device in devices}
    if name in known:
        return known[name]
    if not name:
        raise UnknownDevice(
            f"no device was named. Set backend_name or give a backend. {nearest(name, known)}"
        )
    raise UnknownDevice(f"there is no device {name!r}. {nearest(name, known)}")


def check_shots(shots: int) -> None:
    """Raises `ShotsError` unless ``1 <= shots <= MAX_SHOTS``."""
    if not 1 <= shots <= MAX_SHOTS:
        raise ShotsError(
            f"{shots} shots were asked for; between 1 and {MAX_SHOTS:,} can be run. "
            "Give a number in that range, or ask for exact values on a simulator."
        )


def check_options(
    options: Sequence[OptionSpec], environment: Environment, own: Collection[str] = ()
) -> None:
    """Check names, settings, packages and order of a stack of options, outermost first.

    Args:
        own: Classes that the workload brings along, which may be options themselves.

    Raises:
        OptionError: Unknown, misconfigured, misplaced or not installed.
    """
    known = {option.name: option for option in environment.options}
    above: OptionInfo | None = None
    for index, spec in enumerate(options):
        if spec.name in {earlier.name for earlier in options[:index]}:
            raise OptionError(f"option {spec.name} is named twice. Name it once.")
        if spec.name not in known:
            if spec.name in own:
                continue
            names = [*known, *own] if own else known
            raise OptionError(f"there is no option {spec.name!r}. {nearest(spec.name, names)}")
        info = known[spec.name]
        _check_settings(spec, info)
        _check_packages(info, environment)
        if above is not None and info.rank < above.rank:
            raise OptionError(
                f"option {info.name} (rank {info.rank}) stands inside {above.name} "
                f"(rank {above.rank}); the outer option has the lower rank. "
                f"Name {info.name} before {above.name}."
            )
        above = info


def check_levels(options: Sequence[OptionSpec], environment: Environment, level: str) -> None:
    """Raises `OptionError` where an option cannot give counts, or expectation values, as asked."""
    known = {option.name: option.levels for option in environment.options}
    for spec in options:
        levels = known.get(spec.name, ())
        if levels and level not in levels:
            raise OptionError(
                f"option {spec.name} corrects {_LEVEL_NAMES[levels[0]]}, and {_LEVEL_NAMES[level]} "
                "are asked for. "
                + ("Give an observable, or leave" if level == "counts" else "Leave")
                + " the option out."
            )


def _check_settings(spec: OptionSpec, info: OptionInfo) -> None:
    for name, value in spec.settings.items():
        if name not in info.settings:
            if not info.settings:
                raise OptionError(f"option {info.name} has no settings; {name!r} was given.")
            raise OptionError(
                f"option {info.name} has no setting {name!r}. {nearest(name, info.settings)}"
            )
        wanted = _unmet(value, info.settings[name])
        if wanted:
            raise OptionError(f"option {info.name}: {name} is {value!r}; it must be {wanted}.")


def _unmet(value: JsonValue, schema: Mapping[str, Any]) -> str:
    """What a JSON schema asks for where the value is plainly something else, else nothing.

    Types and choices only: the worker has the option's own validators.
    """
    ways = [_unmet(value, way) for way in schema.get("anyOf", ())]
    if ways:
        return "" if "" in ways else " or ".join(ways)
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices is not None:
        return "" if value in choices else " or ".join(map(repr, choices))
    kind = schema.get("type")
    if kind not in _JSON_TYPES:
        return ""
    types, name = _JSON_TYPES[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean"):
        return name
    items = value if isinstance(value, list) else []
    wrong = [unmet for item in items if (unmet := _unmet(item, schema.get("items", {})))]
    return f"{name}, each of them {wrong[0]}" if wrong else ""


def _check_packages(info: OptionInfo, environment: Environment) -> None:
    installed = {_canonical(name) for name in environment.distributions}
    absent = [name for name in info.requires if _canonical(name) not in installed]
    if absent:
        raise OptionError(
            f"option {info.name} needs {', '.join(absent)}, which the worker does not have. "
            "Install it there, or leave the option out."
        )


def check_circuits(job: CircuitJob, device: DeviceInfo, known: Sequence[OptionInfo] = ()) -> None:
    """Read every circuit and observable of a job, and compare them with the device.

    A circuit that an option may cut may be wider than the device. Circuits of another framework
    are left to the worker where only the client is installed.

    Raises:
        CircuitError: Broken text, unbound parameters, no measurement where counts are asked,
            values of the wrong shape, or too many qubits.
        ObservableError: An observable does not fit its circuit.
    """
    readable = [item for item in job.items if can_read(item.circuit.format)]
    if not readable:
        return
    from qcpaas.circuits import check_runnable, from_payload
    from qcpaas.observables import to_operator

    logical = {option.name for option in known if option.logical}
    for item in readable:
        options = job.execution.options if item.options is None else item.options
        cut = any(option.name in logical for option in options)
        circuit = from_payload(item.circuit)
        rows = item.parameter_values
        shape = None if rows is None else (len(rows), len(rows[0]) if rows else 0)
        if rows and len({len(row) for row in rows}) > 1:
            raise CircuitError(f"circuit {circuit.name}: rows of parameter values differ in length")
        if not all(math.isfinite(value) for row in rows or () for value in row):
            raise CircuitError(f"circuit {circuit.name} has parameter values that are not finite.")
        check_runnable(circuit, counts=item.observables is None, parameter_shape=shape)
        for observable in item.observables or ():
            to_operator(observable, circuit.num_qubits, circuit.name)
        if not cut and device.num_qubits and circuit.num_qubits > device.num_qubits:
            raise CircuitError(
                f"circuit {circuit.name} needs {circuit.num_qubits} qubits; {device.name} has "
                f"{device.num_qubits}. Choose a larger device or cut the circuit."
            )


def missing(bundle: Bundle, environment: Environment) -> list[str]:
    """What a worker lacks to run a bundle, one sentence each; empty where nothing is lacking."""
    installed = {_canonical(name): version for name, version in environment.distributions.items()}
    lacking: list[str] = []
    here, there = _minor(bundle.python or platform.python_version()), _minor(environment.python)
    if here != there:
        lacking.append(
            f"the workload was packed under Python {here}; the worker runs {there}. "
            f"Submit it from Python {there}."
        )
    for requirement in bundle.requirements:
        version = installed.get(_canonical(requirement.name))
        if version is None:
            lacking.append(
                f"the workload imports {requirement.name} {requirement.version}, which the worker "
                "does not have. Install it there, or do without it."
            )
        elif _minor(version) != _minor(requirement.version):
            lacking.append(
                f"the workload was packed with {requirement.name} {requirement.version}; the "
                f"worker has {version}. Install {requirement.name} {version} here, or "
                f"{requirement.version} there."
            )
    return lacking + unmet(bundle.needs, environment.distributions, environment.python)


def check_inputs(
    worker_class: type[RuntimeWorkerBase], inputs: Mapping[str, Any]
) -> dict[str, JsonValue]:
    """The inputs as they travel.

    Raises:
        InputError: One is not JSON, or they do not fit the signature of ``run``.
    """
    signature = inspect.signature(worker_class.run)
    parameters = list(signature.parameters.values())[1:]
    name = worker_class.__name__
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = {p.name: p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    for key in inputs:
        if key not in named and not takes_any:
            raise InputError(f"{name}.run() has no input {key!r}. {nearest(key, named)}")
    absent = [p.name for p in named.values() if p.default is p.empty and p.name not in inputs]
    if absent:
        raise InputError(f"{name}.run() needs {_listed(absent)}. Give a value for each.")
    return {key: _as_json(value, f"input {key!r}") for key, value in inputs.items()}


def _as_json(value: Any, where: str) -> JsonValue:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return [_as_json(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _as_json(item, f"{where}[{key!r}]") for key, item in value.items()}
    found = f"is {value}" if isinstance(value, float) else f"is of type {type(value).__name__}"
    if isinstance(value, Mapping):
        found = "has keys that are not strings"
    hint = " Pass value.tolist()." if hasattr(value, "tolist") else ""
    raise InputError(
        f"{where} {found}; inputs travel as JSON: finite numbers, strings, lists and "
        f"dictionaries.{hint}"
    )


def bundle_classes(bundle: Bundle) -> frozenset[str]:
    """Names of all classes that a bundle's modules define at their top level.

    Found as text: a hostile source can bring Python's parser down, and with it this process.
    """
    return frozenset(name for source in bundle.modules.values() for name in _CLASS.findall(source))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
