"""What a parent has in memory: a run that changes it changes its own."""

met: list[str] = []
