"""What silver rejected, as the message of a failing gate tells it."""

import psycopg

from flows.scout.records import Rejections

MANY_REASONS = 5


def commonest_rejections(connection: psycopg.Connection) -> list[Rejections]:
    """The commonest reasons of silver, each with the file or delivery that has most of them."""
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
        limit %s
        """,
        (MANY_REASONS,),
    ).fetchall()
    return [Rejections(*row) for row in rows]
