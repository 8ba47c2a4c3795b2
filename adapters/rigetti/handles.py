"""What a job's handle tells another process: which executions, and how their readout is read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.contract import JobHandle
from qcpaas.errors import UnknownDeviceJob


class SentCircuit(BaseModel):
    """One circuit of a job.

    Attributes:
        executions: QCS's job ids, one a parameter point.
        streams: QCS's name of the readout of each measured bit, by the bit's number.
        registers: Name and size, lowest bits first.
    """

    model_config = ConfigDict(frozen=True)

    executions: tuple[str, ...]
    streams: dict[int, str]
    registers: tuple[tuple[str, int], ...]
    shots: int

    @property
    def num_bits(self) -> int:
        return sum(size for _, size in self.registers)


class SentJob(BaseModel):
    """All executions that one submission became; its JSON is the handle's job id."""

    model_config = ConfigDict(frozen=True)

    circuits: tuple[SentCircuit, ...]

    @property
    def executions(self) -> tuple[str, ...]:
        return tuple(each for circuit in self.circuits for each in circuit.executions)

    @classmethod
    def of(cls, handle: JobHandle) -> SentJob:
        """Raises `UnknownDeviceJob` for a job id that we never gave."""
        try:
            return cls.model_validate_json(handle.device_job_id)
        except ValidationError as error:
            raise UnknownDeviceJob(
                f"{handle.device} has no job {handle.device_job_id[:200]}: its job ids list QCS's "
                "executions, and this is no such list."
            ) from error
