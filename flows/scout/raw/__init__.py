"""Writes this domain's raw tables."""

from flows.scout.raw.database import ensure_schema, one_build_at_a_time
from flows.scout.raw.drive import drive_page_token, save_drive_page_token
from flows.scout.raw.loading import TABLES, load_deliveries, load_file
from flows.scout.raw.quality import measure_quality, record_scores
from flows.scout.raw.rejections import commonest_rejections
from flows.scout.raw.vectors import (
    count_texts_to_embed,
    drop_vectors_out_of_window,
    holds_vectors_of_others,
    prepare_vectors,
    require_one_model,
    save_refusals,
    save_vectors,
    still_to_embed,
    texts_to_embed,
)

__all__ = [
    "TABLES",
    "commonest_rejections",
    "count_texts_to_embed",
    "drive_page_token",
    "drop_vectors_out_of_window",
    "ensure_schema",
    "holds_vectors_of_others",
    "load_deliveries",
    "load_file",
    "measure_quality",
    "one_build_at_a_time",
    "prepare_vectors",
    "record_scores",
    "require_one_model",
    "save_drive_page_token",
    "save_refusals",
    "save_vectors",
    "still_to_embed",
    "texts_to_embed",
]
