"""What no text may hold."""

from adapters.registry import providers
from adapters.vendor import Vendor

SHORTEST = 4  # what is shorter is found in ordinary words


def secrets_in_force(subject):
    """Every secret of the subject's vendor that the environment holds now."""
    vendor = providers().get(subject.name.partition(":")[0])
    if not isinstance(vendor, Vendor):
        return ()
    found = vendor.credentials_type.from_environment().secrets()
    return tuple(secret for secret in found if len(secret) >= SHORTEST)
