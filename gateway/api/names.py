"""Names as they come in paths and queries; none of them can lead anywhere else."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

# Vendors' addresses are names too: "qpu:http://host/path".
DeviceName = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00]+$")]
AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
BlockName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,99}$")]
