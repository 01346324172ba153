"""A worker: it does what a server does behind its calls, and has no HTTP."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import anyio.abc
import anyio.to_thread

from api_server.container import Service
from api_server.http.job_files import open_for_job
from api_server.http.server import reload_files
from api_server.jobs.duties import tend
from stt_engine import log
from stt_engine.system import malloc

_ALIVE_SEC = 5.0
_SIGNALLED = 128

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def work(service: Service, alive: Path | None = None) -> None:
    """Work on cases, repairs and webhooks until SIGTERM or Ctrl-C; a second one ends it at once.

    What is in hand by then waits again, as if it had not been begun. SIGHUP reloads.

    Args:
        service: its parts; they are closed with it.
        alive: a file that is written anew every five seconds, and removed at the end.

    Raises:
        KeyboardInterrupt: it was ended by Ctrl-C.
    """
    malloc.keep_few()
    ended_by = anyio.run(_work, service, alive)
    if alive is not None:
        alive.unlink(missing_ok=True)
    log.flush()
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(ended_by, signal.SIG_DFL)
    signal.raise_signal(ended_by)


async def _work(service: Service, alive: Path | None) -> signal.Signals:
    """Return the signal that ended the work."""
    told = log.get_logger("Worker")
    settings, opener = service.settings, partial(open_for_job, service.storage)
    try:
        async with anyio.create_task_group() as tasks:
            duty = partial(tend, observers=service.observers)
            tasks.start_soon(duty, "readiness", service.readiness.watch)
            tasks.start_soon(duty, "text", service.text.begin)
            tasks.start_soon(duty, "rubrics", partial(service.rubrics.run, service.desk))
            tasks.start_soon(
                duty, "agent_probe", partial(service.agent_probe.watch, service.agent.probe)
            )
            tasks.start_soon(duty, "runner", partial(service.jobs.run, opener, signs=False))
            tasks.start_soon(duty, "repairer", partial(service.repairer.run, opener))
            tasks.start_soon(duty, "webhooks", service.webhooks.run)
            tasks.start_soon(duty, "store_probe", service.store_probe.run)
            tasks.start_soon(duty, "clock", service.clock.run)
            if alive is not None:
                tasks.start_soon(_be_alive, service, alive)
            told.info(
                "작업 일꾼 시작: 동시에 %d건, 보완 %d건",
                settings.jobs_at_once,
                settings.repair_at_once,
            )
            number = await _signalled(service)
            told.info("작업 일꾼 종료: 처리 중이던 건은 다시 대기함")
            for one in (signal.SIGINT, signal.SIGTERM):
                signal.signal(one, _end_at_once)
            service.leaving.set()
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await service.aclose()
    return number


async def _signalled(service: Service) -> signal.Signals:
    """Return the first signal that ends a process; SIGHUP only reloads."""
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            if number != signal.SIGHUP:
                return number
            await anyio.to_thread.run_sync(reload_files, service)
    raise AssertionError  # the signals have no end


def _end_at_once(number: int, _frame: object) -> NoReturn:
    os._exit(_SIGNALLED + number)


async def _be_alive(service: Service, alive: Path) -> NoReturn:
    while True:
        facts: dict[str, object] = {
            "ready": service.readiness.reason is None,
            "at_work": service.jobs.at_work,
            "trouble": service.desk.trouble.reason or service.store_probe.trouble.reason,
        }
        with suppress(OSError):  # then it grows old, which says the same
            await anyio.to_thread.run_sync(_write, alive, facts)
        await anyio.sleep(_ALIVE_SEC)


def _write(alive: Path, facts: dict[str, object]) -> None:
    new = alive.with_name(f"{alive.name}.new")
    new.write_text(json.dumps(facts), "utf-8")
    new.replace(alive)
