"""What is told of a run that was loaded: what its files lack, and what in them was not taken."""

from collections import Counter
from collections.abc import Sequence

import psycopg

from flows._shared.counted import counted
from flows.quality_compass.records import RawLine, Run

# In a note, which people read.
NAMED = 20


class LinesTold:
    """Rows of which something was not read: of each file and reason the first, and how many."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], int] = {}
        self._lines: Counter[tuple[str, str]] = Counter()

    def take(self, file_path: str, lines: Sequence[RawLine]) -> None:
        for line in lines:
            if line.told:
                self._first.setdefault((file_path, line.told), line.line_number)
                self._lines[file_path, line.told] += 1

    def notes(self) -> list[str]:
        return [
            f"{path}: line {self._first[path, told]} {told}"
            + (f"; so it is in {counted(lines - 1, 'more line')}" if lines > 1 else "")
            for (path, told), lines in sorted(self._lines.items())[:NAMED]
        ]


COUNTS_THAT_DIFFER = """
select
    entities.file_path || ' has ' || entities.lines || ' entities, its first line says '
    || nodes.stated
from (
    select
        file_path,
        rows + quarantined - 1 as lines
    from public.raw_files
    where run_id = %(run_id)s and kind = 'node'
) as entities
inner join (
    select
        file_path,
        regexp_replace(cast(json_data as jsonb) ->> 'entity_results_count', '\\.0+$', '') as stated
    from public.raw_node_results
    where run_id = %(run_id)s
) as nodes
    on entities.file_path = nodes.file_path
where nodes.stated is distinct from cast(entities.lines as text) and nodes.stated is not null
order by 1
"""


def counts_that_differ(connection: psycopg.Connection, run_id: str) -> list[str]:
    """Files that a cut or an unfinished write left with fewer lines, or more, than they claim."""
    found = connection.execute(COUNTS_THAT_DIFFER, {"run_id": run_id}).fetchall()
    return [row[0] for row in found[:NAMED]]


EMPTY_FILES = """
select file_path || ' is empty'
from public.raw_files
where run_id = %(run_id)s and (rows + quarantined = 0 or bytes = 0)
order by 1
"""


def empty_files(connection: psycopg.Connection, run_id: str) -> list[str]:
    """Files without a line: a node has at least its first, of the others it may be a mistake."""
    return [row[0] for row in connection.execute(EMPTY_FILES, {"run_id": run_id})][:NAMED]


TOLD_IN_SEVERAL_WAYS = """
with lines as (
    select 'entity' as kind, file_path, line_number, row_key, md5(json_data) as content
    from public.raw_entity_results
    where run_id = %(run_id)s
    union all
    select 'contribution', file_path, line_number, row_key, md5(json_data)
    from public.raw_contributions
    where run_id = %(run_id)s
    union all
    select 'classification', file_path, line_number, row_key, md5(json_data)
    from public.raw_classifications
    where run_id = %(run_id)s
),

repeated as (
    select
        max(file_path) as file_path,
        (array_agg(line_number order by file_path desc, line_number desc))[1] as line_number
    from lines
    group by kind, row_key
    having count(distinct content) > 1
)

select
    file_path || ' tells ' || count(*) || ' in another way than an earlier line, and counts: line '
    || min(line_number)
from repeated
group by file_path
order by file_path
"""


def told_in_several_ways(connection: psycopg.Connection, run_id: str) -> list[str]:
    """Lines that take the place of another of the same entity: the last one counts."""
    found = connection.execute(TOLD_IN_SEVERAL_WAYS, {"run_id": run_id}).fetchall()
    return [row[0] for row in found[:NAMED]]


def lines_held(connection: psycopg.Connection, run_id: str) -> dict[str, int]:
    """Lines by file, those put aside included; of a node its entities."""
    return dict(
        connection.execute(
            "select file_path, rows + quarantined - case when kind = 'node' then 1 else 0 end "
            "from public.raw_files where run_id = %s",
            (run_id,),
        ).fetchall()
    )


def record_unread(connection: psycopg.Connection, run: Run) -> None:
    """Replace what a run's folder has that was not read, where it is other than before."""
    before = connection.execute(
        "select file_path from public.raw_unread_files where run_id = %s", (run.run_id,)
    ).fetchall()
    if sorted(path for (path,) in before) == sorted(run.unread):
        return
    connection.execute("delete from public.raw_unread_files where run_id = %s", (run.run_id,))
    with connection.cursor().copy(
        "copy public.raw_unread_files (run_id, file_path) from stdin"
    ) as copy:
        for path in run.unread:
            copy.write_row((run.run_id, path))


def some(paths: Sequence[str]) -> str:
    more = len(paths) - NAMED
    others = f" and {more} more, see public.raw_unread_files" if more > 0 else ""
    return ", ".join(paths[:NAMED]) + others
