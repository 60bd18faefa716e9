"""A job controller and a node that runs containers as processes of this machine.

What a container gets here as there: its command, its environment (the image's, secrets, the
manifest's), a directory per volume, SIGTERM and then SIGKILL when it is to end, and SIGKILL of the
whole process tree at its memory limit. Where this machine allows it (`can_isolate`), nothing else
can be written to. What it does not get: a CPU limit and a file system of its own; paths of the
image and of volumes in the environment are replaced by the paths they have here.
"""

import asyncio
import base64
import copy
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.deployments.kubernetes.store import Object, Store, now

# Each goes through all processes of the machine, for every pod.
SECONDS_BETWEEN_LOOKS = 0.5
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}
READ_ONLY = Path(__file__).with_name("read_only.sh")


@dataclass(frozen=True)
class Image:
    """A container image that is not in a container.

    Args:
        environment: as its Dockerfile sets it.
        working_dir: a path of this machine.
        paths: where folders of the image are on this machine.
    """

    environment: dict[str, str]
    working_dir: Path
    paths: Mapping[str, str]


@dataclass
class Usage:
    """What a pod used at most; ``limit`` and ``peak`` in bytes of resident memory, all processes
    added up, shared pages counted in each."""

    limit: int
    peak: int = 0


@dataclass
class _Running:
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    grace: int = 0


