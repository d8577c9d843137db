"""Questions in threads: interrupted when nobody waits, ended when they take too long, refused when too many wait."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import pytest

from kubewitness.questions.facts import Session
from kubewitness.store import Store
from kubewitness.web import running
from kubewitness.web.running import Abandoned, Questions, TooBusy


def endless(ended: list[float]) -> Callable[[Session], object]:
    """A question whose one query would take hours."""

    def ask(session: Session) -> object:
        try:
            return session.query(
                "SELECT count(*) FROM range(100000000000) AS a, range(1000) AS b WHERE a.range <> b.range"
            )
        finally:
            ended.append(time.monotonic())

    return ask


async def ended_soon(ended: list[float]) -> bool:
    for _ in range(200):
        if ended:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_query_is_interrupted_when_nobody_waits_for_it_any_more(demo_store: Store) -> None:
    questions, ended = Questions(), list[float]()
    task = asyncio.create_task(questions.ask(demo_store.session, endless(ended)))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended_soon(ended)
    assert await questions.ask(demo_store.session, lambda s: s.query("SELECT 1")) == [(1,)]
    await questions.close()


async def test_what_nobody_waits_for_any_more_leaves_no_trace_in_the_log(
    demo_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    questions, ended = Questions(), list[float]()
    task = asyncio.create_task(questions.ask(demo_store.session, endless(ended)))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await ended_soon(ended)
    await questions.close()
    await asyncio.sleep(0)
    del task
    gc.collect()  # asyncio tells of an error that nobody asked for when its future goes
    assert caplog.text == ""


async def test_a_question_that_takes_too_long_is_ended(demo_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LONGEST_QUESTION", 0.3)
    questions, ended = Questions(), list[float]()
    with pytest.raises(Abandoned, match="stopped after"):
        await questions.ask(demo_store.session, endless(ended))
    assert await ended_soon(ended)
    await questions.close()


async def test_one_users_questions_leave_room_for_others(demo_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_OF_ONE", 2)
    questions, ended = Questions(), list[float]()
    tasks = [asyncio.create_task(questions.ask(demo_store.session, endless(ended), "bob")) for _ in range(2)]
    await asyncio.sleep(0.2)
    with pytest.raises(TooBusy, match="your questions"):
        await questions.ask(demo_store.session, lambda s: s.query("SELECT 1"), "bob")
    assert await questions.ask(demo_store.session, lambda s: s.query("SELECT 1"), "carol") == [(1,)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await questions.close()


async def test_more_questions_than_may_wait_are_refused_at_once(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "MOST_WAITING", 2)
    questions, ended = Questions(), list[float]()
    tasks = [
        asyncio.create_task(questions.ask(demo_store.session, endless(ended)))
        for _ in range(running.CONCURRENT_QUESTIONS + 2)
    ]
    await asyncio.sleep(0.2)
    with pytest.raises(TooBusy):
        await questions.ask(demo_store.session, lambda s: s.query("SELECT 1"))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await ended_soon(ended)
    await asyncio.sleep(0.5)
    assert await questions.ask(demo_store.session, lambda s: s.query("SELECT 1")) == [(1,)]
    assert len(ended) <= running.CONCURRENT_QUESTIONS  # those that waited never began
    await questions.close()
