"""The calls in flight at a local model, in every server of this machine, and how they end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from . import holdings
from .desk import Desk
from .errors import BadRequest
from .ledger import control_rows, lately, owners
from .ledger.driver import Connection
from .ledger.lately import RunningCall

PATIENCE_S = 1.0
CANCEL_S = 5.0
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Users:
    """Of one model at one provider, as this server sees them."""

    desk: Desk
    provider: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"

    async def now(self) -> list[RunningCall]:
        """The calls in flight: ours also before the ledger knows."""
        desk = self.desk
        alive = partial(owners.alive, desk.ledger.run_dir)
        names = holdings.names_of(self.model)
        noted = await desk.ledger.read(partial(lately.running, alive=alive), self.provider)
        others = [c for c in noted if c.server != desk.server_id and c.model in names]
        here = [
            RunningCall(
                call_id=run.call_id,
                server=desk.server_id,
                client=run.client.name,
                model=self.model,
            )
            for run in desk.calls.shelf.running()
            if any(run.uses(self.provider, name) for name in names)
        ]
        return [*here, *others]

    async def after(self, patience_s: float, among: set[str] | None = None) -> list[RunningCall]:
        """Those that still run after this time, of `among` only, if that is given."""
        users: list[RunningCall] = []
        for look in range(round(patience_s / LOOK_S)):
            if look:
                await anyio.sleep(LOOK_S)
            users = [each for each in await self.now() if among is None or each.call_id in among]
            if not users:
                break
        return users

    async def wait(self) -> None:
        """Waits a moment for them. Raises BadRequest where some go on."""
        users = await self.after(PATIENCE_S)
        if users:
            raise BadRequest(
                f"{self.name} is still in use ({self.by_whom(users)})",
                next_step="Wait until it is free, or pass force=true to cancel them.",
            )

    def by_whom(self, users: Sequence[RunningCall]) -> str:
        elsewhere = [each for each in users if each.server != self.desk.server_id]
        count = f"calls running: {len(users)}"
        if not elsewhere:
            return count
        clients = ", ".join(dict.fromkeys(each.client for each in users))
        return f"{count}, {len(elsewhere)} of them in other servers; clients: {clients}"

    async def cancel(self) -> None:
        """Cancels those of this server, and has the other servers cancel theirs. Raises BadRequest
        where one goes on all the same."""
        desk, users = self.desk, await self.now()
        for each in users:
            run = desk.calls.shelf.find(each.call_id)
            if run is not None and each.server == desk.server_id:
                await desk.calls.stop(run)
            else:
                await desk.ledger.write(ask_to_cancel, desk, each)
        rest = await self.after(CANCEL_S, {each.call_id for each in users})
        if rest:
            raise BadRequest(
                f"{self.name} is still in use: {len(rest)} calls did not end within {CANCEL_S:g} s",
                next_step="Their servers may be stuck; end those editors, then try again.",
            )


def ask_to_cancel(db: Connection, desk: Desk, call: RunningCall) -> None:
    control_rows.ask(
        db,
        by=f"unload_model ({desk.server_id[-6:]})",
        kind="cancel",
        target=call.server,
        argument=json.dumps({"call_id": call.call_id}),
        now=desk.clock(),
    )
