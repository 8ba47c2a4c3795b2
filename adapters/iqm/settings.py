"""How an IQM device is used."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field

from adapters.vendor import DeviceSettings


class IqmSettings(DeviceSettings):
    """What a registration's ``settings`` may hold.

    The server tells none of its limits; it refuses what is beyond them.

    Attributes:
        calibration_set_id: Of a set to run with in place of the server's default.
        use_timeslot: Send jobs to the queue of the user's own booked time slots.
        heralding: Measure before each shot and keep those that began in the ground state, so that
            fewer shots come back than were asked.
        max_circuit_duration_over_t2: The server refuses a circuit that takes longer than this
            many of the shortest T2 of its qubits; 0 for no such check, ``None`` for its default.
        active_reset_cycles: Resets before each circuit in place of waiting for relaxation.
        dynamical_decoupling: Let the server fill idle time with its standard sequences.
        max_shots: Of one job.
        max_circuits: In one job; a circuit counts once for each of its parameter points.
        concurrent_jobs: Jobs of the platform that may be in the device's queue at a time.
        rep_delay_s: Time between two shots besides the circuit's own, for estimates. The default
            is the published charge of one machine, 400 us a shot.
    """

    calibration_set_id: UUID | None = None
    use_timeslot: bool = False
    heralding: bool = False
    max_circuit_duration_over_t2: float | None = Field(default=None, ge=0)
    active_reset_cycles: int | None = Field(default=None, ge=0)
    dynamical_decoupling: bool = False
    max_shots: int = Field(default=20_000, ge=1)
    max_circuits: int = Field(default=500, ge=1)
    concurrent_jobs: int = Field(default=1, ge=1)
    rep_delay_s: float = Field(default=4e-4, ge=0)

    def compilation_options(self) -> Any:
        """The client's own form of what the server does with the circuits."""
        from iqm.iqm_client import CircuitCompilationOptions
        from iqm.station_control.interface.models import DDMode, HeraldingMode

        return CircuitCompilationOptions(
            max_circuit_duration_over_t2=self.max_circuit_duration_over_t2,
            heralding_mode=HeraldingMode.ZEROS if self.heralding else HeraldingMode.NONE,
            active_reset_cycles=self.active_reset_cycles,
            dd_mode=DDMode.ENABLED if self.dynamical_decoupling else DDMode.DISABLED,
        )
