"""What of a project reads a clock: a build that leaves out what is unchanged knows days alone."""

import re

from tests.parsed import PROJECTS

CLOCK = re.compile(
    r"current_timestamp|current_date|current_time\b|\bnow\(\)|(?:clock|statement|transaction)_timestamp"
    r"|localtime|timeofday|run_started_at|get_current_timestamp|datetime\.(?:now|utcnow|today)",
    re.IGNORECASE,
)
EVERY_TIME = re.compile(r"config\([^)]*'clock': 'moment'")
# Those that are left out until the next day give the same all day, or a moment that nothing reads.
BY_DAY = {
    "_shared/macros/brake.sql": "the day until which a size is remembered, which no row shows",
    "_shared/macros/build_day.sql": "the day",
    "_shared/macros/note_built.sql": "when its build began",
    "_shared/tests/generic/not_in_future.sql": "what passed passes later, too",
    "github_scraper/macros/snapshots.sql": "when a version was seen",
    "ledgermind/macros/builds.sql": "the place of a build among builds, or its day",
    "quality_compass/models/semantic/metricflow_time_spine.sql": "the day, where no run was loaded",
    "scout/macros/dates.sql": "the day in the business, or when a row was calculated",
}


def test_no_model_or_test_reads_a_clock_that_a_build_does_not_know_of() -> None:
    read: set[str] = set()
    every_time: set[str] = set()
    for path in PROJECTS.glob("*/[!d]*/**/*.sql"):
        if CLOCK.search(text := path.read_text()):
            name = path.relative_to(PROJECTS).as_posix()
            (every_time if EVERY_TIME.search(text) else read).add(name)
    assert read == set(BY_DAY)
    assert every_time == {"scout/tests/generic/recent_within_hours.sql"}
