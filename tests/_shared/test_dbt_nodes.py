from pathlib import Path

import pytest

from flows._shared.orchestration.dbt_nodes import _parent_map


@pytest.mark.parametrize("content", [None, "", '{"metadata": {"dbt_sch'])
def test_a_manifest_that_dbt_is_still_writing_has_no_lineage_yet(
    tmp_path: Path, content: str | None
) -> None:
    manifest = tmp_path / "manifest.json"
    if content is not None:
        manifest.write_text(content)

    assert _parent_map(manifest) == {}
