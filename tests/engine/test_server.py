"""The HTTP server as a client sees it: a real process, real sockets."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from engine import LLM, SamplingParams, checkpoint_path
from engine import llm as llm_module
from engine.errors import EngineBroken, PromptTooLong
from engine.server.app import Api
from engine.server.loop import EngineLoop, EngineStopped
from engine.server.protocol import FIELDS, BadRequest, read_call

LONG = {"prompt": "The scheduler", "max_tokens": 1000, "n": 8, "ignore_eos": True, "seed": 1, "stream": True}


class Server:
    def __init__(self, *flags: str, run: Sequence[str] = ("-m", "engine")):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, *run, "serve", "target", "--port", str(port), *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        for _ in range(600):
            try:
                self.client.get("/health")
                return
            except httpx.ConnectError:
                assert self.process.poll() is None, self.process.stdout and self.process.stdout.read()
                time.sleep(0.1)
        raise AssertionError("the server did not start")

    def post(self, path: str = "completions", **body: Any) -> httpx.Response:
        return self.client.post(f"/v1/{path}", json=body)

    def events(self, path: str = "completions", **body: Any) -> list[dict[str, Any]]:
        with self.client.stream("POST", f"/v1/{path}", json={**body, "stream": True}) as answer:
            lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
        assert lines[-1] == "[DONE]"
        return [json.loads(line) for line in lines[:-1]]

    def metric(self, name: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", self.client.get("/metrics").text, re.M))

    def settle(self) -> None:
        """Wait until nothing is open; the pages are free then."""
        for _ in range(100):
            if self.metric("engine_open_requests") == self.metric("engine_running") == self.metric("engine_waiting") == 0:
                break
            time.sleep(0.05)
        assert self.metric("engine_kv_usage_ratio") == 0
        assert self.metric("engine_open_requests") == 0

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process.kill()
            if self.process.stdout:
                self.process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server("--n-pages", "600", "--max-open", "40")
    yield made
    assert made.stop() in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM(checkpoint_path("target"))


HELD = []  # a dropped iterator would close its connection


def begin(answer: httpx.Response) -> None:
    """Read the first line of a stream, and no more."""
    HELD.append(answer.iter_lines())
    next(HELD[-1])


PROMPTS = ["The scheduler", "A block table", "During prefill", "The draft model", "A request"]


def test_many_clients_get_what_the_engine_gives(server: Server, llm: LLM) -> None:
    def ask(n: int) -> str:
        answer = server.post(prompt=PROMPTS[n % 5], max_tokens=10 + n, seed=n, temperature=0.9, top_k=20)
        return str(answer.json()["choices"][0]["text"])

    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(ask, range(24)))
    params = [SamplingParams(max_tokens=10 + n, seed=n, temperature=0.9, top_k=20) for n in range(24)]
    assert got == [out.outputs[0].text for out in llm.generate([PROMPTS[n % 5] for n in range(24)], params)]
    server.settle()


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_adds_up_to_the_answer_that_does_not_stream(server: Server, n: int) -> None:
    body = {"prompt": ["The scheduler", "A block table"], "max_tokens": 24, "seed": 5, "n": n, "logprobs": 2, "stop": ["the batch", " so "]}
    whole = server.post(**body).json()
    chunks = server.events(**body, stream_options={"include_usage": True})
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"] and c["choices"][0]["index"] == choice["index"]]
        assert "".join(c["text"] for c in own) == choice["text"]
        assert [t for c in own for t in c["logprobs"]["token_logprobs"]] == choice["logprobs"]["token_logprobs"]
        assert [(c["finish_reason"], c.get("stop_reason")) for c in own if c["finish_reason"]] == [(choice["finish_reason"], choice["stop_reason"])]
    assert len(whole["choices"]) == 2 * n
    usage = chunks[-1]["usage"]
    assert {k: usage[k] for k in ("prompt_tokens", "completion_tokens")} == {k: whole["usage"][k] for k in ("prompt_tokens", "completion_tokens")}


def test_a_chat_goes_through_the_template_and_streams(server: Server, llm: LLM) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is a page?"}]}]
    body = {"messages": messages, "max_tokens": 12, "seed": 2, "logprobs": True, "top_logprobs": 3}
    whole = server.post("chat/completions", **body).json()["choices"][0]
    assert llm.tokenizer is not None
    prompt = llm.tokenizer.chat_ids([{"role": "user", "content": "What is a page?"}])
    expected = llm.generate([prompt], SamplingParams(max_tokens=12, seed=2))[0].outputs[0].text
    assert whole["message"] == {"role": "assistant", "content": expected}
    assert all(len(entry["top_logprobs"]) == 3 for entry in whole["logprobs"]["content"])
    assert b"".join(bytes(entry["bytes"]) for entry in whole["logprobs"]["content"]).decode() == expected
    deltas = [c["choices"][0]["delta"] for c in server.events("chat/completions", **body)]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta["content"] for delta in deltas) == expected


def test_a_client_that_leaves_frees_its_pages(server: Server) -> None:
    before = server.metric('engine_requests_total{finish_reason="abort"}')
    with server.client.stream("POST", "/v1/completions", json=LONG) as answer:
        begin(answer)
        assert server.metric("engine_kv_usage_ratio") > 0
    server.settle()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.client.base_url}/v1/completions".replace("//v1", "/v1"), json={**LONG, "stream": False}, timeout=0.2)
    server.settle()
    assert server.metric('engine_requests_total{finish_reason="abort"}') >= before + 2


def test_a_full_server_says_so_and_a_slow_reader_delays_nobody(llm: LLM) -> None:
    server = Server("--max-open", "2")
    try:
        with server.client.stream("POST", "/v1/completions", json=LONG) as slow:
            begin(slow)  # and then it reads no more
            assert server.post(prompt="The batch", max_tokens=5).status_code == 200
            with server.client.stream("POST", "/v1/completions", json=LONG) as second:
                begin(second)
                refused = server.post(prompt="The batch", max_tokens=5)
                assert (refused.status_code, refused.headers["retry-after"], refused.json()["error"]["code"]) == (429, "1", "queue_full")
        server.settle()
        assert server.post(prompt="The batch", max_tokens=5).status_code == 200
    finally:
        server.stop()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("prompts", "status"), [([*["The scheduler"] * 9, [99_999]], 400), (["The scheduler"] * 41, 429)])
def test_one_prompt_that_is_refused_ends_the_others_and_no_place_is_lost(server: Server, prompts: list[Any], status: int, stream: bool) -> None:
    assert server.post(prompt=prompts, max_tokens=900, ignore_eos=True, stream=stream).status_code == status
    server.settle()
    assert server.post(prompt=["The scheduler"] * 40, max_tokens=1).status_code == 200
    server.settle()


def test_a_signal_ends_the_server_and_every_stream_is_told() -> None:
    server = Server()
    with server.client.stream("POST", "/v1/completions", json=LONG) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]" or "error" in rest[-1]
    assert server.stop() in (0, -signal.SIGTERM)


BAD: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("completions", {}, 400, "prompt"), ("completions", {"prompt": []}, 400, "prompt"), ("completions", {"prompt": [1, "x"]}, 400, "prompt"),
    ("completions", {"prompt": "x", "temperature": -1}, 400, "temperature"), ("completions", {"prompt": "x", "temperature": "hot"}, 400, "temperature"),
    ("completions", {"prompt": "x", "max_tokens": 0}, 400, "max_tokens"), ("completions", {"prompt": "x", "n": 1.5}, 400, "n"),
    ("completions", {"prompt": "x", "top_p": 2}, 400, "top_p"), ("completions", {"prompt": "x", "stop": [""]}, 400, "stop"),
    ("completions", {"prompt": "x", "logit_bias": {"a": 1}}, 400, "logit_bias"), ("completions", {"prompt": "x", "logit_bias": {"99999": 1}}, 400, None),
    ("completions", {"prompt": "x", "logprobs": 99}, 400, "logprobs"), ("completions", {"prompt": "x", "suffix": "y"}, 400, "suffix"),
    ("completions", {"prompt": "x", "wat": 1}, 400, "wat"), ("completions", {"prompt": "x", "model": "gpt"}, 404, "model"),
    ("completions", {"prompt": [9999]}, 400, None), ("completions", {"prompt": "x " * 3000}, 400, None),
    ("completions", {"prompt": "x", "stream": "yes"}, 400, "stream"),
    ("completions", {"prompt": "x", "stream_options": {"include_usage": True}}, 400, "stream_options"),
    ("completions", {"prompt": "x", "response_format": {"type": "xml"}}, 400, "response_format"),
    ("completions", {"prompt": "x", "stream": True, "stream_options": {"include_usage": "no"}}, 400, "include_usage"),
    ("completions", {"prompt": "x", "logit_bias": {"1": True}}, 400, "logit_bias"),
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 0}, 400, "max_tokens"),
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": {"messages": []}}, 400, "chat_template_kwargs"),
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "add_generation_prompt": "no"}, 400, "add_generation_prompt"),
    ("chat/completions", {"messages": []}, 400, "messages"), ("chat/completions", {"messages": [{"role": "user"}]}, 400, "messages"),
    ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages"),
    ("chat/completions", {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2}, 400, "top_logprobs"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "param"), BAD)
def test_a_bad_request_is_told_what_is_wrong(server: Server, path: str, body: dict[str, Any], status: int, param: str | None) -> None:
    answer = server.post(path, **body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert answer.json()["error"]["message"]


def test_what_is_no_json_and_what_is_not_served(server: Server) -> None:
    url = f"{server.client.base_url}".rstrip("/")
    assert server.client.post("/v1/completions", content=b"{").json()["error"]["code"] == "invalid_json"
    assert server.client.post("/v1/completions", content=b"[" * 100_000).json()["error"]["code"] == "invalid_json"
    assert server.client.post("/v1/completions", content=b"x" * (5 << 20)).status_code == 413
    assert server.client.get("/v1/engines").json()["error"]["code"] == "not_found"
    assert httpx.get(f"{url}/v1/completions").status_code == 405
    assert [model["id"] for model in server.client.get("/v1/models").json()["data"]] == ["target"]
    server.settle()


@pytest.mark.parametrize("field", ['"cache_salt":"\\ud800"', '"prompt":"\\udfff"', '"\\ud800":1', '"temperature":1' + "0" * 400, '"seed":9223372036854775808',
                                   '"logit_bias":{"1":1' + "0" * 400 + "}"])  # fmt: skip
def test_half_a_character_and_a_number_past_64_bits_are_refused_and_the_engine_lives(server: Server, field: str) -> None:
    answer = server.client.post("/v1/completions", content=f'{{"prompt":"x","max_tokens":2,{field}}}'.encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json"), answer.text
    assert server.client.get("/health").status_code == 200 and server.post(prompt="x", max_tokens=2).status_code == 200


def test_a_long_prompt_is_refused_before_it_is_tokenized(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(llm.tokenizer), "encode", lambda *_, **__: pytest.fail("it was tokenized"))
    long = "scheduler " * 100_000
    with TestClient(Api(llm, "m").app()) as client:
        for path, body in (("completions", {"prompt": long}), ("completions", {"prompt": [5], "negative_prompt": long, "guidance_scale": 2}),
                           ("chat/completions", {"messages": [{"role": "user", "content": long}]})):  # fmt: skip
            answer = client.post(f"/v1/{path}", json=body)
            assert (answer.status_code, "1000000 bytes" in answer.json()["error"]["message"]) == (400, True), answer.text


@pytest.mark.parametrize("extra", [{}, {"n": 2}, {"n": 3}, {"guidance_scale": 1.5}, {"guidance_scale": 1.5, "negative_prompt": "The batch " * 30}])
def test_a_chat_without_a_limit_takes_the_room_that_there_is(extra: dict[str, Any]) -> None:
    small = LLM(checkpoint_path("target"), n_pages=40)
    with TestClient(Api(small, "m").app()) as client:
        body = {"messages": [{"role": "user", "content": "What is a page?"}], "ignore_eos": True, **extra}
        assert {choice["finish_reason"] for choice in client.post("/v1/chat/completions", json=body).json()["choices"]} == {"length"}
        call = read_call("chat", body, ["m"], lambda messages, **_: [1] * 20, small.room)
        with pytest.raises(PromptTooLong):
            small.submit([1] * 20, call.params.clone(max_tokens=call.params.max_tokens + 16 * call.params.n + 16))


def test_text_offsets_are_places_in_the_text(llm: LLM) -> None:
    body = {"prompt": "The sched", "max_tokens": 30, "seed": 1, "logprobs": 0}
    with TestClient(Api(llm, "m").app()) as client:
        for more, pieces in (({"grammar": 'root ::= "é中👩é"'}, None), ({"heal": True}, ["uler"])):
            choice = client.post("/v1/completions", json={**body, **more}).json()["choices"][0]
            text, offsets = choice["text"], choice["logprobs"]["text_offset"]
            assert offsets[0] == 0 and offsets == sorted(offsets) and len(offsets) == len(choice["logprobs"]["tokens"])
            if pieces:  # what the prompt had of its first token is no text of the answer
                assert text[: offsets[1]] == pieces[0]
                assert [text[a:b] for a, b in pairwise(offsets)][1:] == choice["logprobs"]["tokens"][1:-1]
            else:
                assert {text[at] for at in offsets} == set(text)
        streamed: list[int] = []
        with client.stream("POST", "/v1/completions", json={**body, "heal": True, "stream": True}) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    streamed += json.loads(line.removeprefix("data: "))["choices"][0]["logprobs"]["text_offset"]
        assert streamed == offsets


def test_a_step_that_fails_fails_its_requests_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=64)
    real, body = llm.engine.runner.launch, {"prompt": "The scheduler", "max_tokens": 5, "seed": 1}
    monkeypatch.setattr(llm.engine.runner, "launch", lambda *args: 1 // 0 if any(row.request.params.top_k == 7 for row in args[0].rows) else real(*args))
    with TestClient(Api(llm, "m").app()) as client:
        good = client.post("/v1/completions", json=body).json()["choices"]
        assert [client.post("/v1/completions", json={**body, "top_k": 7}).status_code for _ in range(3)] == [500] * 3
        assert client.post("/v1/completions", json=body).json()["choices"] == good
        assert client.get("/health").status_code == 200
        assert "engine_open_requests 0.0" in client.get("/metrics").text


def test_when_the_engine_breaks_nobody_waits_for_ever_and_no_place_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests arrive while the step runs that breaks it."""
    llm = LLM(checkpoint_path("target"), n_pages=64)
    begun, late = threading.Event(), threading.Event()

    def step() -> Any:
        begun.set()
        late.wait(10)
        raise EngineBroken("the bus fell off")

    monkeypatch.setattr(llm, "step", step)
    loop = EngineLoop(llm, max_open=3)
    loop.broken = broken = Mock()

    async def ask() -> Exception | None:
        try:
            async for _ in loop.generate("x", SamplingParams()):
                pass
        except Exception as error:
            return error
        return None

    async def everybody() -> list[Exception | None]:
        first = asyncio.ensure_future(ask())
        await asyncio.to_thread(begun.wait, 10)
        others = [asyncio.ensure_future(ask()) for _ in range(2)]
        while loop._calls.qsize() < 2:
            await asyncio.sleep(0.01)
        late.set()
        return await asyncio.wait_for(asyncio.gather(first, *others), 10) + [await ask() for _ in range(5)]

    loop.start()
    errors = asyncio.run(everybody())
    assert [type(error) for error in errors] == [EngineStopped] * 8, errors
    assert (loop.open, loop.alive) == (0, False)
    loop.close()  # the engine's thread tells of the break when it has told all who wait
    broken.assert_called_once()


