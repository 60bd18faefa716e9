"""Asks MetricFlow, in a process that does nothing else: its imports take longer than an answer.

The only argument is a JSON list of the arguments of ``mf query``, a list for each question.
"""

import json
import sys

import click
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from dbt_metricflow.cli.main import query


def main(questions: list[list[str]]) -> None:
    configuration = CLIConfiguration()
    try:
        for arguments in questions:
            query.main(args=arguments, obj=configuration, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
