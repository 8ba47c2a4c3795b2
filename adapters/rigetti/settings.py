"""How a Rigetti device is reached and run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.vendor import DeviceSettings

REQUEST_TIMEOUT_S = 30.0
Noise = tuple[float, float, float]


class RigettiSettings(DeviceSettings):
    """How a device is reached and run.

    Attributes:
        connection: How a processor is reached: ``gateway`` of QCS, ``direct`` where a reservation
            lets in, or ``endpoint``.
        endpoint_id: Which endpoint, where the connection is ``endpoint``.
        request_timeout_s: Of one request to QCS.
        execution_timeout_s: Of one run on a QVM; of one execution on a processor, where it is set.
        compiler: ``native`` sends our circuits' own gates; ``quilc`` lets Rigetti's compiler see
            them before a processor does.
        gate_noise: Of a QVM: probabilities of X, Y and Z after each gate.
        measurement_noise: Of a QVM: the same before each measurement.
    """

    connection: Literal["gateway", "direct", "endpoint"] = "gateway"
    endpoint_id: str = ""
    request_timeout_s: float = Field(REQUEST_TIMEOUT_S, gt=0)
    execution_timeout_s: float | None = Field(None, gt=0)
    compiler: Literal["native", "quilc"] = "native"
    gate_noise: Noise | None = None
    measurement_noise: Noise | None = None
