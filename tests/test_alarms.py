"""What happened to the ledger file is told wherever its user looks."""

from contextlib import closing
from pathlib import Path

from click.testing import CliRunner
from seats import scripted, seated, stripped, text_of

from roundhouse_mcp.server.__main__ import command_line
from roundhouse_mcp.server.ledger import alarm_rows
from roundhouse_mcp.server.ledger.driver import Connection, connect
from roundhouse_mcp.server.ledger.gate import Gate
from roundhouse_mcp.server.ledger.migrations import migrate
from roundhouse_mcp.server.ledger.store import Ledger

ROLLED_BACK = "was rolled back by 7 transactions"


def roll_back(home: Path) -> None:
    """As it is where an older copy was put in place of the file."""
    with Ledger(home) as ledger:
        ledger.write_blocking(lambda db: None)
        count = ledger.read_blocking(commits)
    with closing(Gate(home / "ledger.gate")) as gate, gate.held(5):
        gate.record(count + 7)


def commits(db: Connection) -> int:
    (count,) = db.execute("SELECT value FROM meta WHERE key = 'commits'").fetchone()
    return int(count)


async def test_a_file_that_was_rolled_back_is_told_of_in_reports_and_by_doctor(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    roll_back(home)
    async with seated(home, scripted("one")) as seat:
        await seat.said("complete", prompt="Hi")
        result = await seat.call("cost_report")
    env = {**stripped(), "ROUNDHOUSE_HOME": str(home)}
    doctor = CliRunner().invoke(command_line(), ["doctor"], env=env).output
    cost = CliRunner().invoke(command_line(), ["cost"], env=env).output

    assert ROLLED_BACK in result.structured_content["alarms"][0]["text"]
    assert ROLLED_BACK in text_of(result)
    assert ROLLED_BACK in cost
    assert ROLLED_BACK in doctor.replace("\n", "")


def test_an_alarm_is_kept_once_at_its_last_time_and_only_the_newest(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "ledger.db")) as db:
        migrate(db)
        for n in range(30):
            alarm_rows.note(db, f"alarm {n}", float(n))
        alarm_rows.note(db, "alarm 15", 31.0)
        kept = alarm_rows.every(db)
        db.execute("UPDATE meta SET value = '[{]' WHERE key = 'alarms'")

        assert len(kept) == alarm_rows.MOST
        assert [alarm.text for alarm in kept].count("alarm 15") == 1
        assert kept[-1].at == 31.0
        assert alarm_rows.every(db) == []
        assert alarm_rows.recent(db, 31.0 + alarm_rows.TOLD_S) == []
