"""What the site says of itself."""

import json

import pytest
from django.test import Client

from sandbox.models import Worker


@pytest.mark.django_db
def test_health_names_every_part(client: Client) -> None:
    Worker.objects.create(name="a", driver="bwrap", ok=True, detail="fine", device="cpu")
    answer = client.get("/healthz")
    body = json.loads(answer.content)
    assert answer.status_code == 200
    assert body["status"] == "ok"
    assert body["database"]["vendor"] in ("sqlite", "postgresql")
    assert body["redis"]["ok"] is True
    assert set(body["queues"]) == {"default", "grading", "sandbox.cpu", "sandbox.gpu"}
    assert body["jail"] == {"driver": "bwrap", "ok": True, "detail": "fine"}
    assert body["engine"] == {"device": "cpu"}
    assert body["gpus"] == []
    assert body["version"]


@pytest.mark.django_db
def test_without_a_judge_it_says_so_and_stays_up(client: Client) -> None:
    body = client.get("/healthz").json()
    assert body["status"] == "ok"
    assert body["jail"]["ok"] is False


@pytest.mark.django_db
def test_without_redis_it_is_down(client: Client, settings: object) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"  # type: ignore[attr-defined]
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["redis"]["ok"] is False


@pytest.mark.django_db
def test_pages_may_talk_to_their_own_host_alone(client: Client) -> None:
    policy = client.get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy


@pytest.mark.django_db
def test_the_interface_describes_itself(admin_client: Client) -> None:
    text = admin_client.get("/api/schema/").content.decode()
    for part in ("/report/", "/abort/", "/overrides/", "/questions/"):
        assert part in text


@pytest.mark.parametrize(("method", "path", "data"), [
    ("get", "/?next=%00", {}), ("post", "/interviews/new/", {"blueprint": "a\0b"}), ("post", "/accounts/login/", {"login\0": "a", "password": "b"}),
])
def test_a_nul_is_refused_before_the_database_is_asked(client: Client, method: str, path: str, data: dict[str, str]) -> None:
    assert getattr(client, method)(path, data).status_code == 400


def test_a_cookie_with_a_nul_is_refused(client: Client) -> None:
    client.cookies["sessionid"] = "\0"
    assert client.get("/").status_code == 400


def test_json_nested_without_end_is_refused_with_a_sentence(admin_client: Client) -> None:
    answer = admin_client.post("/api/interviews/", "[" * 200_000, content_type="application/json")
    assert (answer.status_code, answer.json()["detail"]) == (400, "The request is nested too deeply.")


def test_a_browser_finds_the_icon_where_it_looks_by_itself(client: Client) -> None:
    answer = client.get("/favicon.ico", follow=True)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "image/svg+xml"
