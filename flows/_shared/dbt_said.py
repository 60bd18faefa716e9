"""What builds said of their nodes, in the artifacts that they leave."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
WARNED = "warn"
SKIPPED = "skipped"
ON_BIGQUERY = "-bigquery"

Row = Mapping[str, Any]


def newest_words(builds: Sequence[Row]) -> Iterator[tuple[Row, bool, Row]]:
    """The newest word on each node of each database: a build is of a part of a project.

    Args:
        builds: artifacts of dbt's nodes of one domain, the newest first.

    Yields:
        The build, whether it was on BigQuery, which its key tells and its command does not, and
        what it said of a node. Of one that was skipped nothing new is known.
    """
    seen: set[tuple[bool, str, str]] = set()
    for build in builds:
        is_on_bigquery = str(build["key"]).endswith(ON_BIGQUERY)
        for node in json.loads(build["data"]):
            key = (is_on_bigquery, str(node["type"]), str(node["name"]))
            if node["status"] != SKIPPED and key not in seen:
                seen.add(key)
                yield build, is_on_bigquery, node
