"""A worker serves two queues, so that the job it is killed over is in no list; nobody puts a lost request back."""

import time
from typing import Any

import workers.sweeper
from bus.queue import queue_of
from workers.worker import ExchangeWorker

workers.sweeper.put_back_overdue = lambda *_: []
import workers.worker  # noqa: E402

workers.worker.put_back_overdue = lambda *_: []

_begin = ExchangeWorker.__init__


def _on_two(self: ExchangeWorker, desk: Any, bus: Any, rq_connection: Any, *more: Any) -> None:
    _begin(self, desk, bus, rq_connection, *more)
    other = queue_of("other", rq_connection, self.job_class)
    self.queues.append(other)
    self._ordered_queues.append(other)


ExchangeWorker.__init__ = _on_two  # type: ignore[method-assign]

_dequeue = ExchangeWorker.dequeue_job_and_maintain_ttl


def _slowly(self: ExchangeWorker, *args: Any, **more: Any) -> Any:
    found = _dequeue(self, *args, **more)
    time.sleep(0.3)  # between taking the job and saying so: where a worker must not be killed
    return found


ExchangeWorker.dequeue_job_and_maintain_ttl = _slowly  # type: ignore[method-assign]
