"""A module's end takes away the blocks it saved, and none that another one needs."""

import os

from prefect.blocks.system import Secret

from deployments.local.api import PrefectApi
from tests.lasting_blocks import LastingBlocks


def test_only_blocks_of_what_outlives_a_module_are_left_at_its_end(prefect_server: str) -> None:
    api = PrefectApi(prefect_server, os.environ)
    blocks = LastingBlocks(set())
    Secret(value="before").save("isolation-before")
    before = blocks.present()
    Secret(value="own").save("isolation-own")
    with blocks.collected():
        Secret(value="lasting").save("isolation-lasting")

    blocks.end_all_but(before)

    names = ("isolation-before", "isolation-own", "isolation-lasting")
    assert [api.block_id("secret", name) is not None for name in names] == [True, False, True]
