"""The audit of runs: what they claim against what their own data gives."""

from collections.abc import Iterator, Mapping
from typing import Any

from prefect import get_run_logger, task

from flows._shared.orchestration.database import connect
from flows.quality_compass import raw, source
from flows.quality_compass.flow.finding import open_storage
from flows.quality_compass.records import Disagreement, Kind, Run, RunFile
from flows.quality_compass.rules.audit import (
    ContributionAudit,
    NodeAudit,
    check_classification,
)
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.reading import observe
from flows.quality_compass.settings import QualityCompassSettings


@task(task_run_name="verify-{run.run_id}")
def verify_run(run: Run, settings: QualityCompassSettings) -> int:
    """Recompute a run; returns how many of its claims do not agree."""
    storage = open_storage(settings)
    with connect(settings.database_block) as connection:
        found = raw.record_disagreements(
            connection,
            run.run_id,
            disagreements(run, settings, storage),
            settings.max_disagreements,
        )
    get_run_logger().info("%s: %s claims do not agree with their recomputation", run.run_id, found)
    return found


def disagreements(
    run: Run, settings: QualityCompassSettings, storage: source.Storage
) -> Iterator[Disagreement]:
    """Every claim of a run's files that its own data does not give. Lines that cannot be read are
    left out: the load has quarantined them."""
    for file in run.files:
        reader = source.FileReader(file, storage, settings.max_line_bytes)
        if file.kind is Kind.NODE:
            yield from _node_disagreements(file, reader, settings)
        elif file.kind is Kind.CLASSIFICATION:
            for number, claim in _readable(reader):
                yield from check_classification(
                    claim, file.path, number, settings.tolerance, settings.classification
                )
        elif file.kind is Kind.CONTRIBUTION:
            contributions = ContributionAudit()
            for _, claim in _readable(reader):
                contributions.learn(claim)
            for number, claim in _readable(reader):
                yield from contributions.check(claim, file.path, number, settings.tolerance)


def _node_disagreements(
    file: RunFile, reader: source.FileReader, settings: QualityCompassSettings
) -> Iterator[Disagreement]:
    metadata: Mapping[str, Any] = {}
    for number, content in _readable(reader):
        if number == 1 and content.get("type") == "node_metadata":
            metadata = content
        break
    audit = NodeAudit(metadata, settings.statistics)
    for _, content in _readable(reader):
        if content.get("type") != "node_metadata":
            try:
                audit.learn(observe(content))
            except UnusableLineError:
                continue
    for number, content in _readable(reader):
        if content.get("type") != "node_metadata":
            try:
                observation = observe(content)
            except UnusableLineError:
                continue
            yield from audit.check(observation, file.path, number, settings.tolerance)
    yield from audit.check_metadata(file.path, settings.tolerance)


def _readable(reader: source.FileReader) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in reader.lines():
        try:
            yield number, parse(line)
        except UnusableLineError:
            continue
