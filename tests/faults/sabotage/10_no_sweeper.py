"""Nobody puts back a request whose worker has died."""

import workers.worker

workers.worker.put_back_overdue = lambda *_: []
