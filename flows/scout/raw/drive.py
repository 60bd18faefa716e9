"""Up to where folders of Google Drive were loaded."""

from datetime import datetime

import psycopg


def drive_page_token(connection: psycopg.Connection, folder_id: str) -> str | None:
    """Up to where a Drive folder was loaded, None if it never was."""
    row = connection.execute(
        "select page_token from scout.drive_folders where folder_id = %s", (folder_id,)
    ).fetchone()
    return str(row[0]) if row else None


def save_drive_page_token(
    connection: psycopg.Connection, folder_id: str, page_token: str, now: datetime
) -> None:
    connection.execute(
        """
        insert into scout.drive_folders (folder_id, page_token, updated_at) values (%s, %s, %s)
        on conflict (folder_id) do update
        set page_token = excluded.page_token, updated_at = excluded.updated_at
        """,
        (folder_id, page_token, now),
    )