def test_grammars_that_wait_to_be_compiled_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are threads. Those who left meanwhile are passed over."""
    llm, known, go, compiled = LLM(checkpoint_path("target"), n_pages=256), 'root ::= "yes"', threading.Event(), []
    llm.generate("x", SamplingParams(grammar=known))
    real = llm_module.compile_grammar

    def slow(grammar: str | None, schema: str | None) -> Any:
        compiled.append(grammar)
        assert go.wait(30)
        return real(grammar, schema)

    monkeypatch.setattr(llm_module, "compile_grammar", slow)
    loop = EngineLoop(llm)

    async def ask(**params: Any) -> str:
        text = ""
        async for state in loop.generate("x", SamplingParams(max_tokens=8, **params)):
            text = state.outputs[0].text
        return text

    async def everybody() -> list[Any]:
        heavy = [asyncio.ensure_future(ask(grammar=f'root ::= "{n}"')) for n in range(60)]
        while not compiled:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        try:
            light = await asyncio.wait_for(asyncio.gather(ask(), ask(grammar=known)), 10)
        except TimeoutError:
            go.set()
            raise
        for task in heavy[40:]:
            task.cancel()
        await asyncio.gather(*heavy[40:], return_exceptions=True)
        go.set()
        return [light[1], *await asyncio.gather(*heavy[:40])]

    loop.start()
    try:
        assert asyncio.run(everybody()) == ["yes", *(str(n) for n in range(40))]
        assert len(compiled) == 40 and loop.open == 0
    finally:
        go.set()
        loop.close()


def test_a_broken_engine_ends_its_process_with_an_error() -> None:
    code = """if True:
        import engine.llm, engine.cli, engine.errors, sys
        def step(self): raise engine.errors.EngineBroken("the bus fell off")
        engine.llm.LLM.step = step
        sys.exit(engine.cli.main(sys.argv[1:]))"""
    server = Server(run=["-c", code])
    try:
        assert server.post(prompt="x").status_code == 503
        assert server.process.wait(timeout=60) == 1
    finally:
        server.stop()


def test_a_scrape_does_not_wait_for_ever(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.server.app.SCRAPE", 0.05)
    api, done = Api(llm, "m"), threading.Event()
    with TestClient(api.app()) as client:
        api.engine.call(lambda: done.wait(30))
        answer = client.get("/metrics")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_busy")
        done.set()
        monkeypatch.undo()
        assert client.get("/metrics").status_code == 200


def test_metrics_count_what_was_asked(server: Server) -> None:
    before = {name: server.metric(name) for name in ("engine_ttft_seconds_count", "engine_tpot_seconds_count", "engine_generation_tokens_total")}
    server.post(prompt="The scheduler", max_tokens=7, ignore_eos=True)
    after = {name: server.metric(name) - value for name, value in before.items()}
    assert after == {"engine_ttft_seconds_count": 1, "engine_tpot_seconds_count": 1, "engine_generation_tokens_total": 7}


json_values = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4),
                           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)  # fmt: skip


@given(kind=st.sampled_from(["completions", "chat"]), data=st.data())
def test_no_body_breaks_the_reader(kind: str, data: st.DataObject) -> None:
    body = data.draw(json_values | st.dictionaries(st.sampled_from(sorted(FIELDS[kind])), json_values, max_size=5))
    if isinstance(body, dict) and data.draw(st.booleans()):
        body |= {"prompt": "x"} if kind == "completions" else {"messages": [{"role": "user", "content": "x"}]}
    try:
        read_call(kind, body, ["target"], lambda messages, **extra: [1], lambda prompt, fields: 10)
    except BadRequest as error:
        assert str(error)


def test_the_engine_itself_imports_no_web_framework() -> None:
    code = "import engine, engine.cli, sys; assert not {'starlette', 'uvicorn', 'prometheus_client', 'triton'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
