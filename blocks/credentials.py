"""Vendors' credentials as Prefect blocks: kept encrypted by the server, hidden in its pages.

Every adapter has a block type of its own, ``qcpaas-<adapter>``, with the fields of its
credentials; one that is installed from elsewhere gets one too.
"""

from __future__ import annotations

from typing import Any

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import ConfigDict, ValidationError

from adapters.credentials import Credentials, NoCredentials
from adapters.registry import vendors
from adapters.vendor import Vendor
from blocks.slugs import block_slug
from qcpaas.devices import DeviceRegistration
from qcpaas.errors import CredentialsRefused


def credentials_block(vendor: Vendor) -> type[Block]:
    """The block class of a vendor's credentials."""
    kind = vendor.credentials_type

    class VendorCredentials(kind, Block):  # type: ignore[valid-type,misc]
        model_config = ConfigDict(title=kind.__name__, extra="ignore")
        _block_type_name = f"QCPaaS {vendor.adapter}"
        _block_type_slug = block_slug(vendor.adapter)
        _description = (kind.__doc__ or "").strip().partition("\n")[0]

    VendorCredentials.__name__ = VendorCredentials.__qualname__ = kind.__name__
    VendorCredentials.__doc__ = kind.__doc__
    return VendorCredentials


def register_blocks() -> list[str]:
    """Make the server know every vendor's block type; returns their slugs."""
    slugs = []
    for vendor in vendors().values():
        if vendor.credentials_type is not NoCredentials:
            block = credentials_block(vendor)
            block.register_type_and_schema()
            slugs.append(block.get_block_type_slug())
    return slugs


def load_credentials(vendor: Vendor, registration: DeviceRegistration) -> Credentials:
    """What opens a registered device: its block's, or the environment's where it names none.

    Raises:
        CredentialsRefused: There is no such block, or it does not hold what the vendor needs.
    """
    if not registration.credentials:
        return vendor.credentials_type.from_environment()
    data = _read(registration.credentials, block_slug(vendor.adapter))
    if data is None:
        raise CredentialsRefused(
            f"device {registration.name} is opened with the {vendor.adapter} credentials "
            f"{registration.credentials!r}, and there are none of that name. Keep them with "
            f"`qcpaas credentials add {registration.credentials} --adapter {vendor.adapter}`."
        )
    try:
        known = vendor.credentials_type.model_fields
        return vendor.credentials_type.model_validate({k: v for k, v in data.items() if k in known})
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise CredentialsRefused(
            f"the {vendor.adapter} credentials {registration.credentials!r} cannot be used: "
            f"{fields} is missing or has a wrong form. Keep them anew."
        ) from None  # the cause would quote the values


def _read(name: str, slug: str) -> dict[str, Any] | None:
    with get_client(sync_client=True) as client:
        try:
            document = client.read_block_document_by_name(name, slug, include_secrets=True)
        except ObjectNotFound:
            return None
    return dict(document.data)
