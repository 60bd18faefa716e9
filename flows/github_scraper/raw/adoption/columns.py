"""The columns that our statements need in tables that may be somebody else's."""

from typing import LiteralString, NamedTuple


class Column(NamedTuple):
    """``default`` holds for new rows, ``filling`` for those that are NULL, of which none stays."""

    type: LiteralString
    default: LiteralString | None = None
    filling: LiteralString | None = None


def _always(type_: LiteralString, value: LiteralString) -> Column:
    return Column(type_, value, value)


BIGINT, TEXT, MOMENT = Column("bigint"), Column("text"), Column("timestamp with time zone")
STAMPS = {
    "created_at": _always("timestamp with time zone", "now()"),
    "updated_at": _always("timestamp with time zone", "now()"),
}
PEOPLE = ("author_name", "author_email", "committer_name", "committer_email")
COLUMNS: dict[str, dict[str, Column]] = {
    "repositories": {
        "id": BIGINT,
        "url": Column("text", filling="'withheld:' || id"),
        "path_name": TEXT,
        "state": _always("text", "'pending'"),
        "error_message": TEXT,
        "is_empty": _always("boolean", "false"),
        "last_attempt_at": MOMENT,
        "last_processed_at": MOMENT,
        **STAMPS,
    },
    "contributors": {
        "id": BIGINT,
        "identity_key": TEXT,
        "merged_into": BIGINT,
        "username": TEXT,
        "email": TEXT,
        "display_name": TEXT,
        "profile_url": TEXT,
        **STAMPS,
    },
    "commits": {
        "id": BIGINT,
        "repository_id": BIGINT,
        "contributor_id": BIGINT,
        "commit_hash": TEXT,
        "parent_hashes": _always("text[]", "'{}'"),
        "is_date_clamped": Column("boolean", "false", "commit_date is null"),
        # As a date that cannot be read.
        "commit_date": Column("timestamp with time zone", filling="'epoch'"),
        "committed_at": Column("timestamp with time zone", filling="commit_date"),
        "author_epoch_seconds": Column("numeric"),
        "author_utc_offset": _always("text", "'+0000'"),
        "committer_epoch_seconds": Column("numeric"),
        "committer_utc_offset": _always("text", "'+0000'"),
        **{person: _always("text", "''") for person in PEOPLE},
        **{f"{person}_mapped": _always("text", "''") for person in PEOPLE},
        "commit_message": _always("text", "''"),
        "is_encoding_valid": _always("boolean", "true"),
        "lines_added": BIGINT,
        "lines_deleted": BIGINT,
        "files_changed": Column("integer"),
        "binary_files_changed": Column("integer"),
        "source": _always("text", "'application'"),
        "orphaned_at": MOMENT,
        **STAMPS,
    },
    "repository_contributors": {
        "id": BIGINT,
        "repository_id": BIGINT,
        "contributor_id": BIGINT,
        "commit_count": _always("integer", "0"),
        **STAMPS,
    },
}
# What rows are merged by has to be unique, under whatever name.
KEYS = {
    "repositories": ("url",),
    "contributors": ("identity_key",),
    "commits": ("commit_hash", "repository_id"),
    "repository_contributors": ("contributor_id", "repository_id"),
}
# `identity_id` comes after the fitting; each row of ours has it.
MUST_BE_KNOWN = {"commits": ("contributor_id",)}
OURS_WITHOUT_DEFAULT = {"identity_id"}
