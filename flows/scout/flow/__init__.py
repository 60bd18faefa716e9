"""The flows of Scout. Deployments name them here."""

from flows.scout.flow.embeddings import embed
from flows.scout.flow.layers import layer_options, publish_docs, refresh

__all__ = ["embed", "layer_options", "publish_docs", "refresh"]
