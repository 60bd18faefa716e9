"""The pages of contracts against the contracts that dbt enforces."""

import pytest
from dbt.contracts.graph.manifest import Manifest

from tests.contracts import columns, differences
from tests.parsed import parse_once

DOMAINS = ("agent_analytics", "github_scraper", "ledgermind", "quality_compass", "scout")
# Views that dbt holds no contract over: a test reads their columns in a built sample.
WITHOUT_CONTRACT = {
    "analytics.int_time_series",
    "platinum.platinum_product_recommendations",
    "platinum.platinum_transaction_embeddings",
    "public.Contributor",
    "public.Repository",
    "public.RepositoryContributor",
}

# Steps on the way to the marts, and what the report site alone reads.
OWN = ("int_", "rpt_")


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_page_of_a_domain_promises_the_columns_that_dbt_enforces(domain: str) -> None:
    manifest = Manifest.from_msgpack(parse_once(domain).read_bytes())
    enforced = {
        f"{node.schema}.{node.alias}": {
            column.name: str(column.data_type).removeprefix("pg_catalog.")
            for column in node.columns.values()
        }
        for node in manifest.nodes.values()
        if node.resource_type == "model"
        and node.contract.enforced
        and not node.name.startswith(OWN)
    }
    promised = {
        name: each for name, each in columns(domain).items() if name not in WITHOUT_CONTRACT
    }
    found = differences(domain, promised, enforced)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_relation_of_a_contract_has_a_consumer_in_dbt(domain: str) -> None:
    manifest = Manifest.from_msgpack(parse_once(domain).read_bytes())
    read = {name for each in manifest.exposures.values() for name in each.depends_on.nodes}
    unread = {
        f"{node.schema}.{node.alias}"
        for node in manifest.nodes.values()
        if node.resource_type == "model" and node.unique_id not in read
    }
    assert set(columns(domain)) & unread == set()
