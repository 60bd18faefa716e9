"""BigQuery's client, and what dbt reads, from a block of prefect-gcp or from an emulator.

A `GcpCredentials` or a `BigQueryWarehouse` block holds the login. As with PostgreSQL only its
document is read: prefect-gcp brings clients of a dozen services along.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows._shared.bigquery_settings import BigQuerySettings
from flows._shared.errors import PermanentError
from flows._shared.input_files import require_regular_file
from flows._shared.orchestration.credentials import UnusableBlockError, block_document
from flows._shared.outgoing import check_proxies

if TYPE_CHECKING:
    from google.cloud import bigquery

EMULATOR = "BIGQUERY_EMULATOR_HOST"
# Projects are configured by it. They are parsed anew where a value that they read is another, as
# the emulator's address may be.
EMULATED = {"DBT_BIGQUERY_IS_EMULATED": "true"}
GCP = "gcp-credentials"
WAREHOUSE = "bigquery-warehouse"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
REQUIRED = ("private_key", "client_email", "token_uri")
GIGABYTE = 1_000_000_000


class GoogleLoginError(PermanentError):
    """The block's service account is not one that Google's library takes."""


@dataclass(frozen=True)
class BigQueryAccess:
    """Where BigQuery is and which block logs in; without a block the machine's identity does.

    Args:
        gcp_block: name of a GcpCredentials block.
        warehouse_block: name of a BigQueryWarehouse block, which is preferred.
    """

    project: str
    location: str
    gcp_block: str | None = None
    warehouse_block: str | None = None

    def client(self) -> "bigquery.Client":
        """Of the emulator that BIGQUERY_EMULATOR_HOST names, else of Google's own.

        Raises:
            MissingBlockError: no such block.
            UnusableBlockError, GoogleLoginError: the block's login is of no use.
            ProxyAddressError: the environment names a proxy that cannot be read.
            TransientError: the Prefect server did not answer.
        """
        check_proxies()
        # google-cloud-bigquery takes a second and 120 MiB to import: only who needs it pays.
        from google.api_core.client_options import ClientOptions
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        if endpoint := os.environ.get(EMULATOR):
            return bigquery.Client(
                project=self.project,
                credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
                client_options=ClientOptions(api_endpoint=endpoint),
                location=self.location,
            )
        return bigquery.Client(
            project=self.project, credentials=self._credentials(), location=self.location
        )

    def dbt_environment(self) -> dict[str, str]:
        """The login part of what a profile's BigQuery target reads. Errors as above."""
        common = {"DBT_BIGQUERY_PROJECT": self.project, "DBT_BIGQUERY_LOCATION": self.location}
        if endpoint := os.environ.get(EMULATOR):
            return common | {
                "DBT_BIGQUERY_METHOD": "oauth-secrets",
                "DBT_ENV_SECRET_BIGQUERY_TOKEN": "emulator",
                "DBT_BIGQUERY_API_ENDPOINT": endpoint,
                **EMULATED,
                "DBT_BIGQUERY_JOB_RETRIES": "0",
            }
        login = self._login()
        if info := login.get("service_account_info"):
            return common | {
                "DBT_BIGQUERY_METHOD": "service-account-json",
                "DBT_BIGQUERY_PRIVATE_KEY_ID": str(info.get("private_key_id", "")),
                "DBT_ENV_SECRET_BIGQUERY_PRIVATE_KEY": str(info["private_key"]),
                "DBT_BIGQUERY_CLIENT_EMAIL": str(info["client_email"]),
                "DBT_BIGQUERY_CLIENT_ID": str(info.get("client_id", "")),
            }
        if file := login.get("service_account_file"):
            return common | {
                "DBT_BIGQUERY_METHOD": "service-account",
                "DBT_BIGQUERY_KEYFILE": str(_key_file(file)),
            }
        return common | {"DBT_BIGQUERY_METHOD": "oauth"}

    def _credentials(self) -> Any:
        from google.oauth2 import service_account

        login = self._login()
        make = service_account.Credentials
        try:
            if info := login.get("service_account_info"):
                return make.from_service_account_info(info, scopes=SCOPES)  # type: ignore[no-untyped-call]
            if file := login.get("service_account_file"):
                path = _key_file(file)
                return make.from_service_account_file(path, scopes=SCOPES)  # type: ignore[no-untyped-call]
        except (ValueError, OSError) as error:
            raise GoogleLoginError(
                f"reading the block {self.warehouse_block or self.gcp_block}",
                f"it holds no usable service account ({type(error).__name__})",
                "Register it again from the JSON key of a service account",
            ) from None
        return None

    def _login(self) -> Mapping[str, Any]:
        if self.warehouse_block:
            document = block_document(self.warehouse_block, WAREHOUSE)
            login = document.get("gcp_credentials")
        elif self.gcp_block:
            login = block_document(self.gcp_block, GCP)
        else:
            return {}
        if not isinstance(login, Mapping):
            login = {"service_account_info": "no login"}
        info = login.get("service_account_info")
        if info is not None and (
            not isinstance(info, Mapping) or any(not info.get(name) for name in REQUIRED)
        ):
            raise UnusableBlockError(
                f"reading the block {self.warehouse_block or self.gcp_block}",
                "it holds no service account",
                "Register it again with `flows blocks register`",
            )
        return login


def _key_file(name: object) -> Path:
    path = Path(str(name)).expanduser()
    require_regular_file(path)
    return path


def bigquery_access(settings: BigQuerySettings) -> BigQueryAccess:
    """Where BigQuery is, and the block that logs in."""
    return BigQueryAccess(
        settings.project, settings.location, settings.gcp_block, settings.warehouse_block
    )


def bigquery_environment(settings: BigQuerySettings) -> dict[str, str]:
    """What the target `bigquery` of profiles.yml reads."""
    return bigquery_access(settings).dbt_environment() | {
        "DBT_BIGQUERY_DATASET": settings.dataset,
        "DBT_BIGQUERY_SOURCE_DATASET": settings.raw_dataset,
        "DBT_BIGQUERY_MAXIMUM_BYTES_BILLED": str(settings.maximum_gigabytes_billed * GIGABYTE),
    }
