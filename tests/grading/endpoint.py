"""An endpoint that speaks OpenAI's chat completions over real HTTP, with manners to choose: it reads the prompt that it gets, as a model would."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Verdicts = list[dict[str, Any]]


def read_prompt(body: dict[str, Any]) -> tuple[dict[str, str], str]:
    """(statements by name, the answer) as they stand in the prompt."""
    user = body["messages"][1]["content"]
    mark = re.search(r"hold the mark (=== \w+ ===)", user)[1]
    answer = user.split(f"\n{mark}\n", 1)[1].removesuffix(f"\n{mark}")
    assert mark not in answer
    return dict(re.findall(r"^\[(s\w+)\] (.*)$", user.split("The text stands between")[0], re.M)), answer


def words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"\w+", text) if len(word) > 3}


def honest(statements: dict[str, str], answer: str) -> Verdicts:
    """Says that a statement is met when a line of the answer has most of its words, and quotes that line."""
    out = []
    for name, text in statements.items():
        lines = [line for line in re.split(r"(?<=[.!?])\s+|\n", answer) if line.strip()]
        best = max(lines, key=lambda line: len(words(line) & words(text)), default="")
        met = bool(words(text)) and len(words(best) & words(text)) >= 0.7 * len(words(text))
        out.append({"claim_id": name, "met": met, "quote": best if met else ""})
    return out


def completion(verdicts: Any, finish: str = "stop") -> bytes:
    text = verdicts if isinstance(verdicts, str) else json.dumps({"claims": verdicts})
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


class Endpoint:
    """`answer(statements, text, n)` gives the verdicts of the n-th request (from 1), or a whole reply as (status, body, seconds between bytes)."""

    def __init__(self, answer: Callable[[dict[str, str], str, int], Any]) -> None:
        self.answer, self.requests, self.headers = answer, list[dict[str, Any]](), list[dict[str, str]]()
        self.url = ""

    def reply(self, body: dict[str, Any]) -> tuple[int, bytes, float]:
        made = self.answer(*read_prompt(body), len(self.requests))
        return made if isinstance(made, tuple) else (200, completion(made), 0.0)


@contextmanager
def serve(answer: Callable[[dict[str, str], str, int], Any]) -> Iterator[Endpoint]:
    endpoint = Endpoint(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            endpoint.requests.append(body)
            endpoint.headers.append(dict(self.headers))
            status, data, drip = endpoint.reply(body) if self.path == "/v1/chat/completions" else (404, b"", 0.0)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if 300 <= status < 400:
                    self.send_header("Location", endpoint.url + "/elsewhere")
                self.end_headers()
                for at in range(len(data) if drip else 0):
                    self.wfile.write(data[at : at + 1])
                    self.wfile.flush()
                    time.sleep(drip)
                if not drip:
                    self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has had enough

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
