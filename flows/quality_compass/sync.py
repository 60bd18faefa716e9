"""What is loaded, how one run is loaded and audited, and what is told of it. Knows no Prefect."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from flows._shared.errors import PermanentError
from flows._shared.state import state_dir
from flows.quality_compass import raw, sample, source
from flows.quality_compass.records import Disagreement, Kind, LoadCounts, Run, RunFile
from flows.quality_compass.rules.audit import (
    ContributionAudit,
    NodeAudit,
    check_classification,
)
from flows.quality_compass.rules.json_lines import UnusableLineError, parse
from flows.quality_compass.rules.reading import observe, run_start
from flows.quality_compass.settings import QualityCompassSettings, RunsRequest

EXPECTED_KINDS = (Kind.NODE, Kind.CONTRIBUTION, Kind.CLASSIFICATION)
SAMPLE_RUNS = ("20250115060000", "20250215060000")


class Plan(Enum):
    """What a run of the flow loads."""

    NAMED = auto()
    SAMPLE = auto()
    BUILD_ONLY = auto()


def plan(request: RunsRequest, settings: QualityCompassSettings, *, builds_anew: bool) -> Plan:
    """Runs that are named, else a sample; who asks for a new build and for neither only builds."""
    if request.addresses or settings.addresses:
        return Plan.NAMED
    if builds_anew and settings.sample_facilities is None:
        return Plan.BUILD_ONLY
    return Plan.SAMPLE


def sample_folder(settings: QualityCompassSettings) -> Path:
    """Where the sample runs go: they are a function of size and seed.

    Raises:
        PermanentError: no sample is asked for.
    """
    if settings.sample_facilities is None:
        raise PermanentError(
            "finding runs to load",
            "no run was given",
            "Name run folders in the parameter `runs`, as `addresses`, or for every run in the "
            "deployment's parameter `settings`, as `addresses`; `sample_facilities` there loads "
            'generated ones. To build only, give `dbt` as {"full_refresh": true}',
        )
    name = f"{settings.sample_facilities}-{settings.sample_seed}"
    return (settings.state_dir or state_dir() / "quality_compass") / "sample" / name


def write_sample(folder: Path, settings: QualityCompassSettings) -> None:
    assert settings.sample_facilities is not None, "who asks for a folder asks for a sample"
    for run_id in SAMPLE_RUNS:
        sample.write_run(folder, run_id, settings.sample_facilities, settings.sample_seed)


def load(
    connection: psycopg.Connection,
    run: Run,
    storage: source.Storage,
    settings: QualityCompassSettings,
) -> LoadCounts:
    """One run into the raw tables, with what its manifest and its indexes say. Errors as
    ``raw.load_run`` and ``source.look_for_runs``."""
    return raw.load_run(
        connection,
        run,
        lambda file: source.FileReader(file, storage, settings.max_line_bytes),
        start=run_start(
            run.run_id,
            source.read_manifest(run, storage),
            ZoneInfo(settings.run_id_time_zone),
        ),
        indexes=source.read_indexes(run, storage),
    )


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


def absent(found: Sequence[Run]) -> Iterator[str]:
    """A run may come without some kinds of files; it is said, for it may be a mistake."""
    for run in found:
        kinds = {file.kind for file in run.files}
        for kind in EXPECTED_KINDS:
            if kind not in kinds:
                yield f"{run.run_id}: no files in {kind.value}"


def notes(
    plan: Plan,
    counts: Sequence[LoadCounts],
    disagreed: Mapping[str, int],
) -> Iterator[str]:
    """What the summary tells of a run of the flow, a line each."""
    if plan is Plan.SAMPLE:
        yield "No runs were given: these are generated sample runs"
    for each in counts:
        if each.quarantined:
            yield f"{each.run_id}: {each.quarantined} lines quarantined, see public.raw_quarantine"
        for note in each.notes:
            yield f"{each.run_id}: {note}"
    for run_id, found in disagreed.items():
        verdict = f"{found} claims do not agree" if found else "every claim agrees"
        yield f"{run_id}: {verdict} with its recomputation"