class Node:
    """Runs the jobs of a store.

    Args:
        store: watched for jobs; gets pods and statuses.
        images: by name; every other name cannot be pulled.
        folder: for volumes and logs.
    """

    def __init__(self, store: Store, images: Mapping[str, Image], folder: Path) -> None:
        self._store = store
        self._images = images
        self._folder = folder
        self._pods: dict[str, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.usage: dict[str, Usage] = {}

    def log_of(self, pod: str) -> Path:
        return self._folder / pod / "log"

    async def run(self) -> None:
        """Run every job that is created, until cancelled; then nothing is left running."""
        try:
            async for change in self._store.watch("jobs", None, "", 0):
                if change.kind == "ADDED":
                    name = change.content["metadata"]
                    job = self._store.get("jobs", name["namespace"], name["name"])
                    if job:
                        task = asyncio.create_task(self._run_job(job))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def delete_pod(self, pod: Object, grace: int | None) -> None:
        metadata = pod["metadata"]
        if metadata["name"] not in self._pods:
            self._store.delete("pods", pod)
            return
        running = self._pods[metadata["name"]]
        own = pod["spec"].get("terminationGracePeriodSeconds", 30)
        running.grace = own if grace is None else grace
        metadata["deletionTimestamp"] = now()
        self._store.update("pods", pod)
        running.ends.set()

    def delete_job(self, job: Object) -> None:
        for pod in self._pods_of(job):
            self.delete_pod(pod, None)
        self._store.delete("jobs", job)

    def _pods_of(self, job: Object) -> list[Object]:
        metadata = job["metadata"]
        selector = f"controller-uid={metadata['uid']}"
        return self._store.list("pods", metadata["namespace"], selector)

    async def _run_job(self, job: Object) -> None:
        spec = job["spec"]
        status: Object = {"active": 1, "ready": 0, "startTime": now(), "failed": 0}
        job["status"] = status
        reason = "BackoffLimitExceeded"
        try:
            async with asyncio.timeout(spec.get("activeDeadlineSeconds")):
                while status["failed"] <= spec.get("backoffLimit", 6):
                    self._store.update("jobs", job)
                    if await self._run_pod(job):
                        status |= {"active": 0, "succeeded": 1, "completionTime": now()}
                        self._conclude(job, "Complete", "CompletionsReached")
                        break
                    status["failed"] += 1
        except TimeoutError:
            status["failed"] += 1
            reason = "DeadlineExceeded"
        if not status.get("succeeded"):
            status["active"] = 0
            self._conclude(job, "Failed", reason)
        ttl = spec.get("ttlSecondsAfterFinished")
        if ttl is not None:
            await asyncio.sleep(ttl)
            self.delete_job(job)

    def _conclude(self, job: Object, kind: str, reason: str) -> None:
        job["status"]["conditions"] = [{"type": kind, "status": "True", "reason": reason}]
        metadata = job["metadata"]
        if self._store.get("jobs", metadata["namespace"], metadata["name"]):
            self._store.update("jobs", job)

    async def _run_pod(self, job: Object) -> bool:
        """One pod of a job from its creation to its end; whether it succeeded."""
        metadata = job["metadata"]
        template = copy.deepcopy(job["spec"]["template"])
        own = {"job-name": metadata["name"], "controller-uid": metadata["uid"]}
        labels = {**template.get("metadata", {}).get("labels", {}), **own}
        pod: Object = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "labels": labels,
                "annotations": template.get("metadata", {}).get("annotations", {}),
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    }
                ],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "containerStatuses": []},
        }
        self._store.create("pods", metadata["namespace"], pod)
        name = pod["metadata"]["name"]
        running = self._pods[name] = _Running()
        try:
            return await self._run_container(pod, running)
        except asyncio.CancelledError:
            # The job's deadline: the job controller deletes its pods.
            self._store.delete("pods", pod)
            raise
        finally:
            del self._pods[name]
            if running.ends.is_set():
                self._store.delete("pods", pod)

    async def _run_container(self, pod: Object, running: _Running) -> bool:
        container = pod["spec"]["containers"][0]
        image = self._images.get(container["image"])
        if image is None:
            message = f'Back-off pulling image "{container["image"]}"'
            self._wait_in_vain(pod, "ImagePullBackOff", message)
            await running.ends.wait()
            return False
        try:
            environment = self._environment(pod, container, image)
        except LookupError as error:
            self._wait_in_vain(pod, "CreateContainerConfigError", str(error))
            await running.ends.wait()
            return False
        command = [*container.get("command", ()), *container["args"]]
        program = next(
            (
                found
                for folder in environment["PATH"].split(":")
                if (found := Path(folder, command[0])).exists()
            ),
            Path(command[0]),
        )
        given = [str(program), *command[1:]]
        if container["securityContext"].get("readOnlyRootFilesystem") and can_isolate():
            folders = ":".join(folder for _, folder in self._volumes(pod, container))
            given = ["unshare", "--mount", "sh", str(READ_ONLY), folders, *given]
        with self.log_of(pod["metadata"]["name"]).open("wb") as log:
            process = subprocess.Popen(
                given,
                env=environment,
                cwd=image.working_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._set_status(pod, "Running", {"running": {"startedAt": now()}})
        limit = container["resources"]["limits"]["memory"]
        usage = self.usage[pod["metadata"]["name"]] = Usage(bytes_of(limit))
        try:
            is_out_of_memory = await self._until_it_ends(process, running, usage)
        finally:
            _kill(process)
        code = process.wait()
        code = 128 - code if code < 0 else code
        phase = "Failed" if code else "Succeeded"
        reason = "OOMKilled" if is_out_of_memory else "Error" if code else "Completed"
        ended = {"exitCode": code, "reason": reason, "finishedAt": now()}
        self._set_status(pod, phase, {"terminated": ended})
        return code == 0

    async def _until_it_ends(
        self, process: subprocess.Popen[bytes], running: _Running, usage: Usage
    ) -> bool:
        """Wait for the end of a process, or bring it about; whether it was for want of memory."""
        kill_at: float | None = None
        clock = asyncio.get_running_loop().time
        while process.poll() is None:
            usage.peak = max(usage.peak, _resident(process.pid))
            if usage.peak > usage.limit:
                return True
            if running.ends.is_set() and kill_at is None:
                kill_at = clock() + running.grace
                if running.grace:
                    process.send_signal(signal.SIGTERM)
            if kill_at is not None and clock() >= kill_at:
                return False
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        return False

    def _wait_in_vain(self, pod: Object, reason: str, message: str) -> None:
        self._set_status(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def _set_status(self, pod: Object, phase: str, state: Object) -> None:
        container = pod["spec"]["containers"][0]
        pod["status"] = {
            "phase": phase,
            "startTime": pod["metadata"]["creationTimestamp"],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": container["image"],
                    "ready": phase == "Running",
                    "restartCount": 0,
                    "state": state,
                }
            ],
        }
        self._store.update("pods", pod)

    def _environment(self, pod: Object, container: Object, image: Image) -> dict[str, str]:
        given = dict(image.environment)
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                assert source["configMapRef"]["optional"], "this node knows no ConfigMaps"
                continue
            reference = source["secretRef"]
            given |= self._secret(pod, reference["name"], reference.get("optional", False))
        for entry in container.get("env", ()):
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                values = self._secret(pod, reference["name"], reference.get("optional", False))
                if reference["key"] in values:
                    given[entry["name"]] = values[reference["key"]]
            else:
                given[entry["name"]] = entry.get("value", "")
        paths = dict(image.paths) | dict(self._volumes(pod, container))
        return {name: _translated(value, paths) for name, value in given.items()}

    def _secret(self, pod: Object, name: str, is_optional: bool) -> dict[str, str]:
        found = self._store.get("secrets", pod["metadata"]["namespace"], name)
        if found is None and not is_optional:
            raise LookupError(f'secret "{name}" not found')
        data = (found or {}).get("data", {})
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _volumes(self, pod: Object, container: Object) -> Iterator[tuple[str, str]]:
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes", ())
            if "persistentVolumeClaim" in volume
        }
        for mount in container.get("volumeMounts", ()):
            name = mount["name"]
            place = f"claims/{claims[name]}" if name in claims else pod["metadata"]["name"]
            folder = self._folder / place / name
            folder.mkdir(parents=True, exist_ok=True)
            yield mount["mountPath"], str(folder)
        (self._folder / pod["metadata"]["name"]).mkdir(exist_ok=True)


@cache
def can_isolate() -> bool:
    """Whether this user may make mount namespaces, as a node does for its containers."""
    with TemporaryDirectory() as folder:
        command = ["unshare", "--mount", "sh", str(READ_ONLY), folder, "true"]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False


def bytes_of(quantity: str) -> int:
    """``512Mi`` as a number of bytes."""
    for unit, size in UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * size)
    return int(quantity)


def _translated(value: str, paths: Mapping[str, str]) -> str:
    """A path, or several with colons between, as they are on this machine."""
    if not value.startswith("/"):
        return value
    return ":".join(_here(part, paths) for part in value.split(":"))


def _here(part: str, paths: Mapping[str, str]) -> str:
    for there in sorted(paths, key=len, reverse=True):
        if part == there or part.startswith(f"{there}/"):
            return paths[there] + part.removeprefix(there)
    return part


def _resident(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += each.memory_info().rss
    return total


def _kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a container and whatever it started, as the end of a control group does."""
    with suppress(psutil.Error):
        root = psutil.Process(process.pid)
        root.suspend()
        for each in [*root.children(recursive=True), root]:
            with suppress(psutil.Error):
                each.kill()
