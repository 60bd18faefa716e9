"""What an export fails with, and what psycopg and Google's libraries raise told as that."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pyarrow as pa
import requests
from google.api_core.exceptions import GoogleAPIError, RetryError, ServerError, TooManyRequests
from google.auth.exceptions import GoogleAuthError, TransportError

from flows._shared.errors import PermanentError, TransientError


class ExportSourceError(PermanentError):
    """The source has not what is to be exported."""


class SchemaChangedError(PermanentError):
    """A column has another type than its copy."""


class ExportMismatchError(PermanentError):
    """After an export the copy is not equal to its source."""


class BigQueryRefusedError(PermanentError):
    """BigQuery does not take what it was given."""


class BigQueryUnavailableError(TransientError):
    """BigQuery did not answer, or asks to come back later."""


class SourceUnavailableError(TransientError):
    """PostgreSQL did not answer, or the connection broke."""


class ExportRunningError(TransientError):
    """Another export of the same table is running."""


@contextmanager
def told_as_ours(attempted: str) -> Iterator[None]:
    """What psycopg and Google's libraries raise becomes one of this module's errors."""
    try:
        yield
    except psycopg.errors.ProgramLimitExceeded as error:
        remedy = "Shorten the row, or exclude the column: PostgreSQL cannot write it as text"
        raise ExportSourceError(attempted, str(error), remedy) from error
    except psycopg.OperationalError as error:
        remedy = "Check that PostgreSQL is up and reachable from here, and the block's login"
        raise SourceUnavailableError(attempted, str(error), remedy) from error
    except psycopg.errors.InsufficientPrivilege as error:
        remedy = (
            "Let the role of the block select from it; where row-level security keeps rows back, "
            "also `alter role ... bypassrls`, or export a view that says which rows it has"
        )
        raise ExportSourceError(attempted, str(error), remedy) from error
    except (psycopg.Error, pa.ArrowInvalid) as error:
        remedy = "Correct the rows or the rights, or exclude the column"
        raise ExportSourceError(attempted, str(error), remedy) from error
    except (
        *(ServerError, TooManyRequests, RetryError, TimeoutError),
        *(requests.ConnectionError, requests.Timeout, TransportError),
    ) as error:
        raise BigQueryUnavailableError(attempted, str(error), "Try again later") from error
    except (GoogleAPIError, GoogleAuthError) as error:
        remedy = "Check the project, its datasets and the roles of the service account"
        raise BigQueryRefusedError(attempted, str(error), remedy) from error
