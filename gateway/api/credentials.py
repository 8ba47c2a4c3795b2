"""Vendors' credentials: they go in, and never come out."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Depends, Response
from pydantic import SecretStr

from gateway.api.names import AdapterName, BlockName
from gateway.platform import Needs, ThePlatform
from qcpaas.devices import CredentialsInfo, CredentialsKind
from qcpaas.scheduling import Role

router = APIRouter(prefix="/v1", tags=["credentials"], dependencies=[Depends(Needs(Role.OWNER))])


@router.get("/credentials", name="credentials.list")
def credentials(platform: ThePlatform) -> Sequence[CredentialsInfo]:
    """What is kept, without what it holds."""
    return platform.engine.blocks.all()


@router.get("/credentials/kinds", name="credentials.kinds")
def kinds(platform: ThePlatform) -> Sequence[CredentialsKind]:
    """What each adapter's credentials consist of."""
    return platform.engine.blocks.kinds()


@router.put(
    "/credentials/{adapter}/{name}",
    name="credentials.keep",
    status_code=HTTPStatus.NO_CONTENT,
)
def keep(
    adapter: AdapterName, name: BlockName, values: dict[str, SecretStr], platform: ThePlatform
) -> Response:
    """Keep credentials under a name, in place of earlier ones of that name."""
    platform.engine.blocks.keep(name, adapter, values)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.delete(
    "/credentials/{adapter}/{name}",
    name="credentials.remove",
    status_code=HTTPStatus.NO_CONTENT,
)
def remove(adapter: AdapterName, name: BlockName, platform: ThePlatform) -> Response:
    platform.engine.blocks.remove(name, adapter)
    return Response(status_code=HTTPStatus.NO_CONTENT)
