"""How many there are of something, as a sentence says it."""


def counted(many: int, one: str, more: str | None = None) -> str:
    """The number with its noun: ``1 row``, ``1,200 rows``.

    Args:
        one: the noun, with whatever else changes with it, such as ``row is``.
        more: the same of any other number; ``one`` with an s if it is left out.
    """
    return f"{many:,} {one if many == 1 else more or one + 's'}"


def left_out(models: int, tests: int) -> str:
    """What a build left out: ``31 models, 120 tests``, empty if it was nothing."""
    parts = ((models, "model"), (tests, "test"))
    return ", ".join(counted(many, one) for many, one in parts if many)


def failed_of(failed: int, total: int, one: str = "") -> str:
    """``2 failed, the others were loaded and built``, of as many as there were.

    Args:
        one: the noun, as of `counted`; none where the sentence has it already.
    """
    many = counted(failed, one) if one else f"{failed:,}"
    others = "there were no others" if failed >= total else "the others were loaded and built"
    return f"{many} failed, {others}"
