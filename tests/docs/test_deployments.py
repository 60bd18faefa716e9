"""The pages about deployments tell what prefect.yaml and the automations say."""

import re

from deployments.apply.files import automation_files, declared
from deployments.local.paths import PROJECT_ROOT
from deployments.prefork.worker import bytes_of
from deployments.table import PAGE, page

KUBERNETES = PROJECT_ROOT / "docs" / "kubernetes.md"
MEASURED = re.compile(
    r"^\| `(\w+)` \| [^|]+ \| (\d+); (\d+) \| (\d+)(?:; (\d+) of [^|]+)? \|$", re.M
)


def test_the_table_of_deployments_is_that_of_the_file() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run `python -m deployments.table --write`"


def test_a_pod_may_take_half_as_much_again_as_was_measured_and_what_the_page_says() -> None:
    given: dict[str, set[int]] = {}
    for each in declared():
        limit = bytes_of(each.config["work_pool"]["job_variables"]["memory_limit"]) // 2**20
        is_large = each.domain == "quality_compass"
        if each.domain and (is_large or not each.is_warm):
            given.setdefault(each.domain, set()).add(limit)
    told = MEASURED.findall(KUBERNETES.read_text())
    assert len(told) == 5
    for slug, *peaks, limit, smaller in told:
        assert given[slug] == {int(each) for each in (limit, smaller) if each}, slug
        assert min(given[slug]) >= 1.5 * max(map(int, peaks)), slug


def test_every_automation_is_in_the_table() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", PAGE.read_text().split("## Automations")[1], re.M)
    patterns = [name.replace("<slug>", r"\w+") for name in named]
    for _, automation in automation_files():
        assert any(re.fullmatch(pattern, automation["name"]) for pattern in patterns)
