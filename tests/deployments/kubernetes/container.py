"""The image as buildah builds it, and containers of it, without a registry of images.

The base that the Dockerfile names cannot be pulled everywhere. In its place stands one made of
Debian's packages, with the Python that runs the tests in /usr/local, as that image has it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployments.local.paths import PROJECT_ROOT

SUITE = "bookworm"
# What Python's own modules are linked with.
LIBRARIES = (
    "ca-certificates libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 libreadline8 libsqlite3-0 "
    "libssl3 libuuid1 zlib1g"
)
BASE, IMAGE = "localhost/python", "localhost/analytics-flows"
EPOCH = 1_700_000_000
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SECONDS = 1_500
# The machine's Python has packages of its own; the image's base has these.
PACKAGES = ("pip", "setuptools", "wheel")


class Builder:
    """buildah with images of its own below a folder; skips the test where it cannot work."""

    def __init__(self, folder: Path) -> None:
        for program in ("buildah", "mmdebstrap"):
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed: apt-get install buildah mmdebstrap")
        if os.geteuid() != 0:
            pytest.skip("containers are chroots here, which only root makes")
        self._folder = folder

    def make_base(self) -> None:
        """The stand-in of the base image."""
        root, context = self._folder / "root", self._folder / "context"
        command = ["mmdebstrap", "--mode=root", "--variant=apt"]
        command += [f"--include={LIBRARIES.replace(' ', ',')}", SUITE, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode:
            pytest.skip(f"Debian's packages cannot be had: {done.stderr.splitlines()[-1:]}")
        _copy_python(root / "usr" / "local")
        subprocess.run(["chroot", root, "ldconfig"], check=True)
        shutil.copyfile(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        context.mkdir()
        subprocess.run(["tar", "-C", root, "-cf", context / "base.tar", "."], check=True)
        shutil.rmtree(root)
        path = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        (context / "Containerfile").write_text(f"FROM scratch\nADD base.tar /\nENV PATH={path}\n")
        self._run("bud", "--tag", BASE, str(context))
        shutil.rmtree(context)

    def build(self) -> None:
        """The image, by the Dockerfile as it is."""
        given = {"PYTHON_IMAGE": BASE, "SOURCE_DATE_EPOCH": str(EPOCH)}
        arguments = [f"--build-arg={name}={value}" for name, value in given.items()]
        dockerfile = str(PROJECT_ROOT / "deployments" / "Dockerfile")
        self._run("bud", *arguments, "--file", dockerfile, "--tag", IMAGE, str(PROJECT_ROOT))

    def container(self) -> str:
        """The name of a new container of the image."""
        return self._run("from", IMAGE).strip()

    def run(self, container: str, *command: str, **environment: str) -> str:
        """What a command says within a container, as the image's user."""
        options = [f"--env={name}={value}" for name, value in environment.items()]
        return self._run("run", *options, container, "--", *command)

    def megabytes(self, image: str = IMAGE) -> float:
        """Of all files of an image."""
        [found] = json.loads(self._run("images", "--json", image))
        number, unit = found["size"].split()
        return float(number) * {"KB": 0.001, "MB": 1, "GB": 1000}[unit]

    def _run(self, verb: str, *arguments: str) -> str:
        store = [f"--root={self._folder / 'store'}", f"--runroot={self._folder / 'run'}"]
        command = ["buildah", *store, "--storage-driver=vfs", verb]
        environment: Mapping[str, str] = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            [*command, *arguments],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"buildah {verb}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout


def _copy_python(to: Path) -> None:
    """The Python that runs this, without the packages that somebody installed into it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = Path(sys.base_prefix)
    (to / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(home / "bin" / version, to / "bin" / version)
    for name in ("python", "python3"):
        (to / "bin" / name).symlink_to(version)
    for library in home.glob("lib/libpython*"):
        (to / "lib").mkdir(exist_ok=True)
        shutil.copy(library, to / "lib", follow_symlinks=False)
    ignored = shutil.ignore_patterns("site-packages", "__pycache__", "test")
    shutil.copytree(home / "lib" / version, to / "lib" / version, symlinks=True, ignore=ignored)
    own = to / "lib" / version / "site-packages"
    own.mkdir()
    for name in PACKAGES:
        for found in (home / "lib" / version / "site-packages").glob(f"{name}*"):
            if found.name == name or found.name.startswith(f"{name}-"):
                shutil.copytree(found, own / found.name)
