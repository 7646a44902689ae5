"""An exchange over HTTP that says what it is told to: BingX's paths, answers by the last part of the path."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bus.settings import Settings

CONTRACTS = {"code": 0, "data": [{"symbol": "BTC-USDT", "asset": "BTC", "currency": "USDT", "status": 1}]}


class Scripted:
    """Serves while it is entered. The last answer of a list is given again and again."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.answers: dict[str, list[Any]] = {"contracts": [CONTRACTS]}
        self.asked: list[str] = []
        self.takes: Callable[[], None] = lambda: None
        self._now_ms = now_ms
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @staticmethod
    def settings(name: str, url: str) -> Settings:
        return Settings(pace="conservative", urls={name: url})

    def _answer(self, path: str) -> Any:
        self.asked.append(path)
        self.takes()
        name = path.partition("?")[0].rpartition("/")[2]
        if name == "time" and name not in self.answers:
            return {"code": 0, "data": self._now_ms()}  # the older form: a plain number
        answers = self.answers[name]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> "Scripted":
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
