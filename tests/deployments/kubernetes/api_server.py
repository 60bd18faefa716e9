"""The part of a Kubernetes API server that a Prefect worker and its observer use, over HTTP.

Jobs, pods, logs, evictions, events, secrets, lists and watch streams. Manifests are held to the
schemas of a real version, requests to the rules of a Role: what passes here needs no more rights.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import kubernetes_validate
from aiohttp import web

from tests.deployments.kubernetes.store import Object, Store

VERSION = "1.37"
KINDS = {"jobs": "Job", "pods": "Pod", "events": "Event", "secrets": "Secret"}
GROUPS = {"jobs": "batch", "pods": "", "events": "", "secrets": ""}

Rules = Sequence[Mapping[str, Any]]


class RefusedError(Exception):
    """An answer other than success, as Kubernetes words it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    def answer(self) -> web.Response:
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }
        return web.json_response(body, status=self.code)


class ApiServer:
    """The HTTP side of a `Store`.

    Args:
        store: what is served.
        namespace: the only one there is.
        rules: per bearer token, the rules of its Role; None may do everything.
        log_of: where the output of a pod is.
        delete_pod: asked to end a pod within so many seconds; None for its own grace period.
        delete_job: asked to end a job and its pods.
    """

    def __init__(
        self,
        store: Store,
        namespace: str,
        rules: Mapping[str, Rules | None],
        log_of: Callable[[str], Path],
        delete_pod: Callable[[Object, int | None], None],
        delete_job: Callable[[Object], None],
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._rules = rules
        self._log_of = log_of
        self._delete_pod = delete_pod
        self._delete_job = delete_job
        self.refused: list[str] = []

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._refusals])
        core, batch = "/api/v1", "/apis/batch/v1"
        named = "/namespaces/{namespace}/{resource:jobs|pods|events|secrets}"
        application.add_routes(
            [
                web.get("/version", self._version),
                web.get("/api", self._versions),
                web.get("/apis", self._groups),
                web.get(core, self._core_resources),
                web.get(batch, self._batch_resources),
                *[
                    route
                    for prefix in (core, batch)
                    for route in (
                        web.get(f"{prefix}{named}", self._list),
                        web.post(f"{prefix}{named}", self._create),
                        web.get(f"{prefix}{named}/{{name}}", self._read),
                        web.delete(f"{prefix}{named}/{{name}}", self._delete),
                    )
                ],
                web.get(f"{core}{named}/{{name}}/log", self._log),
                web.post(f"{core}{named}/{{name}}/eviction", self._evict),
            ]
        )
        return application

    @web.middleware
    async def _refusals(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except RefusedError as refusal:
            self.refused.append(f"{request.method} {request.path}: {refusal}")
            return refusal.answer()
        except web.HTTPNotFound:
            self.refused.append(f"{request.method} {request.path}: no such path")
            return RefusedError(404, "NotFound", "the server could not find it").answer()
        return response

    async def _version(self, request: web.Request) -> web.Response:
        major, minor = VERSION.split(".")
        return web.json_response({"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0"})

    async def _versions(self, request: web.Request) -> web.Response:
        return web.json_response({"kind": "APIVersions", "versions": ["v1"]})

    async def _groups(self, request: web.Request) -> web.Response:
        version = {"groupVersion": "batch/v1", "version": "v1"}
        group = {"name": "batch", "versions": [version], "preferredVersion": version}
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]})

    async def _core_resources(self, request: web.Request) -> web.Response:
        spaces = {"name": "namespaces", "singularName": "", "namespaced": False}
        spaces |= {"kind": "Namespace", "verbs": ["get", "list", "watch"]}
        found = [_resource(name) for name in ("pods", "events", "secrets")]
        return web.json_response(
            {"kind": "APIResourceList", "groupVersion": "v1", "resources": [spaces, *found]}
        )

    async def _batch_resources(self, request: web.Request) -> web.Response:
        found = [_resource("jobs")]
        return web.json_response(
            {"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": found}
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        resource = request.match_info["resource"]
        is_watch = request.query.get("watch") in ("true", "True", "1")
        self._allow(request, "watch" if is_watch else "list", resource)
        namespace = request.match_info["namespace"]
        selector = request.query.get("labelSelector", "")
        if is_watch:
            return await self._watch(request, resource, namespace, selector)
        body = {
            "kind": f"{KINDS[resource]}List",
            "apiVersion": _api_version(resource),
            "metadata": {"resourceVersion": str(self._store.version)},
            "items": self._store.list(resource, namespace, selector),
        }
        return web.json_response(body)

    async def _watch(
        self, request: web.Request, resource: str, namespace: str, selector: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        after = int(request.query.get("resourceVersion") or 0)
        seconds = float(request.query.get("timeoutSeconds") or 300)
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                async for change in self._store.watch(resource, namespace, selector, after):
                    line = {"type": change.kind, "object": change.content}
                    await response.write(json.dumps(line).encode() + b"\n")
        return response

    async def _create(self, request: web.Request) -> web.Response:
        resource = request.match_info["resource"]
        namespace = request.match_info["namespace"]
        self._allow(request, "create", resource)
        content = json.loads(await request.read())
        content |= {"kind": KINDS[resource], "apiVersion": _api_version(resource)}
        if resource == "jobs":
            _hold_to_schema(content)
        if resource == "secrets" and "stringData" in content:
            raise RefusedError(422, "Invalid", "give secrets as data")
        try:
            created = self._store.create(resource, namespace, content)
        except KeyError as error:
            raise RefusedError(409, "AlreadyExists", f"{resource} {error} already exists") from None
        return web.json_response(created, status=201)

    async def _read(self, request: web.Request) -> web.Response:
        self._allow(request, "get", request.match_info["resource"])
        return web.json_response(self._found(request))

    async def _delete(self, request: web.Request) -> web.Response:
        resource = request.match_info["resource"]
        self._allow(request, "delete", resource)
        found = self._found(request)
        text = await request.read()
        options = json.loads(text) if text else {}
        grace = request.query.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
        if resource == "pods":
            self._delete_pod(found, None if grace is None else int(grace))
        elif resource == "jobs":
            self._delete_job(found)
        else:
            self._store.delete(resource, found)
        return web.json_response(found)

    async def _evict(self, request: web.Request) -> web.Response:
        self._allow(request, "create", "pods/eviction")
        self._delete_pod(self._found(request), None)
        return web.json_response({"kind": "Status", "status": "Success"}, status=201)

    async def _log(self, request: web.Request) -> web.Response:
        self._allow(request, "get", "pods/log")
        if request.query.get("previous") in ("true", "True"):
            raise RefusedError(400, "BadRequest", "previous terminated container not found")
        path = self._log_of(self._found(request)["metadata"]["name"])
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        wanted = int(request.query.get("tailLines") or len(lines) or 1)
        return web.Response(text="".join(f"{line}\n" for line in lines[-wanted:]))

    def _found(self, request: web.Request) -> Object:
        place = request.match_info
        found = self._store.get(place["resource"], place["namespace"], place["name"])
        if found is None:
            message = f'{place["resource"]} "{place["name"]}" not found'
            raise RefusedError(404, "NotFound", message)
        return found

    def _allow(self, request: web.Request, verb: str, resource: str) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self._rules:
            raise RefusedError(401, "Unauthorized", "Unauthorized")
        rules = self._rules[token]
        namespace = request.match_info["namespace"]
        group = GROUPS[resource.partition("/")[0]]
        is_allowed = rules is None or (
            namespace == self._namespace
            and any(
                group in rule["apiGroups"]
                and resource in rule["resources"]
                and verb in rule["verbs"]
                for rule in rules
            )
        )
        if not is_allowed:
            where = f'in the namespace "{namespace}"'
            raise RefusedError(403, "Forbidden", f"cannot {verb} resource {resource} {where}")
        if namespace != self._namespace:
            raise RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')


def _hold_to_schema(content: Object) -> None:
    try:
        # Not strict: like a real server, which drops what it does not know.
        kubernetes_validate.validate(content, VERSION, strict=False)
    except kubernetes_validate.ValidationError as error:
        raise RefusedError(422, "Invalid", f"{error.path}: {error.message}") from None


def _api_version(resource: str) -> str:
    return f"{GROUPS[resource]}/v1".lstrip("/")


def _resource(name: str) -> dict[str, Any]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return {
        "name": name,
        "singularName": "",
        "namespaced": True,
        "kind": KINDS[name],
        "verbs": verbs,
    }
