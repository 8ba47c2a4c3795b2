"""What a Braket device can be configured with."""

from __future__ import annotations

from pydantic import Field

from adapters.vendor import DeviceSettings


class BraketSettings(DeviceSettings):
    """Attributes:
    s3_bucket: For results; without it what ``AMZN_BRAKET_TASK_RESULTS_S3_URI`` or
        ``AMZN_BRAKET_OUT_S3_BUCKET`` names, or Braket's own bucket of the account, which is
        made where it is not there.
    s3_prefix: Folder in the bucket.
    reservation_arn: Of a Braket Direct reservation, in which every task then runs.
    program_sets: Whether many circuits and points go as one task, where the device takes that.
    concurrent_tasks: Submissions that wait side by side.
    """

    s3_bucket: str | None = Field(None, min_length=3, max_length=63)
    s3_prefix: str = Field("qcpaas", min_length=1, max_length=900, pattern=r"^[^/].*[^/]$|^[^/]$")
    reservation_arn: str | None = Field(None, pattern=r"^arn:aws[a-z-]*:braket:.+$")
    program_sets: bool = True
    concurrent_tasks: int = Field(10, ge=1, le=1000)
