"""Who tests an endpoint that died: one of all server processes, once, whatever becomes of it."""

import sys
from pathlib import Path

import pytest
from half_open import half_open


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
async def test_eight_servers_send_one_probe_per_half_open_period_while_probers_are_killed(
    tmp_path: Path,
) -> None:
    endpoint = await half_open(tmp_path, servers=8, periods=16, seed=1, within_s=60)

    assert len(endpoint.probes) >= 16
    assert max(endpoint.probes.values()) == 1
    assert endpoint.takeovers
