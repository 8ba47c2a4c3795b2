"""What the gateway answers from the store, and to whom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import Depends

from gateway.admission.outlook import Outlook
from gateway.matching.merged import merged_environment
from gateway.person import Person
from gateway.platform import Platform, ThePerson, ThePlatform
from qcpaas.calibration import CalibrationReport
from qcpaas.checks import check_device
from qcpaas.devices import DeviceInfo
from qcpaas.errors import CalibrationError, Forbidden, UnknownJob
from qcpaas.scheduling import Role
from qcpaas.schemas import Environment, JobRecord, JobState, OptionInfo
from store.admissions import AdmissionRecord, Admissions
from store.calibrations import Calibrations
from store.devices import Devices
from store.jobs import Jobs
from store.workers import Workers
from tasks.answers import StoredAnswers


class GatewayAnswers(StoredAnswers):
    """`tasks.answers.StoredAnswers` for one person: they see their own jobs.

    Devices, options and packages are those of the workers, which tell them; no adapter is asked.
    """

    def __init__(self, platform: Platform, person: Person) -> None:
        super().__init__(platform.store)
        self._outlook = platform.outlook
        self._person = person
        self._admissions = Admissions(platform.store)

    # --- jobs --------------------------------------------------------------------------------

    def admission(self, job_id: str) -> AdmissionRecord | None:
        """How a job was let in; ``None`` for one that came through no gateway.

        Raises:
            UnknownJob: There is no such job, or it is another user's: nobody learns which.
        """
        found = self._admissions.get(job_id)
        if not self._person.sees("" if found is None else found.owner):
            raise unknown(job_id)
        return found

    def job(self, job_id: str) -> JobRecord:
        admission = self.admission(job_id)
        try:
            record = super().job(job_id)
        except UnknownJob:
            raise unknown(job_id) from None  # without a word about other jobs
        return told(record, admission, self._outlook)

    def jobs(
        self, limit: int = 50, *, owner: str | None = None, state: JobState | None = None
    ) -> Sequence[JobRecord]:
        """The newest first.

        Args:
            owner: Whose; a person's own unless given, and an administrator's are all.

        Raises:
            Forbidden: Another user's were asked for.
        """
        if owner is None and self._person.is_at_least(Role.ADMINISTRATOR):
            records = self._jobs.all(limit, state)
            admissions = self._admissions.some([record.job_id for record in records])
            return [told(each, admissions.get(each.job_id), self._outlook) for each in records]
        whose = owner or self._person.name
        if not self._person.sees(whose):
            raise Forbidden(f"jobs of {whose} are theirs; you are {self._person.name}.")
        found = self._admissions.of(whose, limit, state)
        own = self._jobs.some([admission.job_id for admission in found])
        return [told(own[each.job_id], each, self._outlook) for each in found if each.job_id in own]

    # --- devices -----------------------------------------------------------------------------

    def environment(self) -> Environment:
        """What all workers have together, with the devices as the store knows them.

        Raises:
            NoWorker: None is alive.
        """
        merged = merged_environment([each for _, each in Workers(self._store).living()])
        chosen = {"devices": self._with_known(merged.devices), "chooses_devices": True}
        return merged.model_copy(update=chosen)

    def devices(self) -> Sequence[DeviceInfo]:
        told = [device for _, each in Workers(self._store).living() for device in each.devices]
        return self._with_known(list({info.name: info for info in told}.values()))

    def options(self) -> Sequence[OptionInfo]:
        return self.environment().options

    def spelt(self, device: str) -> str:
        """The name of a device as the platform spells it; raises `UnknownDevice`."""
        devices = self.devices()
        names = {info.name.casefold(): info.name for info in devices}
        name = names.get(device.casefold(), device)
        if Calibrations(self._store).latest_id(name) is not None:  # it may be away by now
            return name
        return check_device(name, devices).name

    def calibration(self, device: str, at: datetime | None = None) -> CalibrationReport:
        name = self.spelt(device)
        if Calibrations(self._store).latest_id(name) is None:  # asking for one is a worker's task
            raise CalibrationError(
                f"the platform has no calibration of {name}. `qcpaas calibrate {name} --remote` "
                "asks for one."
            )
        return super().calibration(name, at)

    def _with_known(self, listed: Sequence[DeviceInfo]) -> tuple[DeviceInfo, ...]:
        """What workers list, with what the store knows of each; those removed since left out."""
        known = {info.name: info for info in Devices(self._store).all()}
        shown = [
            known.pop(info.name, info) for info in listed if info.name in known or not info.address
        ]
        return (*shown, *(info for info in known.values() if info.address))


def records_of(platform: Platform, job_ids: Collection[str]) -> dict[str, JobRecord]:
    """Records of jobs by id, whosever they are."""
    admissions = Admissions(platform.store).some(list(job_ids))
    records = Jobs(platform.store).some(job_ids)
    return {
        job_id: told(record, admissions.get(job_id), platform.outlook)
        for job_id, record in records.items()
    }


def told(record: JobRecord, admission: AdmissionRecord | None, outlook: Outlook) -> JobRecord:
    """A job's record with whose it is and what is known of its way to the device."""
    if admission is None:
        return record
    extra = {"owner": admission.owner, "schedule": outlook.schedule(record, admission)}
    return record.model_copy(update=extra)


def unknown(job_id: str) -> UnknownJob:
    return UnknownJob(f"there is no job {job_id[:100]!r} of yours. `qcpaas jobs` lists them.")


def the_answers(platform: ThePlatform, person: ThePerson) -> GatewayAnswers:
    return GatewayAnswers(platform, person)


TheAnswers = Annotated[GatewayAnswers, Depends(the_answers)]
