"""What silver rejected, as the message of a failing gate tells it."""

import psycopg

from flows.scout.records import Rejections

MANY_REASONS = 5


def commonest_rejections(
    connection: psycopg.Connection, is_of_missing: bool = False
) -> list[Rejections]:
    """The commonest reasons of silver, each with the file or delivery that has most of them.

    Args:
        is_of_missing: only those by which a critical field is missing.
    """
    built = connection.execute("select to_regclass('silver.silver_rejected_transactions')")
    if built.fetchone() == (None,):
        return []
    rows = connection.execute(
        """
        with counted as (
            select
                rejection_reason,
                coalesce(source_filename, 'payloads without a file') as name,
                count(*) as payloads
            from silver.silver_rejected_transactions
            where rejection_reason <> 'superseded'
                and (not %(is_of_missing)s or rejection_reason ~ '^(missing_|not_an_object)')
            group by 1, 2
        ),

        ranked as (
            select
                *,
                sum(payloads) over (partition by rejection_reason) as of_the_reason,
                row_number() over (
                    partition by rejection_reason order by payloads desc, name
                ) as place
            from counted
        )

        select rejection_reason, of_the_reason::bigint, name, payloads from ranked
        where place = 1
        order by of_the_reason desc, rejection_reason
        limit %(many)s
        """,
        {"is_of_missing": is_of_missing, "many": MANY_REASONS},
    ).fetchall()
    return [Rejections(*row) for row in rows]
