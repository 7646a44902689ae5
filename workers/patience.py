"""An RQ worker that outlives refusals of the server which pass; RQ itself would end over most of them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import RedisError
from redis.client import Pipeline
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import StopRequested
from rq.job import Job

from bus.refusals import may_pass, wait_until_writable
from workers.heartbeat import LIFE_S, beating

_log = logging.getLogger(__name__)


class PatientWorker(SimpleWorker):
    """Waits while the server is away, full, read-only or busy, and goes on.

    What RQ could not note of a job is lost with it: the request of that job is put back by the sweeper.
    """

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        while True:
            try:
                self.wait_for_turn()
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except RedisError as error:
                if not may_pass(error):
                    raise
            wait_until_writable(self.connection, lambda: bool(self._stop_requested))
            if self._stop_requested:
                raise StopRequested

    def wait_for_turn(self) -> None:
        """Return when a job may be taken; here at once."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        with _passing("job given up", job_id=job.id), beating(self.heartbeat):
            super().execute_job(job, queue)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Live on for a few heartbeats, not for as long as a job may take, as RQ has it."""
        with _passing("heartbeat not noted"):
            if pipeline is None and not self.connection.hexists(self.key, "hostname"):
                self._enter_again()
            super().heartbeat(min(timeout or LIFE_S, LIFE_S), pipeline)

    def _enter_again(self) -> None:
        """Stand among the living again, from where a long silence has struck us out."""
        with self.connection.pipeline() as pipeline:
            pipeline.hset(self.key, mapping=self.serialize())
            worker_registration.register(self, pipeline)
            pipeline.execute()

    def check_for_suspension(self, burst: bool) -> None:
        with _passing("suspension not looked up"):
            super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        with _passing("upkeep put off"):
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        with _passing("end not noted"):
            super().teardown()  # type: ignore[no-untyped-call]


@contextmanager
def _passing(event: str, **fields: str) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        if not may_pass(error):
            raise
        _log.warning(event, extra={**fields, "cause": str(error)})
