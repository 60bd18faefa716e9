"""Objects in buckets, through Apache Arrow's own drivers: gs:// and s3:// addresses.

Options are, by "s3" and "gs", the arguments of ``pyarrow.fs.S3FileSystem`` and
``pyarrow.fs.GcsFileSystem``; without them the identity of the machine is used.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flows._shared.errors import PermanentError, TransientError

# Arrow says "no access" by text only.
REFUSED = re.compile(
    "ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|UNRECOGNIZED"
    r"|PERMISSION_DENIED|UNAUTHENTICATED|NO_SUCH_BUCKET|HTTP (status|response) code:? 40[134]",
    re.IGNORECASE,
)
NO_ACCESS = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
ADDRESS = re.compile(r"(gs|s3)://[^/]+(/.*)?")
POINTER = "latest.json"
# The one that readers may still be fetching, and the new one.
KEPT = 2
PIECE = 1 << 22
Options = Mapping[str, Mapping[str, Any]]


class BucketError(PermanentError):
    """No access, no such bucket, an option that the storage does not know."""


class BucketUnreachableError(TransientError):
    """The storage does not answer, or broke off."""


@dataclass(frozen=True)
class Version:
    """A file as it was published: its object's name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


def open_bucket(address: str, options: Options) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from pyarrow.fs import GcsFileSystem, S3FileSystem

    protocol, _, path = address.partition("://")
    kind = {"s3": S3FileSystem, "gs": GcsFileSystem}[protocol]
    return kind(**options.get(protocol, {})), path.strip("/")


def publish_file(file: Path, address: str, now: datetime, options: Options) -> Version:
    """Put a file into a bucket whole, then lead readers to it, then remove what is too old.

    Raises:
        BucketError, BucketUnreachableError: as they say.
    """
    with using(address, f"publishing {file.name} to {address}"):
        bucket, root = open_bucket(address, options)
        digest, size = hashlib.sha256(), 0
        name = f"{file.stem}-{now:%Y%m%dT%H%M%S%f}{file.suffix}"
        with file.open("rb") as content, bucket.open_output_stream(f"{root}/{name}") as stream:
            while piece := content.read(PIECE):
                digest.update(piece)
                size += len(piece)
                stream.write(piece)
        version = Version(name, size, digest.hexdigest())
        with bucket.open_output_stream(f"{root}/{POINTER}") as stream:
            stream.write(json.dumps(asdict(version)).encode())
        for path in _versions(bucket, root, file)[:-KEPT]:
            bucket.delete_file(path)
    return version


def newest(address: str, options: Options) -> Version:
    """What readers are led to.

    Raises:
        BucketError: nothing was published there, or what leads to it cannot be understood.
        BucketUnreachableError: as it says.
    """
    attempted = f"looking for what was published at {address}"
    with using(address, attempted):
        bucket, root = open_bucket(address, options)
        try:
            with bucket.open_input_stream(f"{root}/{POINTER}") as stream:
                found = json.loads(stream.read())
            return Version(str(found["name"]), int(found["size"]), str(found["sha256"]))
        except FileNotFoundError:
            seen, remedy = "nothing was published there yet", "Run the flow that publishes"
        except (ValueError, KeyError, TypeError) as error:
            seen, remedy = f"{POINTER} is not understood: {error}", "Publish again"
    raise BucketError(attempted, seen, remedy)


def fetch_file(version: Version, address: str, target: Path, options: Options) -> None:
    """Write a published file to ``target`` in one step, if it is whole.

    Raises:
        BucketUnreachableError: it is cut short, is no longer there, or the storage broke off.
        BucketError: as it says.
    """
    attempted = f"fetching {version.name} from {address}"
    part = target.with_name(f"{target.name}.part")
    digest, size = hashlib.sha256(), 0
    with using(address, attempted):
        bucket, root = open_bucket(address, options)
        try:
            with (
                bucket.open_input_stream(f"{root}/{Path(version.name).name}") as stream,
                part.open("wb") as written,
            ):
                while size <= version.size and (piece := stream.read(PIECE)):
                    digest.update(piece)
                    size += len(piece)
                    written.write(piece)
        except FileNotFoundError:
            size = 0
    if (size, digest.hexdigest()) != (version.size, version.sha256):
        part.unlink(missing_ok=True)
        raise BucketUnreachableError(
            attempted, f"{size:,} of {version.size:,} bytes are there", "It is tried again"
        )
    part.replace(target)


@contextmanager
def using(address: str, attempted: str) -> Iterator[None]:
    """Names what went wrong with a bucket."""
    try:
        yield
    except (TypeError, ValueError, KeyError) as error:
        raise BucketError(
            attempted, str(error), "Check the options in the block that `storage_block` names"
        ) from None
    except OSError as error:
        if isinstance(error, NO_ACCESS) or REFUSED.search(str(error)):
            raise BucketError(
                attempted,
                str(error),
                f"Grant access to {address}, check the address and the credentials",
            ) from None
        raise BucketUnreachableError(
            attempted, str(error), "Check that the storage is up; it is tried again"
        ) from None


def _versions(bucket: Any, root: str, file: Path) -> list[str]:
    from pyarrow.fs import FileSelector

    name = re.compile(rf"{re.escape(file.stem)}-\d{{8}}T\d{{12}}{re.escape(file.suffix)}")
    found = bucket.get_file_info(FileSelector(root, allow_not_found=True))
    return sorted(info.path for info in found if name.fullmatch(info.base_name))
