"""dbt's commands work as the README of the system has them, here and in a container."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import yaml

from flows._shared.environment import set_environment
from flows.ledgermind.raw import operational
from flows.ledgermind.sample import mission_day
from tests.dbt_projects.warehouse import PROJECTS, ROOT, install_packages, postgres_environment
from tests.parsed import begin_parsed

PROJECT = PROJECTS / "ledgermind"
COMPOSE = ROOT / "deployments" / "compose" / "ledgermind.yml"
WORKFLOW = ROOT / ".github" / "workflows" / "dbt-nightly.yml"
DBT = str(Path(sys.executable).parent / "dbt")


def test_dbt_debug_and_dbt_build_work_in_the_folder_of_the_project(
    database: str, tmp_path: Path, is_exhaustive: bool
) -> None:
    install_packages("ledgermind", tmp_path)
    with set_environment(postgres_environment(database)):
        begin_parsed("ledgermind", tmp_path / "target")
    with psycopg.connect(database, autocommit=True) as connection:
        operational.create_operational_database(connection, mission_day())
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DBT_")},
        **postgres_environment(database),
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    # test_flow.py builds the rest, with every test.
    build = ["build"] if is_exhaustive else ["build", "--select", "+mart_suggestions_kpis"]
    for command, said in ((["debug"], "All checks passed!"), (build, "Completed successfully")):
        done = subprocess.run(
            [DBT, *command], cwd=PROJECT, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout
    with psycopg.connect(database) as connection:
        found = connection.execute("select * from analytics.mart_suggestions_kpis").fetchall()
    assert [row[1:] for row in found] == [(12, 0, 0, 1, 0.5)]


def test_the_container_reaches_the_database_by_its_service_on_the_shared_network() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    services = compose["services"]
    dbt = services["dbt"]["environment"]
    assert dbt["DBT_POSTGRES_HOST"] in services
    assert all(service["networks"] == ["ledgermind"] for service in services.values())
    network = compose["networks"]["ledgermind"]
    assert network == {"name": "${LEDGERMIND_NETWORK:-shared-ollama}", "external": True}
    assert (COMPOSE.parent / services["dbt"]["build"]["context"]).resolve() == ROOT
    assert services["dbt"]["working_dir"].endswith("dbt_projects/ledgermind")


def test_every_variable_of_the_container_is_one_that_dbt_or_its_profile_reads() -> None:
    own = {"DBT_TARGET_PATH", "DBT_LOG_PATH"}
    profile = (PROJECT / "profiles.yml").read_text()
    read = set(re.findall(r"env_var\('([A-Z_]+)'", profile)) | own
    given = yaml.safe_load(COMPOSE.read_text())["services"]["dbt"]["environment"]
    assert set(given) <= read
    assert {"DBT_POSTGRES_HOST", "DBT_POSTGRES_USER", "DBT_POSTGRES_DATABASE"} <= set(given)


def test_the_nightly_workflow_hands_dbt_the_owners_secrets_and_leaves_no_key_behind(
    tmp_path: Path,
) -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow[True]["schedule"] == [{"cron": "0 3 * * *"}]
    job = workflow["jobs"]["build"]
    named = set(re.findall(r"secrets\.(\w+)", WORKFLOW.read_text()))
    assert named == {"GCP_SA_JSON", "GCP_PROJECT", "DBT_BIGQUERY_DATASET"}
    read = set(re.findall(r"env_var\('([A-Z_]+)'", (PROJECT / "profiles.yml").read_text()))
    (step,) = [step for step in job["steps"] if step.get("name") == "build"]
    assert set(job["env"]) | set(step["env"]) - {"GCP_SA_JSON"} <= read

    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "dbt_projects" / "ledgermind").mkdir(parents=True)
    double = tmp_path / ".venv" / "bin" / "dbt"
    seen, key = tmp_path / "seen", tmp_path / "service-account.json"
    double.write_text(
        '#!/bin/sh\nprintf "%s %s\\n" "$1" "$GCP_SA_JSON$(cat "$DBT_BIGQUERY_KEYFILE")" >> '
        f"{seen}\n"
    )
    double.chmod(0o755)
    secret = '{"private_key": "a\\nb"}'
    subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=tmp_path,
        env={**os.environ, "GCP_SA_JSON": secret, "DBT_BIGQUERY_KEYFILE": str(key)},
        check=True,
    )
    assert seen.read_text().splitlines() == [f"deps {secret}", f"build {secret}"]
    assert not key.exists()


def test_the_powershell_wrapper_runs_the_composed_dbt_and_ends_as_it_did() -> None:
    script = (ROOT / "dbt.ps1").read_text()
    (path,) = re.findall(r"Join-Path \$PSScriptRoot '([^']+)'", script)
    assert (ROOT / path).resolve() == COMPOSE
    assert "docker compose -f $compose run --rm dbt @args" in script
    assert script.rstrip().endswith("exit $LASTEXITCODE")


def test_no_password_is_written_into_the_file() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    values = {
        services["dbt"]["environment"]["DBT_ENV_SECRET_POSTGRES_PASSWORD"],
        services["postgres"]["environment"]["POSTGRES_PASSWORD"],
    }
    assert values == {"${DBT_ENV_SECRET_POSTGRES_PASSWORD:-}"}
