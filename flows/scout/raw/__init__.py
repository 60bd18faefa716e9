"""Writes this domain's raw tables."""

from flows.scout.raw.database import ensure_schema, one_build_at_a_time
from flows.scout.raw.drive import drive_page_token, save_drive_page_token
from flows.scout.raw.loading import TABLES, load_deliveries, load_file
from flows.scout.raw.quality import measure_quality, record_scores
from flows.scout.raw.rejections import commonest_rejections
from flows.scout.raw.vectors import (
    count_texts_to_embed,
    drop_vectors_out_of_window,
    prepare_vectors,
    save_vectors,
    texts_to_embed,
)

__all__ = [
    "TABLES",
    "commonest_rejections",
    "count_texts_to_embed",
    "drive_page_token",
    "drop_vectors_out_of_window",
    "ensure_schema",
    "load_deliveries",
    "load_file",
    "measure_quality",
    "one_build_at_a_time",
    "prepare_vectors",
    "record_scores",
    "save_drive_page_token",
    "save_vectors",
    "texts_to_embed",
]
