"""Asks MetricFlow, in a process that does nothing else: its imports take longer than an answer.

What it reads is a JSON list with, for each question, the arguments of ``mf query``, the file that
its answer goes to and the one for what MetricFlow says where it refuses: an argument of a process
is not as long as a question may be. A file for an answer that is there belongs to a question that
was asked; it stays empty where the answer has no row.
"""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from dbt_metricflow.cli.main import query


def main(questions: list[tuple[list[str], str, str]]) -> None:
    configuration = CLIConfiguration()
    for arguments, table, refused in questions:
        Path(table).touch()
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                query.main(
                    args=[*arguments, f"--csv={table}", "--quiet"],
                    obj=configuration,
                    standalone_mode=False,
                )
        except (click.ClickException, SystemExit) as error:
            if isinstance(error, click.ClickException):
                error.show(file=said)
            Path(refused).write_text(said.getvalue(), encoding="utf-8")
        finally:
            sys.stdout.write(said.getvalue())


if __name__ == "__main__":
    main(json.load(sys.stdin))
