"""Every domain has every room, and nothing is called by two names."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOMAINS = sorted(
    path.name
    for path in (ROOT / "flows").iterdir()
    if ((path / "flow.py").exists() or (path / "flow").is_dir()) and not path.name.startswith("_")
)
ROOMS = ("__init__", "settings", "records", "source", "rules", "raw", "sample", "flow")


def deployments() -> list[dict[str, object]]:
    return list(yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"])


def test_there_is_a_domain() -> None:
    assert "github_scraper" in DOMAINS


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_every_room(domain: str) -> None:
    folder = ROOT / "flows" / domain
    missing = [
        room
        for room in ROOMS
        if not (folder / f"{room}.py").exists() and not (folder / room / "__init__.py").exists()
    ]
    assert not missing


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(
    "path",
    [
        "dbt_projects/{slug}/dbt_project.yml",
        "dbt_projects/{slug}/packages.yml",
        "dbt_projects/{slug}/profiles.yml",
        "docs/runbooks/{slug}.md",
        "tests/{slug}",
        "tests/dbt_projects/test_{slug}.py",
    ],
)
def test_a_domain_has_its_files(domain: str, path: str) -> None:
    assert (ROOT / path.format(slug=domain)).exists()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_has_a_deployment_named_and_tagged_after_it(domain: str) -> None:
    own = [
        deployment
        for deployment in deployments()
        if str(deployment["entrypoint"]).startswith(f"flows.{domain}.")
    ]
    assert own
    for deployment in own:
        assert str(deployment["name"]).startswith(domain.replace("_", "-"))
        assert domain in list(deployment["tags"])  # type: ignore[call-overload]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_is_in_the_readme_and_the_import_contracts(domain: str) -> None:
    assert f"`{domain}`" in (ROOT / "README.md").read_text()
    assert f'"flows.{domain}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_model_has_a_yaml_twin_that_states_its_grain(domain: str) -> None:
    for model in (ROOT / "dbt_projects" / domain / "models").rglob("*.sql"):
        # A system's own README may name the twin: `_time_spine.yml` describes its time spine.
        twins = [twin for twin in [model.with_suffix(".yml")] if twin.exists()]
        described = {
            entry["name"]: entry.get("description", "")
            for twin in twins or model.parent.glob("_*.yml")
            for entry in yaml.safe_load(twin.read_text()).get("models", [])
        }
        assert model.stem in described, f"{model.name} has no twin"
        assert described[model.stem].strip(), f"{model.stem} is not described"


@pytest.mark.parametrize("domain", DOMAINS)
def test_lineage_is_by_ref_and_source_only(domain: str) -> None:
    project = ROOT / "dbt_projects" / domain
    for model in (project / "models").rglob("*.sql"):
        for line in model.read_text().splitlines():
            words = [*line.split(), ""]
            if words[0] == "from" and re.fullmatch(r'[\w"]+\.[\w."]+', words[1]):
                raise AssertionError(f"{model.name} reads {words[1]} by name")


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_stored_model_has_the_brake_behind_its_last_hook(domain: str) -> None:
    project = ROOT / "dbt_projects" / domain
    configured = yaml.safe_load((project / "dbt_project.yml").read_text())
    models = configured["models"][domain]
    identity, noted = "{{ shared.identity_for_merges() }}", "{{ shared.note_published_rows() }}"
    seen = "{{ shared.refuse_unread_sources() }}"
    # Where dbt's own merge, or another pre-hook, changes rows.
    merges = domain in ("ledgermind", "scout")
    is_duckdb = domain == "agent_analytics"
    changed = [identity, noted] if merges else [noted]
    assert models["+pre-hook"] == (noted if is_duckdb else [seen, *changed])
    brake, remembered = "{{ shared.brake() }}", "{{ shared.note_built() }}"
    # DuckDB has no grants, and a file one writer.
    hooks_of_all = [brake] if is_duckdb else ["{{ shared.keep_readers() }}", brake]
    assert models["+post-hook"] == [*hooks_of_all, remembered]
    for others in ("seeds", "snapshots"):
        if any((project / others).glob("*")):
            assert configured[others][domain]["+post-hook"] == remembered
            if others == "snapshots":
                assert configured[others][domain]["+pre-hook"] == [seen, identity]
    for model in (project / "models").rglob("*.sql"):
        hooks = re.search(r"post_hook=(.*)", model.read_text())
        if hooks and re.search("delete|insert|update|truncate", hooks[1]):
            assert "shared.brake(is_last=true)" in hooks[1], model


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_owns_what_the_report_shows_of_it(domain: str) -> None:
    folder = ROOT / "dbt_projects" / domain / "models" / "report"
    twins = sorted(folder.glob("*.yml"))
    assert twins
    assert {path.stem for path in twins} == {path.stem for path in folder.glob("*.sql")}
    for twin in twins:
        (model,) = yaml.safe_load(twin.read_text())["models"]
        assert model["name"].startswith("rpt_")
        tests = [name for test in model["data_tests"] for name in test]
        assert "shared.unique_combination_of_columns" in tests
        assert len(tests) > 1, f"{twin.name} is compared with nothing"
        assert all(each.get("description") and each["data_type"] for each in model["columns"])
    assert (ROOT / "flows" / "report" / "pages" / f"{domain}.py").exists()


def test_the_report_reads_no_table_by_name() -> None:
    for path in (ROOT / "flows" / "report").rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if " import " not in line]
        lines = [line for line in lines if "information_schema." not in line]
        named = [line for line in lines if re.search(r"\b(from|join) [a-z_]+\.\w+", line)]
        assert named == [], path


def test_no_model_is_changed_past_its_validators() -> None:
    changed = [
        path
        for folder in ("flows", "blocks", "deployments")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\.model_copy\(\s*update|\.model_construct\(", path.read_text())
    ]
    assert not changed, "flows._shared.revised checks what is changed"


def test_postgresql_is_opened_by_one_door() -> None:
    """The embedded server is its maker's."""
    exempt = {
        ROOT / "flows" / "_shared" / "postgres.py",
        ROOT / "deployments" / "local" / "postgres.py",
    }
    opened = [
        path
        for folder in ("flows", "blocks", "deployments")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"psycopg\.(Async)?(Connection\.)?connect\(", path.read_text())
        and path not in exempt
    ]
    assert not opened, "flows._shared.postgres opens connections"


def test_no_file_of_the_code_has_more_than_400_lines() -> None:
    files = [
        path for room in ("flows", "blocks", "deployments") for path in (ROOT / room).rglob("*.py")
    ]
    assert len(files) > 200
    long = {
        str(path.relative_to(ROOT)) for path in files if len(path.read_text().splitlines()) > 400
    }
    assert long == set()
