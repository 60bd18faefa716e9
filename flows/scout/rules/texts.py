"""Texts that are embedded."""

import hashlib
import math
import re


def hash_text(text: str) -> str:
    """What PostgreSQL's md5 gives for the same text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def embed_by_hashing(text: str, dimension: int) -> list[float]:
    """A unit vector of the words and word parts of a text; equal for equal texts, everywhere.

    Each feature adds or takes 1 at a place its hash gives: texts that share words lie closer.
    """
    words = re.findall(r"\w+", text.lower())
    parts = [word[at : at + 4] for word in words for at in range(len(word) - 4)]
    vector = [0.0] * dimension
    for feature, weight in [*((word, 1.0) for word in words), *((part, 0.3) for part in parts)]:
        digest = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big")
        vector[digest % dimension] += weight if digest >> 63 else -weight
    length = math.hypot(*vector)
    # A text without words still needs a direction.
    return [value / length for value in vector] if length else [1.0] + [0.0] * (dimension - 1)
