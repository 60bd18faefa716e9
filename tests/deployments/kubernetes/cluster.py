"""A cluster for tests: the double in this process, or the one that KUBECONFIG names."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from aiohttp import web

from deployments.local.api import PrefectApi
from deployments.local.paths import PROJECT_ROOT
from tests.certificates import CERTIFICATES_VARIABLE
from tests.deployments.kubernetes.api_server import ApiServer, Rules
from tests.deployments.kubernetes.node import Image, Node, Usage
from tests.deployments.kubernetes.store import Object, Store

if TYPE_CHECKING:
    from kubernetes_asyncio.client import CoreV1Api

NAMESPACE = "analytics-flows"
IMAGE = "analytics-flows:tests"
TEMPLATE = PROJECT_ROOT / "deployments" / "work_pools" / "kubernetes.json"
ADMINISTRATOR, WORKER = "administrator", "worker"
T = TypeVar("T")


class Cluster:
    """What tests do to a cluster, by its API only.

    Args:
        kubeconfig: of an administrator.
        worker_kubeconfig: of the worker's service account.
        image: that runs are made of.
    """

    def __init__(self, kubeconfig: Path, worker_kubeconfig: Path, image: str) -> None:
        self.kubeconfig = kubeconfig
        self.worker_kubeconfig = worker_kubeconfig
        self.image = image
        self.namespace = NAMESPACE

    def pods(self, run_id: str) -> list[Any]:
        """The pods of a flow run."""

        async def call(core: "CoreV1Api") -> list[Any]:
            selector = f"prefect.io/flow-run-id={run_id}"
            found = await core.list_namespaced_pod(self.namespace, label_selector=selector)
            return list(found.items)

        pods: list[Any] = self._ask(call)
        return pods

    def kill(self, pod: str) -> None:
        """End a pod with no notice, as when its node is gone."""

        async def call(core: "CoreV1Api") -> None:
            await core.delete_namespaced_pod(pod, self.namespace, grace_period_seconds=0)

        self._ask(call)

    def evict(self, pod: str) -> None:
        """Ask for the end of a pod as `kubectl drain` does."""

        async def call(core: "CoreV1Api") -> None:
            from kubernetes_asyncio.client import V1Eviction, V1ObjectMeta

            body = V1Eviction(metadata=V1ObjectMeta(name=pod, namespace=self.namespace))
            await core.create_namespaced_pod_eviction(pod, self.namespace, body)

        self._ask(call)

    def _ask(self, call: "Callable[[CoreV1Api], Any]") -> Any:
        # Takes seconds to import, in each of the processes that look for tests.
        from kubernetes_asyncio import config
        from kubernetes_asyncio.client import CoreV1Api

        async def ask() -> Any:
            client = await config.new_client_from_config(str(self.kubeconfig))
            async with client:
                return await call(CoreV1Api(client))

        return asyncio.run(ask())


class Double(Cluster):
    """The double, once `double` has started it."""

    def __init__(self, folder: Path, image: Image, rules: Rules) -> None:
        super().__init__(folder / "administrator.yaml", folder / "worker.yaml", IMAGE)
        self.folder = folder
        self.store = Store()
        self.node = Node(self.store, {IMAGE: image}, folder / "node")
        (folder / "node").mkdir()
        self.server = ApiServer(
            self.store,
            NAMESPACE,
            {ADMINISTRATOR: None, WORKER: rules},
            self.node.log_of,
            self.node.delete_pod,
            self.node.delete_job,
        )

    def jobs(self, run_id: str) -> list[Object]:
        return self.store.list("jobs", NAMESPACE, f"prefect.io/flow-run-id={run_id}")

    def usage(self, run_id: str) -> Usage:
        """Of the pod of a flow run that used the most."""
        selector = f"prefect.io/flow-run-id={run_id}"
        names = [pod["metadata"]["name"] for pod in self.store.list("pods", NAMESPACE, selector)]
        return max((self.node.usage[name] for name in names), key=lambda usage: usage.peak)

    def log(self, run_id: str) -> str:
        selector = f"prefect.io/flow-run-id={run_id}"
        names = [pod["metadata"]["name"] for pod in self.store.list("pods", NAMESPACE, selector)]
        return "\n".join(
            self.node.log_of(name).read_text() for name in names if self.node.log_of(name).exists()
        )

    def create_secret(self, name: str, values: Mapping[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        secret: Object = {"kind": "Secret", "metadata": {"name": name}, "data": data}
        self.store.create("secrets", NAMESPACE, secret)


@contextmanager
def double(folder: Path, image: Image, rules: Rules) -> Iterator[Double]:
    """A double that runs until the end of the block; so do its containers.

    Args:
        folder: its own, empty.
        image: the only one that can be pulled.
        rules: what the worker's service account may do.
    """
    cluster = Double(folder, image, rules)
    address: list[str] = []
    is_up = threading.Event()
    ends: list[Callable[[], None]] = []

    async def serve() -> None:
        # Watch streams last; a worker that is killed leaves them open.
        runner = web.AppRunner(cluster.server.application(), shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        running = asyncio.create_task(cluster.node.run())
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.call_soon_threadsafe(running.cancel)

        ends.append(end)
        is_up.set()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="kubernetes-double")
    thread.start()
    try:
        assert is_up.wait(10)
        for path, token in (
            (cluster.kubeconfig, ADMINISTRATOR),
            (cluster.worker_kubeconfig, WORKER),
        ):
            path.write_text(json.dumps(_kubeconfig(address[0], token)))
        yield cluster
    finally:
        for end in ends:
            end()
        thread.join()


def _kubeconfig(address: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": address}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}
        ],
    }


@contextmanager
def worker(
    cluster: Cluster, api_url: str, pool: str, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A Kubernetes worker as its own process, with its observer, in the role of its Deployment.

    Args:
        environment: as the Deployment sets it.
    """
    given = {
        **os.environ,
        **environment,
        "KUBECONFIG": str(cluster.worker_kubeconfig),
        "PREFECT_API_URL": api_url,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    # A worker hands its settings on to pods, which have no such file.
    given.pop(CERTIFICATES_VARIABLE, None)
    command = [sys.executable, "-m", "prefect", "worker", "start"]
    command += ["--pool", pool, "--type", "kubernetes", "--name", pool]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=given, cwd=PROJECT_ROOT, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Prefect:
    """The calls of Prefect's API that these tests make; a busy server is asked again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._api = PrefectApi(url, os.environ)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._api.call("POST", path, body)

    def get(self, path: str) -> Any:
        return self._api.call("GET", path)

    def delete(self, path: str) -> None:
        self._api.call("DELETE", path)

    def cancel(self, run_id: str) -> None:
        """As the button of the UI does."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.post(f"flow_runs/{run_id}/set_state", {"state": state})

    def create_pool(self, name: str, image: str) -> None:
        template = json.loads(TEMPLATE.read_text())
        template["variables"]["properties"]["image"]["default"] = image
        # A worker hands its settings on, and only that of a cluster has the image's folders.
        home = "/home/analytics/.prefect"
        folders = {"PREFECT_HOME": home, "PREFECT_PROFILES_PATH": f"{home}/profiles.toml"}
        template["variables"]["properties"]["env"]["default"] = folders
        body = {"name": name, "type": "kubernetes", "base_job_template": template}
        self.post("work_pools/", body)

    def deploy(self, pool: str, entrypoint: str, flow: str, variables: Mapping[str, Any]) -> str:
        flow_id = self.post("flows/", {"name": flow})["id"]
        body = {
            "name": f"{flow}-{pool}",
            "flow_id": flow_id,
            "work_pool_name": pool,
            "entrypoint": entrypoint,
            "pull_steps": [],
            "job_variables": dict(variables),
        }
        return str(self.post("deployments/", body)["id"])

    def start(
        self,
        deployment_id: str,
        parameters: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        body = {
            "parameters": dict(parameters),
            "job_variables": dict(variables or {}),
            "state": {"type": "SCHEDULED"},
        }
        return str(self.post(f"deployments/{deployment_id}/create_flow_run", body)["id"])

    def states(self, run_id: str) -> list[str]:
        """The names of the states that a run has been in, oldest first."""
        found = self.get(f"flow_run_states/?flow_run_id={run_id}")
        return [each["name"] for each in sorted(found, key=lambda each: each["timestamp"])]

    def logs(self, run_id: str) -> str:
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return "\n".join(each["message"] for each in self.post("logs/filter", body))

    def wait(self, run_id: str, names: Sequence[str], seconds: float = 240) -> list[str]:
        """The states of a run once it is in one of those named."""
        deadline = time.monotonic() + seconds
        while True:
            states = self.states(run_id)
            if states and states[-1] in names:
                return states
            assert time.monotonic() < deadline, f"{states} and not {names}: {self.logs(run_id)}"
            time.sleep(0.3)

    def create_automation(self, path: Path) -> str:
        return str(self.post("automations/", yaml.safe_load(path.read_text()))["id"])
