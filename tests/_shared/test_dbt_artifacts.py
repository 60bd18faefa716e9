from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from dbt.artifacts.schemas import base
from dbt.compilation import Linker
from dbt.contracts.graph.manifest import Manifest
from dbt_common.clients import system
from dbt_common.exceptions import DbtInternalError

from flows._shared.orchestration import dbt_artifacts


def test_an_artifact_in_one_go_has_the_bytes_of_dbts_own(tmp_path: Path) -> None:
    data = {
        "metadata": {"generated_at": datetime(2026, 1, 2, 3, tzinfo=UTC), "share": Decimal("0.5")},
        "nodes": {f"model.{n}": {"depends_on": [], "text": "Größe 🦆\n\x00"} for n in range(3)},
        "error": ValueError("as dbt shows it"),
        "nothing": None,
    }
    system.write_json(str(tmp_path / "piece by piece"), data)
    before = base.write_json
    with dbt_artifacts.artifacts_in_one_go():
        assert base.write_json is not before
        base.write_json(str(tmp_path / "folder" / "in one go"), data)
    assert base.write_json is before
    written = (tmp_path / "folder" / "in one go").read_bytes()
    assert written == (tmp_path / "piece by piece").read_bytes()


def test_pictures_of_the_graph_that_nothing_reads_are_not_made(tmp_path: Path) -> None:
    linker, manifest, file = Linker(), Manifest(), tmp_path / "graph.gpickle"
    # A node of which the manifest knows nothing: to make either picture is an error.
    linker.add_node("model.not_there")
    with dbt_artifacts.graphs_unwritten():
        assert linker.get_graph_summary(manifest) == {}
        linker.write_graph(str(file), manifest)
        assert not file.exists()
    with pytest.raises(DbtInternalError):
        linker.write_graph(str(file), manifest)
