"""A merchant's app that writes down all it is told, and often does not say so.

python -m tests.chaos.merchant --port 1 --seed 7 --log FILE --bad 0.3
"""

import argparse
import json
import os
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

TOO_LONG_SECONDS = 3.0


class Merchant(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, seed: int, log: str, bad: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.secret = Webhook(os.environ["MERCHANT_WEBHOOK_SECRET"])
        self.dice, self.bad, self.log = random.Random(seed), bad, open(log, "a")  # noqa: SIM115
        self.lock = threading.Lock()

    def note(self, entry: dict[str, Any]) -> None:
        with self.lock:
            self.log.write(json.dumps(entry) + "\n")
            self.log.flush()

    def mood(self) -> str:
        with self.lock:
            if self.dice.random() >= self.bad:
                return "200"
            return self.dice.choice(["500", "drop", "500", "drop", "410", "timeout"])


class Handler(BaseHTTPRequestHandler):
    server: Merchant
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the sender was killed in the middle of a sentence
            self.close_connection = True
            return
        if self.path == "/calm":
            self.server.bad = 0.0
            self._answer(200)
            return
        mood = self.server.mood()
        try:
            self.server.secret.verify(body, dict(self.headers.items()))
            is_genuine = True
        except WebhookVerificationError:
            is_genuine = False
        entry = {"id": self.headers["webhook-id"], "body": body.decode(), "genuine": is_genuine}
        self.server.note({**entry, "mood": mood, "at": time.time()})
        if mood == "timeout":
            time.sleep(TOO_LONG_SECONDS)
        if mood in ("timeout", "drop"):
            self.close_connection = True
            self.connection.close()
            return
        self._answer(int(mood) if is_genuine else 400)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", required=True)
    parser.add_argument("--bad", type=float, default=0.0)
    arguments = parser.parse_args()
    Merchant(arguments.port, arguments.seed, arguments.log, arguments.bad).serve_forever()


if __name__ == "__main__":
    main()
