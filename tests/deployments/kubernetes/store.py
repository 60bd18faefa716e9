"""What a Kubernetes API server remembers: objects, their versions, and every change in order."""

import asyncio
import copy
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]


def now() -> str:
    """The present as Kubernetes writes it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Change:
    version: int
    kind: str
    resource: str
    content: Object


class Store:
    """Objects by resource, namespace and name. Changed within one event loop; read anywhere."""

    def __init__(self) -> None:
        self.version = 1
        self._objects: dict[Key, Object] = {}
        self._changes: list[Change] = []
        self._changed = asyncio.Event()

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        return self._objects.get((resource, namespace, name))

    def list(self, resource: str, namespace: str | None, selector: str = "") -> list[Object]:
        return [
            content
            for (kind, place, _), content in tuple(self._objects.items())
            if kind == resource and namespace in (None, place) and matches(content, selector)
        ]

    def create(self, resource: str, namespace: str, content: Object) -> Object:
        """Add an object, its name completed from ``generateName``; KeyError if it is there."""
        metadata = content.setdefault("metadata", {})
        if not metadata.get("name"):
            metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        key = (resource, namespace, metadata["name"])
        if key in self._objects:
            raise KeyError(metadata["name"])
        metadata.update(namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=now())
        self._objects[key] = content
        self._note("ADDED", resource, content)
        return content

    def update(self, resource: str, content: Object) -> None:
        self._note("MODIFIED", resource, content)

    def delete(self, resource: str, content: Object) -> None:
        metadata = content["metadata"]
        with suppress(KeyError):
            del self._objects[(resource, metadata["namespace"], metadata["name"])]
            self._note("DELETED", resource, content)

    async def watch(
        self, resource: str, namespace: str | None, selector: str, after: int
    ) -> AsyncIterator[Change]:
        """The changes after a version, without end."""
        at = 0
        while True:
            changed = self._changed
            while at < len(self._changes):
                change = self._changes[at]
                at += 1
                place = change.content["metadata"]["namespace"]
                is_meant = change.resource == resource and namespace in (None, place)
                if is_meant and change.version > after and matches(change.content, selector):
                    yield change
            await changed.wait()

    def _note(self, kind: str, resource: str, content: Object) -> None:
        self.version += 1
        content["metadata"]["resourceVersion"] = str(self.version)
        self._changes.append(Change(self.version, kind, resource, copy.deepcopy(content)))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def matches(content: Mapping[str, Any], selector: str) -> bool:
    """Whether the labels fit a selector made of ``key`` and ``key=value``."""
    labels = content["metadata"].get("labels") or {}
    return all(
        key in labels and (value is None or labels[key] == value)
        for key, value in _requirements(selector)
    )


def _requirements(selector: str) -> Iterator[tuple[str, str | None]]:
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        yield key, value.lstrip("=") if equals else None
