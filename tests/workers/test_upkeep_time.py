"""When a worker looks after lost requests, whatever becomes of its machine's clock."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from rq.utils import now

from bus.connection import connect
from bus.settings import Settings
from workers import worker as worker_module
from workers.desk import Desk
from workers.worker import ExchangeWorker


@pytest.fixture
def worker(redis: Redis, server: str) -> Iterator[ExchangeWorker]:
    rq_connection = connect(server)
    desk = Desk("bingx", redis, Settings())
    yield ExchangeWorker(desk, redis, rq_connection)
    desk.close()
    rq_connection.close()


def test_a_clock_that_is_set_back_after_an_upkeep_does_not_put_the_next_one_off(
    worker: ExchangeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 1_000.0
    monkeypatch.setattr(worker_module.time, "monotonic", lambda: passed_s)
    worker.run_maintenance_tasks()
    worker.last_cleaned_at = now() + timedelta(days=1)  # what the clock said before it was set back
    assert not worker.should_run_maintenance_tasks
    passed_s += 6
    assert worker.should_run_maintenance_tasks
