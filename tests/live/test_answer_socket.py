"""The document socket: stored before acknowledged, merged, guarded, and indifferent to what people type."""

import asyncio
import json
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from pycrdt import Decoder, Doc, Text, create_sync_message, create_update_message, write_message
from redis import Redis

from interviews.asgi import application
from interviews.live import access, actions, consumers, documents, events
from interviews.live.models import Interview, Update
from interviews.live.queries import content_of
from tests.conftest import People, Person
from tests.live.helpers import pass_deadline, question, typed
from tests.live.test_documents import scattered

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., Interview]


class Browser:
    """One tab: a document and its socket."""

    def __init__(self, socket: WebsocketCommunicator) -> None:
        self.socket = socket
        self.document: Doc = Doc()
        self.acknowledged = 0
        self.refused: list[dict[str, str]] = []

    @property
    def text(self) -> str:
        return str(self.document.get("text", type=Text))

    async def receive(self, timeout: float = 5) -> int:
        """Takes one frame and returns its kind."""
        frame = await self.socket.receive_from(timeout=timeout)
        decoder = Decoder(frame)
        kind = decoder.read_var_uint()
        if kind == 0:
            step = decoder.read_var_uint()
            payload = decoder.read_message() or b""
            if step == 0:
                await self.socket.send_to(bytes_data=b"\0\1" + write_message(self.document.get_update(payload)))
            else:
                self.document.apply_update(payload)
        elif kind == 2:
            self.acknowledged = decoder.read_var_uint()
        elif kind == 3:
            self.refused.append(json.loads(decoder.read_message() or b""))
        return kind

    async def sync(self) -> None:
        """Both step 1, both step 2, and the acknowledgement of ours."""
        await self.socket.send_to(bytes_data=create_sync_message(self.document))
        for _ in range(3):
            await self.receive()

    async def type(self, text: str) -> None:
        await self.socket.send_to(bytes_data=create_update_message(typed(text, into=self.document)))


def cookie(person: Person) -> list[tuple[bytes, bytes]]:
    session = person.client.cookies.get("sessionid")
    headers = [(b"origin", b"http://localhost"), (b"host", b"localhost")]
    return [*headers, (b"cookie", f"sessionid={session.value}".encode())] if session else headers


@asynccontextmanager
async def opened(interview: Interview, person: Person, kind: str = "written") -> AsyncIterator[Browser]:
    asked = await sync_to_async(question)(interview, kind)
    socket = WebsocketCommunicator(application, f"/ws/answers/{asked.answer.pk}/", headers=cookie(person))
    connected, _ = await socket.connect()
    assert connected
    try:
        yield Browser(socket)
    finally:
        await socket.disconnect()


async def content(interview: Interview, kind: str = "written") -> Any:
    return await sync_to_async(lambda: content_of(question(interview, kind)))()


