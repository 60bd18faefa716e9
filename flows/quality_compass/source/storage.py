"""Opens addresses: what fsspec knows by itself, and buckets through Apache Arrow's own drivers."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Any

import fsspec
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.local import LocalFileSystem

from flows._shared.input_files import open_input
from flows._shared.outgoing import check_proxies
from flows.quality_compass.records import (
    RunNotFoundError,
    StorageError,
    StorageUnreachableError,
)

# Hadoop's names for a bucket are the same bucket.
BUCKETS = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs"}
READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
# Arrow's own limit is 15 minutes; whoever waits that long sees no message meanwhile.
GCS_RETRIES = timedelta(seconds=60)
# Arrow says "no access" by text only.
REFUSED = re.compile(
    "ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|UNRECOGNIZED"
    r"|PERMISSION_DENIED|UNAUTHENTICATED|HTTP (status|response) code:? 40[13]",
    re.IGNORECASE,
)


class _Bucket(ArrowFSWrapper):  # type: ignore[misc]
    """One request lists a prefix; folders are what the keys spell, for a bucket has none."""

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **options: Any
    ) -> Any:
        from pyarrow.fs import FileSelector, FileType

        top = path.rstrip("/")
        selector = FileSelector(top, allow_not_found=True, recursive=True)
        keys = [info.path for info in self.fs.get_file_info(selector) if info.type is FileType.File]
        bucket = top.partition("/")[0]
        if not keys and self.fs.get_file_info(bucket).type is FileType.NotFound:
            raise RunNotFoundError(
                f"looking into {path}", f"there is no bucket {bucket}", "Check the address"
            )
        found = {key: {"name": key, "type": "file"} for key in keys}
        for key in keys if withdirs else ():
            while (key := key.rpartition("/")[0]) not in found and len(key) > len(top):
                found[key] = {"name": key, "type": "directory"}
        return found if options.get("detail") else sorted(found)

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        # As a stream: one request for a file, and no size to ask for first.
        return super()._open(path, "rb", seekable=False)


class Storage:
    """Reads of any address, with the credentials of each kind of bucket.

    Args:
        options: by "s3" and "gs", the arguments of ``pyarrow.fs.S3FileSystem`` and
            ``pyarrow.fs.GcsFileSystem``. None: the machine's own identity.
        service_account: content of a Google service account's JSON key, for gs:// addresses.
    """

    def __init__(
        self,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        service_account: Mapping[str, Any] | None = None,
    ) -> None:
        self._options = options or {}
        self._service_account = service_account
        self._buckets: dict[str, Any] = {}
        self._token: Any = None

    def at(self, address: str) -> tuple[Any, str]:
        """The fsspec file system of an address and the path in it. Errors as ``reading``."""
        protocol, separator, path = address.partition("://")
        if not separator or protocol not in BUCKETS:
            storage, local = fsspec.core.url_to_fs(address)
            return storage, local
        arrow = self._s3() if BUCKETS[protocol] == "s3" else self._gs()
        return _Bucket(arrow, skip_instance_cache=True), path.rstrip("/")

    def opened(self, address: str, within: str | None) -> Any:
        """The bytes at an address; of this machine, a regular file from which no link leads out of
        ``within``. Errors as ``reading``, and InputFileRefusedError."""
        system, path = self.at(address)
        if isinstance(system, LocalFileSystem):
            return open_input(path, within)
        return system.open(path, "rb")

    def _s3(self) -> Any:
        from pyarrow.fs import S3FileSystem

        if "s3" not in self._buckets:
            self._buckets["s3"] = S3FileSystem(**self._options.get("s3", {}))
        return self._buckets["s3"]

    def _gs(self) -> Any:
        from pyarrow.fs import GcsFileSystem

        options = {"retry_time_limit": GCS_RETRIES, **self._options.get("gs", {})}
        if self._service_account is not None:
            if self._token is not None and self._token.valid:
                return self._buckets["gs"]
            self._token = self._fresh_token(self._service_account)
            options["access_token"] = self._token.token
            options["credential_token_expiration"] = self._token.expiry.replace(tzinfo=UTC)
            self._buckets["gs"] = GcsFileSystem(**options)
        elif "gs" not in self._buckets:
            self._buckets["gs"] = GcsFileSystem(**options)
        return self._buckets["gs"]

    def _fresh_token(self, service_account: Mapping[str, Any]) -> Any:
        from google.auth.exceptions import RefreshError, TransportError
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        check_proxies()
        attempted = "signing in to Google Cloud Storage"
        try:
            make = Credentials.from_service_account_info
            token = make(service_account, scopes=[READ_ONLY])  # type: ignore[no-untyped-call]
            token.refresh(Request())
        except TransportError:
            raise StorageUnreachableError(
                attempted, "the token endpoint did not answer", "Check the network; run again"
            ) from None
        except (RefreshError, ValueError) as error:
            raise StorageError(
                attempted,
                f"the service account was refused ({type(error).__name__})",
                "Save the JSON key of a service account that may read the bucket in `gcp_block`",
            ) from None
        return token


@contextmanager
def reading(attempted: str) -> Iterator[None]:
    """Names what went wrong with a storage.

    Raises:
        RunNotFoundError: nothing at the address.
        StorageError: no driver, an option the driver does not know, no access.
        StorageUnreachableError: no answer, or it broke off.
    """
    try:
        yield
    except (ImportError, ValueError, TypeError) as error:
        raise StorageError(
            attempted,
            str(error),
            "Name a local path, a gs:// or an s3:// address; check the options in `storage_block`",
        ) from None
    except FileNotFoundError:
        raise RunNotFoundError(
            attempted, "there is nothing at this address", "Check the address"
        ) from None
    except OSError as error:
        if isinstance(error, PermissionError) or REFUSED.search(str(error)):
            raise StorageError(
                attempted,
                str(error),
                "Grant read access, or set the credentials in `storage_block` or `gcp_block`",
            ) from None
        raise StorageUnreachableError(
            attempted, str(error), "Check that the storage is up and reachable from here"
        ) from None
