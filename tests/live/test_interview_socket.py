"""The doorbell."""

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator

from interviews.asgi import application
from interviews.live import actions, consumers, events
from interviews.live.models import Interview
from tests.conftest import People, Person
from tests.live.test_answer_socket import cookie

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., Interview]


async def ring(interview: Interview, person: Person) -> WebsocketCommunicator:
    socket = WebsocketCommunicator(application, f"/ws/interviews/{interview.pk}/", headers=cookie(person))
    connected, _ = await socket.connect()
    assert connected
    return socket


async def test_it_greets_with_the_number_and_the_clock(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    hello = await socket.receive_json_from()
    assert (hello["type"], hello["seq"], hello["status"]) == ("hello", 2, "running")
    assert 0 < hello["remaining_ms"] <= 60 * 60_000
    await socket.disconnect()


async def test_it_rings_after_each_event(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.interviewer)
    await socket.receive_json_from()
    await sync_to_async(actions.finish)(interview=interview, actor=people.candidate.user)
    heard = [await socket.receive_json_from(timeout=5) for _ in range(2)]
    assert sorted(message["seq"] for message in heard) == [3, 4]
    await socket.disconnect()


async def test_it_tells_the_time_when_asked(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    await socket.receive_json_from()
    await socket.send_json_to({"type": "clock"})
    assert (await socket.receive_json_from())["type"] == "clock"
    await socket.disconnect()


async def test_the_time_comes_with_the_number_of_an_event_for_which_nothing_rang(
    people: People, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    assert (await socket.receive_json_from())["seq"] == 2
    monkeypatch.setattr(events, "publish", lambda group, message: None)
    await sync_to_async(actions.finish)(interview=interview, actor=people.candidate.user)
    assert await socket.receive_nothing()
    await socket.send_json_to({"type": "clock"})
    assert (await socket.receive_json_from())["seq"] == 4
    await socket.disconnect()


async def test_an_unknown_message_is_answered_and_the_line_stays(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    await socket.receive_json_from()
    await socket.send_json_to({"type": "give me the hidden tests"})
    assert (await socket.receive_json_from())["code"] == "unknown_type"
    await socket.send_json_to({"type": "clock"})
    assert (await socket.receive_json_from())["type"] == "clock"
    await socket.disconnect()


@pytest.mark.parametrize(
    ("frame", "code"),
    [("{", 4400), ("[]", 4400), ("null", 4400), ('{"a": 1}', 4400), ("[" * 5000, 4400), ('{"type": "' + "x" * 70_000 + '"}', 4413)],
    ids=["cut", "list", "null", "no type", "deep", "big"],
)
async def test_a_frame_that_makes_no_sense_is_answered_and_closed(people: People, make: Make, frame: str, code: int) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    await socket.receive_json_from()
    await socket.send_to(text_data=frame)
    assert (await socket.receive_json_from())["type"] == "error"
    assert (await socket.receive_output())["code"] == code


@pytest.mark.parametrize(("name", "code"), [("other", 4404), ("stranger", 4401)])
async def test_it_rings_for_nobody_else(people: People, make: Make, name: str, code: int) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, getattr(people, name))
    assert await socket.receive_output() == {"type": "websocket.close", "code": code}


@pytest.mark.parametrize("asks", [True, False], ids=["asking", "listening"])
async def test_it_rings_no_more_for_who_signed_out(people: People, make: Make, monkeypatch: pytest.MonkeyPatch, asks: bool) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    await socket.receive_json_from()
    await sync_to_async(people.candidate.client.logout)()
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.0)
    if asks:
        await socket.send_json_to({"type": "clock"})
    else:
        await sync_to_async(actions.finish)(interview=interview, actor=people.candidate.user)
    assert await socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4402}


async def test_one_that_opened_while_redis_was_away_rings_once_it_is_back(people: People, make: Make, no_redis: Callable[[], object]) -> None:
    interview = await sync_to_async(make)()
    socket = await ring(interview, people.candidate)
    assert (await socket.receive_json_from())["seq"] == 2
    await sync_to_async(actions.finish)(interview=interview, actor=people.candidate.user)
    no_redis()
    assert await socket.receive_json_from(timeout=5) == {"type": "seq", "seq": 4}
    await socket.disconnect()
