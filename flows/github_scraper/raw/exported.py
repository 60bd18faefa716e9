"""Which raw tables are copied to BigQuery, and how a row that changed is told.

Names and e-mails of authors stay where they are, as far as no model reads them. The seconds git
wrote have no bound, which BigQuery's numbers do; the dates made of them are copied.
"""

from flows._shared.bigquery_export import CopiedTable

UNREAD_OF_COMMITS = (
    *("author_epoch_seconds", "author_utc_offset", "author_name", "author_email"),
    *("author_name_mapped", "author_email_mapped"),
    *("committer_epoch_seconds", "committer_utc_offset", "committer_name", "committer_email"),
    *("committer_name_mapped", "committer_email_mapped"),
)
TABLES = (
    CopiedTable("public", "repositories", ("id",), "updated_at"),
    CopiedTable("public", "contributors", ("id",), "updated_at"),
    CopiedTable(
        "public",
        "commits",
        ("id",),
        "updated_at",
        excluded=UNREAD_OF_COMMITS,
        cluster_by=("repository_id",),
    ),
    CopiedTable(
        "public",
        "commit_coauthors",
        ("repository_id", "commit_hash", "position"),
        "created_at",
        excluded=("name", "email", "name_mapped", "email_mapped"),
        cluster_by=("repository_id",),
    ),
    CopiedTable("public", "repository_contributors", ("id",), "updated_at"),
    CopiedTable("public", "repository_metadata", ("repository_id",), "updated_at"),
    CopiedTable("public", "organization_domains", ("id",)),
    CopiedTable("public", "repository_heads", ("repository_id",), "observed_at"),
)
