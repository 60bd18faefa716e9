"""What keeps this domain from loading, each situation by its name."""

from datetime import datetime

from flows._shared.errors import PermanentError, TransientError


class RepositoryNotFoundError(PermanentError):
    """There is no repository at the address, or the credentials may not see it."""


class MartsDifferError(PermanentError):
    """A mart on BigQuery does not hold what it holds on PostgreSQL."""


class RepositoryAddressError(PermanentError):
    """The address is not one that may be fetched from."""


class RepositoryNotKnownError(PermanentError):
    """There is no row of that repository."""


class RepositoryTooLargeError(PermanentError):
    """The mirror would grow past the configured size."""


class RepositoryEmptiedError(PermanentError):
    """A repository that had commits shows none: loading that would orphan everything."""


class ApplicationTablesError(PermanentError):
    """The leaderboard application's own tables have another shape than the one that is known."""


class SourceCorruptError(PermanentError):
    """An object of the repository is missing or damaged where it is fetched from."""


class DefaultBranchError(PermanentError):
    """HEAD leads to no commit, though the repository has some."""


class LoginRequiredError(TransientError):
    """The host asks for a login. GitHub also does so for public clones in busy periods."""


class RepositoryUnreachableError(TransientError):
    """The host did not answer, or broke off."""


class MirrorBusyError(TransientError):
    """Another run holds the mirror."""


class MirrorBrokenError(TransientError):
    """The mirror on disk cannot be read; it is dropped and cloned again."""


class IncompleteWalkError(TransientError):
    """git log gave another number of commits than the graph has."""


class GitCommandError(TransientError):
    """git failed in a way that none of the other errors names: nobody knows that it is for good."""


class HostUntrustedError(PermanentError):
    """The certificate or the key of the host is not the one that is trusted."""


class FolderNotOursError(PermanentError):
    """git refuses a folder that belongs to another user."""


class DiskFullError(TransientError):
    """There is no room for the mirror."""


class ApiConfigurationError(PermanentError):
    """The settings of the API cannot work: no token where one is needed, or a malformed one."""


class TokenRejectedError(PermanentError):
    """GitHub does not know the token, or it has expired."""


class AccessDeniedError(PermanentError):
    """The token is good and may not do this."""


class RepositoryGoneError(PermanentError):
    """410: GitHub says that it is gone for good."""


class RepositoryBlockedError(PermanentError):
    """451: withheld for legal reasons."""


class RepositoryMissingError(PermanentError):
    """A known repository answers 404. Its rows stay; see ``repositories.missing_since``."""


class EmptyRepositoryError(PermanentError):
    """409: the repository has no commits. A state, not a failure: callers turn it into one."""


class WalkImpossibleError(PermanentError):
    """The API cannot list this (too deep, too large, base vanished): another way is needed."""


class RedirectRefusedError(PermanentError):
    """A redirect to another host, to nowhere, or in a circle."""


class ApiRequestError(PermanentError):
    """GitHub refused the request in a way that none of the other errors names."""


class ApiUnavailableError(TransientError):
    """No usable answer: a 5xx, a time-out, a broken connection, a body cut short, HTML."""


class NotReadyError(TransientError):
    """202: GitHub is still computing the answer."""


class RepositoryBusyError(TransientError):
    """Another run is reading this repository over the API."""


class RateLimitedError(TransientError):
    """Every token is out of budget or parked for longer than a run should wait in a worker.

    ``retry_at`` is the earliest moment (UTC) at which one of them may be used again.
    """

    def __init__(
        self, attempted: str, seen: str, remedy: str, retry_at: datetime | None = None
    ) -> None:
        super().__init__(attempted, seen, remedy)
        self.retry_at = retry_at
