"""Credentials as a running platform keeps them: blocks on its Prefect server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from blocks.slugs import PREFIX, block_slug
from qcpaas.devices import CredentialsInfo, CredentialsKind
from qcpaas.errors import InputError, PlatformError, UnknownDevice, nearest
from qcpaas.prefect_api import PrefectApi


class PrefectBlocks:
    """Keeps, lists and removes vendors' credentials; secrets go in and never come out."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def kinds(self) -> Sequence[CredentialsKind]:
        """What each adapter's credentials consist of."""
        types = self._api.post("block_types/filter", {"limit": 200}) or []
        ours = [kind for kind in types if kind["slug"].startswith(PREFIX)]
        return [CredentialsKind(adapter=_adapter(kind), fields=self._fields(kind)) for kind in ours]

    def all(self) -> Sequence[CredentialsInfo]:
        """By adapter and name, without what they hold."""
        documents = self._api.post("block_documents/filter", {"limit": 200}) or []
        found = [
            CredentialsInfo(name=document["name"], adapter=_adapter(document["block_type"]))
            for document in documents
            if document["block_type"]["slug"].startswith(PREFIX)
        ]
        return sorted(found, key=lambda info: (info.adapter, info.name))

    def keep(self, name: str, adapter: str, values: Mapping[str, str | SecretStr]) -> None:
        """Keep credentials under a name, in place of earlier ones of that name.

        Raises:
            InputError: The adapter has no such field, or the name has a form that blocks refuse.
        """
        kind = self._kind(adapter)
        schema = self._schema(kind)
        unknown = values.keys() - schema["fields"].get("properties", {}).keys()
        if unknown:
            raise InputError(
                f"credentials of {adapter} have no {sorted(unknown)[0]!r}. "
                f"{nearest(sorted(unknown)[0], schema['fields'].get('properties', {}))}"
            )
        data = {
            field: value.get_secret_value() if isinstance(value, SecretStr) else value
            for field, value in values.items()
        }
        held = self._document(name, adapter)
        if held is not None:
            body = {"data": data, "block_schema_id": schema["id"], "merge_existing_data": False}
            self._api.patch(f"block_documents/{held['id']}", body)
            return
        body = {
            "name": name,
            "data": data,
            "block_schema_id": schema["id"],
            "block_type_id": kind["id"],
        }
        self._api.post("block_documents/", body)

    def remove(self, name: str, adapter: str) -> None:
        """Raises `InputError` where there are none of that name."""
        held = self._document(name, adapter)
        if held is None:
            names = [info.name for info in self.all() if info.adapter == adapter]
            raise InputError(f"there are no {adapter} credentials {name!r}. {nearest(name, names)}")
        self._api.delete(f"block_documents/{held['id']}")

    def _kind(self, adapter: str) -> dict[str, Any]:
        kind: dict[str, Any] | None = self._api.get(f"block_types/slug/{block_slug(adapter)}")
        if kind is None:
            names = [each.adapter for each in self.kinds()]
            raise UnknownDevice(
                f"the platform has no adapter {adapter!r} with credentials. "
                f"{nearest(adapter, names)}"
            )
        return kind

    def _schema(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        body = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}, "limit": 1}
        schemas = self._api.post("block_schemas/filter", body)
        if not schemas:
            raise PlatformError(f"the platform knows no fields of {kind['slug']}. Restart it.")
        schema: dict[str, Any] = schemas[0]
        return schema

    def _fields(self, kind: Mapping[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = self._schema(kind)["fields"].get("properties", {})
        return properties

    def _document(self, name: str, adapter: str) -> dict[str, Any] | None:
        path = f"block_types/slug/{block_slug(adapter)}/block_documents/name/{name}"
        document: dict[str, Any] | None = self._api.get(path)
        return document


def _adapter(block_type: Mapping[str, Any]) -> str:
    slug: str = block_type["slug"]
    return slug.removeprefix(PREFIX)