async def test_what_is_acknowledged_is_stored(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("Decode reads all weights.")
        assert await tab.receive() == 2
        assert tab.acknowledged == 2
        assert (await content(interview)).text == "Decode reads all weights."


async def test_a_new_tab_sees_what_was_written(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("Hello.")
        await tab.receive()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        assert tab.text == "Hello."


async def test_two_tabs_at_once_end_with_the_same_text(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as one, opened(interview, people.candidate) as two:
        await one.sync()
        await two.sync()
        await one.type("one ")
        await two.type("two ")
        # Each hears of its own acknowledgement and of the other's update.
        kinds = [await tab.receive() for tab in (one, one, two, two)]
        assert sorted(kinds) == [0, 0, 2, 2]
        assert one.text == two.text == (await content(interview)).text
        assert set(one.text.split()) == {"one", "two"}


async def test_what_was_typed_offline_comes_in_with_the_next_connection(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        typed("Typed on a train. ", into=tab.document)
        await tab.sync()
        assert tab.acknowledged == 1
        assert (await content(interview)).text == "Typed on a train. "


async def test_an_offline_edit_reaches_the_other_tab_too(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as home, opened(interview, people.candidate) as train:
        await home.sync()
        typed("From the train.", into=train.document)
        await train.sync()
        await home.receive()
        assert home.text == "From the train."


async def test_an_update_that_waits_for_another_is_not_lost(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    source: Doc = Doc()
    first = typed("world", into=source)
    second = typed("hello ", into=source)
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        for update in (second, first):
            await tab.socket.send_to(bytes_data=create_update_message(update))
            assert await tab.receive() == 2
    assert (await content(interview)).text == "hello world"


async def test_reconnecting_after_a_deletion_stores_nothing_new(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("wrong ")
        await tab.receive()
        before = tab.document.get_state()
        del tab.document.get("text", type=Text)[0:6]
        await tab.socket.send_to(bytes_data=create_update_message(tab.document.get_update(before)))
        await tab.receive()
        document = tab.document
    count = await Update.objects.acount()
    async with opened(interview, people.candidate) as tab:
        tab.document = document
        await tab.sync()
    assert await Update.objects.acount() == count
    assert (await content(interview)).text == ""


async def test_what_another_tab_stores_during_the_handshake_is_sent(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    asked = await sync_to_async(question)(interview, "written")
    async with opened(interview, people.candidate) as tab:
        await tab.socket.send_to(bytes_data=create_sync_message(tab.document))
        frames = [await tab.socket.receive_from(timeout=5) for _ in range(2)]
        assert [frame[:2] for frame in frames] == [b"\0\0", b"\0\1"]
        # Stored after this tab's step 1 was answered; the news of it comes only after this tab's step 2, which says nothing new.
        update = typed("From the other tab.")
        seq = await sync_to_async(actions.store_update)(answer_id=asked.answer.pk, actor=people.candidate.user, data=update)
        await tab.socket.send_to(bytes_data=b"\0\1" + write_message(b"\0\0"))
        news = {"type": "relay.update", "data": update, "seq": seq, "sender": "another"}
        await get_channel_layer().group_send(events.answer_group(asked.answer.pk), news)
        assert sorted([await tab.receive(), await tab.receive()]) == [0, 2]
        assert tab.text == "From the other tab."


async def test_a_refusal_hides_nothing_that_others_wrote(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    asked = await sync_to_async(question)(interview, "written")
    async with opened(interview, people.interviewer) as watching:
        await watching.sync()
        update = typed("By the candidate. ")
        await sync_to_async(actions.store_update)(answer_id=asked.answer.pk, actor=people.candidate.user, data=update)
        await watching.type("Let me help. ")
        assert sorted([await watching.receive(), await watching.receive()]) == [0, 3]
        assert "By the candidate. " in watching.text


STRANGE = {
    "NUL": "a\0b",
    "emoji": "👩‍💻🏳️‍🌈",
    "right to left": "שלום עולם",
    "zero width": "a\u200bb\u2060c\ufeff",
    "combining": "e\u0301 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "markup": "<script>alert(1)</script>&amp;",
    "a megabyte": "decode " * 149_000,
}


@pytest.mark.parametrize("name", STRANGE)
async def test_strange_text_survives(people: People, make: Make, name: str) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type(STRANGE[name])
        assert await tab.receive() == 2
    stored = (await content(interview)).text
    assert stored == STRANGE[name].replace("\0", "\ufffd")
    assert len(stored) == len(STRANGE[name])


async def test_more_than_a_frame_may_hold_is_refused_and_loses_nothing(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("kept ")
        await tab.receive()
        await tab.socket.send_to(bytes_data=create_update_message(typed("x" * 3_000_000)))
        assert await tab.receive() == 3
        assert tab.refused[0]["code"] == "too_large"
    assert (await content(interview)).text == "kept "


BROKEN = [
    b"\x07",
    b"\x00",
    b"\x00\x09\x00",
    b"\x00\x02",
    b"\x00\x02\x05abc",
    b"\x00\x00\x03\xff\xff\xff",
    b"\xff" * 40,
    b"\x00\x02\x03\x01\x01\x01",
]


@pytest.mark.parametrize("frame", BROKEN)
async def test_a_broken_frame_closes_the_socket_and_loses_nothing(people: People, make: Make, frame: bytes) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("kept ")
        await tab.receive()
        await tab.socket.send_to(bytes_data=frame)
        assert await tab.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4400}
    assert (await content(interview)).text == "kept "


async def test_text_on_the_binary_socket_closes_it(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.socket.send_to(text_data="hello")
        assert (await tab.socket.receive_output(timeout=5))["code"] == 4400


async def test_after_the_deadline_writing_is_refused_with_a_sentence(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("In time. ")
        await tab.receive()
        await sync_to_async(pass_deadline)(interview)
        await tab.type("Too late. ")
        assert await tab.receive() == 3
        assert tab.refused[0]["code"] == "deadline"
    assert (await content(interview)).text == "In time. "


async def test_a_reviewer_reads_along_and_writes_nothing(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab, opened(interview, people.interviewer) as watching:
        await tab.sync()
        await watching.sync()
        await tab.type("Watch me. ")
        await watching.receive()
        assert watching.text == "Watch me. "
        await watching.type("Let me help. ")
        assert await watching.receive() == 3
        assert watching.refused[0]["code"] == "read_only"
    assert (await content(interview)).text == "Watch me. "


@pytest.mark.parametrize(("name", "code"), [("other", 4404), ("stranger", 4401)])
async def test_nobody_else_gets_in(people: People, make: Make, name: str, code: int) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, getattr(people, name)) as tab:
        assert await tab.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": code}


def deactivated(person: Person) -> None:
    type(person.user).objects.filter(pk=person.user.pk).update(is_active=False)


def new_password(person: Person) -> None:
    """Changed elsewhere: this browser's session ends."""
    person.user.set_password("another pass phrase")
    person.user.save()


def changes_password(person: Person) -> None:
    """Changed in another tab: the browser has a new session, and this socket an old one."""
    new = {"oldpassword": "a long pass phrase", "password1": "another pass phrase", "password2": "another pass phrase"}
    assert person.client.post("/accounts/password/change/", new).status_code == 302


def demoted(person: Person) -> None:
    type(person.user).objects.filter(pk=person.user.pk).update(role="candidate")


ENDS = {"out": lambda person: person.client.logout(), "deactivated": deactivated, "new password": new_password}
then_closed = pytest.mark.parametrize(("end", "code"), [(end, 4401) for end in ENDS.values()] + [(changes_password, None)], ids=[*ENDS, "in another tab"])


@then_closed
async def test_a_session_that_ended_stores_no_more_and_coming_again_says_why(
    people: People, make: Make, monkeypatch: pytest.MonkeyPatch, end: Callable[[Person], None], code: int | None
) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("Signed in. ")
        assert await tab.receive() == 2
        before = cookie(people.candidate)
        await sync_to_async(end)(people.candidate)
        monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.0)
        await tab.type("Signed out. ")
        await tab.type("Still there? ")
        assert await tab.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4402}
        assert await tab.socket.receive_nothing()
    assert (await content(interview)).text == "Signed in. "
    async with opened(interview, people.candidate) as again:
        if code is None:
            assert cookie(people.candidate) != before
            await again.sync()
            assert again.text == "Signed in. "
        else:
            assert await again.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": code}


@pytest.mark.parametrize("end", [*ENDS.values(), demoted], ids=[*ENDS, "demoted"])
async def test_who_may_not_read_along_any_more_hears_no_more(
    people: People, make: Make, monkeypatch: pytest.MonkeyPatch, end: Callable[[Person], None]
) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab, opened(interview, people.interviewer) as watching:
        await tab.sync()
        await watching.sync()
        await sync_to_async(end)(people.interviewer)
        monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.0)
        await tab.type("Not for you. ")
        assert await watching.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4402}


async def test_the_session_is_not_looked_at_for_each_frame(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    interview = await sync_to_async(make)()
    monkeypatch.setattr(access, "session_user", lambda key: looks.append(key) or people.candidate.user)
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 3600.0)
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        for letter in "many":
            await tab.type(letter)
            assert await tab.receive() == 2
        assert looks == []
        monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.0)
        await tab.type("!")
        assert await tab.receive() == 2
        assert set(looks) == {people.candidate.client.cookies["sessionid"].value}  # what it did is told to itself too, and that may be looked at by now


async def test_before_the_start_the_document_is_closed(people: People, make: Make) -> None:
    interview = await sync_to_async(make)(started=False)
    async with opened(interview, people.candidate) as tab:
        assert (await tab.socket.receive_output(timeout=5))["code"] == 4404


async def test_without_the_channel_layer_what_is_typed_is_stored_all_the_same(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(*args: Any) -> None:
        raise ConnectionError("Redis is gone")

    interview = await sync_to_async(make)()
    layer = get_channel_layer()
    for method in ("group_add", "group_send", "group_discard"):
        monkeypatch.setattr(layer, method, unreachable)
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("Kept. ")
        assert await tab.receive() == 2
        await tab.type("This, too.")
        assert await tab.receive() == 2
    assert (await content(interview)).text == "This, too.Kept. "


async def test_a_socket_that_opened_while_redis_was_away_stores_what_is_typed_and_hears_of_the_rest_later(
    people: People, make: Make, no_redis: Callable[[], object]
) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab, opened(interview, people.interviewer) as watching:
        await tab.sync()
        await watching.sync()
        await tab.type("While it was away. ")
        assert await tab.receive() == 2
        no_redis()
        assert await watching.receive() == 0
        assert watching.text == "While it was away. "
        await asyncio.sleep(0.5)
        await tab.type("Afterwards. ")
        assert await tab.receive() == 2
        assert await watching.receive() == 0
        assert watching.text == (await content(interview)).text == "Afterwards. While it was away. "


async def test_a_socket_that_closes_while_it_joins_stays_in_no_group(
    people: People, make: Make, no_redis: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, groups = actions.snapshot, []

    def joined(redis: Redis) -> list[bytes]:
        return redis.pubsub_channels("*__group__*")

    def held(**of: Any) -> Any:
        redis = Redis.from_url(no_redis())
        until = time.monotonic() + 10
        while not joined(redis) and time.monotonic() < until:
            time.sleep(0.01)
        groups.append((redis, joined(redis)))
        return snapshot(**of)

    monkeypatch.setattr(actions, "snapshot", held)
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.socket.disconnect(timeout=20)
    ((redis, before),) = groups
    assert len(before) == 1
    async with asyncio.timeout(5):
        while joined(redis):
            await asyncio.sleep(0.01)


async def test_what_was_deleted_takes_no_room(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 100_000)
    interview = await sync_to_async(make)()

    async def delete(tab: Browser, begin: int, end: int) -> int:
        before = tab.document.get_state()
        del tab.document.get("text", type=Text)[begin:end]
        await tab.socket.send_to(bytes_data=create_update_message(tab.document.get_update(before)))
        return await tab.receive()

    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        for _ in range(5):
            await tab.type("x" * 60_000)
            assert await tab.receive() == 2
            assert await delete(tab, 0, 60_000) == 2
        await tab.type("A sentence. ")
        assert await tab.receive() == 2
    assert (await content(interview)).text == "A sentence. "
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("y" * 60_000)
        assert await tab.receive() == 2
        await tab.type("z" * 60_000)
        assert await tab.receive() == 3
        assert tab.refused[0]["code"] == "too_large"
    # What it is told to do helps: what is deleted never has to be stored.
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        assert await delete(tab, 0, 60_000) == 2
        await tab.type("z" * 60_000)
        assert await tab.receive() == 2
    assert (await content(interview)).text == "z" * 60_000 + "A sentence. "


async def test_what_was_ever_written_has_an_end_too(people: People, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_HISTORY_BYTES", 100)
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        await tab.type("Kept. ")
        assert await tab.receive() == 2
        await tab.type("x" * 100)
        assert await tab.receive() == 3
        assert tab.refused[0]["code"] == "full"
    assert (await content(interview)).text == "Kept. "


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Event]]:
    """An entry for each trial in a process of its own that has begun; each waits until its event is set."""
    begun: list[threading.Event] = []
    run = subprocess.run

    def held(*args: Any, **options: Any) -> Any:
        begun.append(gate := threading.Event())
        gate.wait(60)
        return run(*args, **options)

    monkeypatch.setattr(documents, "subprocess", SimpleNamespace(run=held, TimeoutExpired=subprocess.TimeoutExpired))
    yield begun
    for gate in begun:
        gate.set()


async def test_whoever_sends_costly_changes_holds_up_nobody_else(people: People, make: Make, trials: list[threading.Event]) -> None:
    interview = await sync_to_async(make)()
    plan = await sync_to_async(actions.plan)(level="L6", minutes=60, topics=[])
    elsewhere = await sync_to_async(actions.create_interview)(candidate=people.other.user, blueprint=plan, seed=1)
    await sync_to_async(actions.start)(interview=elsewhere, actor=people.other.user)
    costly = create_update_message(scattered(40_000))
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(opened(interview, people.candidate)) for _ in range(40)]
        for tab in tabs:
            await tab.sync()
        for tab in tabs:
            await tab.socket.send_to(bytes_data=costly)
        async with asyncio.timeout(20):
            while not trials:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        bystander = await stack.enter_async_context(opened(elsewhere, people.other))
        await bystander.sync()
        await bystander.type("Not behind them. ")
        assert await bystander.receive() == 2
        assert len(trials) == 1  # one at a time, however many sockets there are
        await sync_to_async(pass_deadline)(interview)
        trials[0].set()
        assert [await tab.receive(timeout=20) for tab in tabs] == [3] * len(tabs)
    assert len(trials) == 1
    assert (await content(elsewhere)).text == "Not behind them. "


async def test_a_socket_of_costly_changes_is_closed(people: People, make: Make) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, people.candidate) as tab:
        await tab.sync()
        for _ in range(consumers.MAX_COSTLY):
            await tab.socket.send_to(bytes_data=create_update_message(scattered(40_000)))
            assert await tab.receive(timeout=20) == 3
        assert [refusal["code"] for refusal in tab.refused] == ["too_large"] * consumers.MAX_COSTLY
        assert await tab.socket.receive_output(timeout=5) == {"type": "websocket.close", "code": 4413}
    assert (await content(interview)).text == ""


@pytest.mark.parametrize(("name", "ends", "code"), [("interviewer", False, "read_only"), ("candidate", True, "deadline")])
async def test_nothing_is_tried_for_who_may_not_write(
    people: People, make: Make, trials: list[threading.Event], name: str, ends: bool, code: str
) -> None:
    interview = await sync_to_async(make)()
    async with opened(interview, getattr(people, name)) as tab:
        await tab.sync()
        if ends:
            await sync_to_async(pass_deadline)(interview)
        await tab.socket.send_to(bytes_data=create_update_message(scattered(40_000)))
        assert await tab.receive() == 3
        assert (tab.refused[0]["code"], trials) == (code, [])
