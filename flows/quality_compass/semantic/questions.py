"""Asks MetricFlow, in a process that does nothing else: its imports take longer than an answer.

What it reads is a JSON list with, for each question, the arguments of ``mf query`` and the file
that its answer goes to: an argument of a process is not as long as a question may be. A file that
is there belongs to a question that was asked; it stays empty where the answer has no row.
"""

import json
import sys
from pathlib import Path

import click
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from dbt_metricflow.cli.main import query


def main(questions: list[tuple[list[str], str]]) -> None:
    configuration = CLIConfiguration()
    try:
        for arguments, table in questions:
            Path(table).touch()
            query.main(
                args=[*arguments, f"--csv={table}", "--quiet"],
                obj=configuration,
                standalone_mode=False,
            )
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(json.load(sys.stdin))
