"""The worker process of one exchange: an RQ worker without fork, on one queue, with warm sessions."""

import logging
import os
import signal
import socket
import time
from types import FrameType
from typing import Final

from redis import Redis, RedisError, ResponseError
from rq import Queue
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker import WorkerStatus

from bus.connection import check_server, connect, log_warnings, readable_errors
from bus.errors import BusError, CandleBusError, SettingsError
from bus.queue import queue_of
from bus.refusals import may_pass, wait_until_writable
from bus.safe_job import SafeQueue, safe_job_class
from bus.scripts import load_all
from bus.settings import Settings
from workers.desk import Desk
from workers.jobs import Jobs
from workers.lifespan import Lifespan
from workers.patience import PatientWorker
from workers.sweeper import LOOK_AFTER_EVERY_S, put_back_overdue, trim_streams
from workers.upkeep import Upkeep

_log = logging.getLogger(__name__)

#: RQ blocks for this less 15 s on an empty queue, so that an idle worker also looks after lost requests.
_WORKER_TTL_S: Final = 20
_UPKEEP_EVERY_S: Final = int(LOOK_AFTER_EVERY_S)
_TRIM_EVERY_S: Final = 60.0
_PAUSE_LOOK_S: Final = 1.0


class ExchangeWorker(PatientWorker):
    """Runs jobs in its own process, one queue only: a worker on two queues loses the job it is killed with.

    Attributes:
        ends_on_purpose: Whether it ends, or has, because somebody asked for it or its time is over.
    """

    queue_class = SafeQueue
    #: A server that comes back is found within so many seconds.
    max_connection_wait_time = 5.0

    def __init__(self, desk: Desk, bus: Redis, rq_connection: Redis, lifespan: Lifespan | None = None) -> None:
        """Serve ``desk``'s exchange.

        Args:
            bus: Connection for our own commands, without library retries.
            rq_connection: Connection of RQ's, which raises the timeouts of the pool that it is given.
            lifespan: After what to end between two jobs; by default that of every worker.
        """
        self._desk = desk
        self._bus = bus
        self._lifespan = lifespan or Lifespan()
        self._upkeep_at = self._trimmed_at = 0.0
        self._exchange = desk.exchange.facts.name
        self._job_id = ""
        self.ends_on_purpose = False
        worker = f"{self._exchange}-{socket.gethostname()}-{os.getpid()}"
        jobs = Jobs(bus, desk, worker, job_id=lambda: self._job_id, should_stop=lambda: self._stop_requested)
        job_class = safe_job_class(jobs.functions())
        queue = queue_of(self._exchange, rq_connection, job_class)
        self._upkeep = Upkeep(bus, queue)
        super().__init__(
            [queue],
            connection=rq_connection,
            job_class=job_class,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL_S,
            maintenance_interval=_UPKEEP_EVERY_S,
            log_job_description=False,
        )

    def execute_job(self, job: Job, queue: Queue) -> None:
        self._job_id = job.id
        try:
            super().execute_job(job, queue)
        except ResponseError as error:  # of RQ's bookkeeping: a key of the job's is not what it should be
            _log.error("job given up", extra={"job_id": job.id, "cause": str(error)})
            self._bus.lrem(queue.intermediate_queue_key, 1, job.id)
        if self._lifespan.is_over_after_job():
            _log.info("worker begins anew", extra={"exchange": self._exchange})
            self.ends_on_purpose = self._stop_requested = True

    def request_stop(self, _number: int, _frame: FrameType | None) -> None:
        """End once what is under way is published; once is enough, for what is under way has bounds of its own."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self.ends_on_purpose = self._stop_requested = True
        self._desk.end()
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Whether it is time for upkeep, by a clock that never steps: RQ asks this machine's, which may be set back."""
        return time.monotonic() >= self._upkeep_at

    def run_maintenance_tasks(self) -> None:
        self._upkeep_at = time.monotonic() + _UPKEEP_EVERY_S
        super().run_maintenance_tasks()
        try:
            put_back_overdue(self._bus, self._exchange)
            self._desk.time.tell()  # though no request has it looked at: schedulers go by it
            if time.monotonic() - self._trimmed_at > _TRIM_EVERY_S:
                trim_streams(self._bus, self._exchange)
                self._trimmed_at = time.monotonic()
        except (RedisError, CandleBusError) as error:
            if isinstance(error, RedisError) and not (may_pass(error) or isinstance(error, ResponseError)):
                raise
            _log.error("upkeep failed", extra={"exchange": self._exchange, "cause": str(error)})

    def clean_registries(self) -> None:
        """Ours instead of RQ's, which restores what stands there."""
        self._upkeep.look()
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def clean_group_registries(self) -> None:
        """Nothing: jobs of the bus are in no groups of RQ's."""

    def wait_for_turn(self) -> None:
        """Take no job while the exchange is paused, or fails: it would only come back to the queue."""
        while rest_ms := self._rest_ms():
            self.heartbeat()
            time.sleep(min(_PAUSE_LOOK_S, rest_ms / 1000))

    def _rest_ms(self) -> int:
        try:
            return self._desk.limiter.rest_ms()
        except (ResponseError, CandleBusError) as error:  # the job itself will be told, and end with it
            _log.error("the exchange's state cannot be read", extra={"exchange": self._exchange, "cause": str(error)})
            return 0

    def subscribe(self) -> None:
        """Listen to no commands: whoever may publish on the server could stop us."""

    def unsubscribe(self) -> None:
        """Nothing to end."""


def run_worker(exchange: str, settings: Settings, *, burst: bool = False) -> None:
    """Serve the queue of an exchange until asked to stop; with ``burst``, until it is empty.

    Raises:
        UnknownExchange: There is no such exchange.
        SettingsError: No server is named, or it is not fit for a bus.
        BusUnavailable: The server is away.
        BusError: RQ gave up over something that stands on the server; its log line says over what.
    """
    if settings.redis_url is None:
        raise SettingsError("a worker needs a server: set CANDLEBUS_REDIS_URL, or start one with 'candlebus up'")
    bus, rq_connection = connect(settings.redis_url), connect(settings.redis_url)
    desk = Desk(exchange, bus, settings)
    try:
        with readable_errors(settings.redis_url):
            log_warnings(check_server(bus))
            load_all(bus)
            wait_until_writable(bus, lambda: False)
            worker = ExchangeWorker(desk, bus, rq_connection)
            _log.info("worker serves", extra={"exchange": exchange, "pace": settings.pace_of(exchange)})
            worker.work(burst=burst, logging_level="WARNING")
        if not (burst or worker.ends_on_purpose):
            raise BusError(f"the worker of {exchange} ended over what its log line above names; it is to be restarted")
    finally:
        desk.close()
        bus.close()
        rq_connection.close()
