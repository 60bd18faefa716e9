"""Layers: which are built, how they are scored, and why a gate is shut."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from flows.scout.records import QualityMeasures, Rejections
from flows.scout.rules.files import shown
from flows.scout.settings import QualitySettings

LAYERS = ("bronze", "silver", "gold", "platinum")
ALL_LAYERS = "all"


def batch_id(prefix: str, moment: datetime) -> str:
    """``csv_20260102_030405``."""
    return f"{prefix}_{moment:%Y%m%d_%H%M%S}"


def takes_in(layer: str) -> bool:
    """Whether a run of that layer reads the source first."""
    return layer == ALL_LAYERS or "bronze" in layer


def names_layers(layer: str) -> bool:
    """Whether it is one or more of the layers, and no selector of dbt's."""
    return {*LAYERS, ALL_LAYERS}.issuperset(layer.split())


def selectors(layer: str) -> tuple[str, ...]:
    """dbt selectors for a layer; empty for everything. A dbt selector is given on as it is.

    What the report shows is made from gold, and is built with it.
    """
    if layer == ALL_LAYERS:
        return ()
    chosen = tuple(layer.split()) or (layer,)
    return (*chosen, "report") if "gold" in chosen else chosen


def end_of_last_month(today: date) -> date:
    return today.replace(day=1) - timedelta(days=1)


def quality_score(measures: QualityMeasures, settings: QualitySettings) -> tuple[float, float]:
    """(timeliness, score), both 0 to 100. An empty table has nothing to be late: 100."""
    lost = settings.points_lost_per_hour * max(0.0, measures.age_hours or 0.0)
    timeliness = max(0.0, 100.0 - lost)
    weighted = (
        settings.completeness_weight * measures.completeness
        + settings.uniqueness_weight * measures.uniqueness
        + settings.timeliness_weight * timeliness
    )
    weights = settings.completeness_weight + settings.uniqueness_weight + settings.timeliness_weight
    return timeliness, weighted / weights


def describe_rejections(rejections: Sequence[Rejections]) -> str:
    """The sentence behind a failing gate; empty where nothing was rejected."""
    if not rejections:
        return ""
    listed = "\n".join(
        f"- {each.reason}: {each.payloads:,}, most of them ({each.payloads_of_file:,}) "
        f"from {shown(each.commonest_file)}"
        for each in rejections
    )
    return f"\nWhy silver rejected what is counted, the commonest first:\n{listed}"
