"""How many there are of something, as a sentence says it."""


def counted(many: int, one: str, more: str | None = None) -> str:
    """The number with its noun: ``1 row``, ``1,200 rows``.

    Args:
        one: the noun, with whatever else changes with it, such as ``row is``.
        more: the same of any other number; ``one`` with an s if it is left out.
    """
    return f"{many:,} {one if many == 1 else more or one + 's'}"
