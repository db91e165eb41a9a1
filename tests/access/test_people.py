"""Who may do what on the main server: roles, logging in and out, guessing, the log."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from shared.errors import ConfigurationError
from shared.web import events
from shared.web.access import attempts
from tests.main_server.conftest import ThinDevice

from .conftest import ADMIN, VIEWER

_PAGE = {"Accept": "text/html"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log(client: FlaskClient, query: str = "", token: str = VIEWER) -> str:
    """The whole log as text."""
    with client.get(f"/events.txt{query}", headers=bearer(token)) as answer:
        assert answer.status_code == 200
        return str(answer.get_data(as_text=True))


def test_without_a_token_everybody_is_an_operator(open_app: APIFlask) -> None:
    client = open_app.test_client()
    assert client.get("/devices").status_code == 200
    assert client.post("/aggregate_models").status_code == 409  # there is nothing to aggregate
    assert client.get("/login").headers["Location"] == "/"
    assert client.post("/logout").headers["Location"] == "/"
    assert "Whoever reaches this server may do everything" in client.get("/access").text
    assert "Log out" not in client.get("/").text


@pytest.mark.parametrize("path", ["/", "/devices", "/events", "/metrics", "/openapi.json", "/docs"])
def test_nothing_is_told_to_who_is_unknown(app: APIFlask, path: str) -> None:
    client = app.test_client()
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    page = client.get(path, headers=_PAGE)
    assert page.status_code == 303
    assert page.headers["Location"].startswith("/login?next=/")
    assert client.get(path, headers=_PAGE | {"Fedbell-Parts": "round"}).status_code == 401


def test_a_viewer_looks_and_changes_nothing(app: APIFlask) -> None:
    client = app.test_client()
    for path in ("/", "/devices", "/metrics", "/access"):
        assert client.get(path, headers=bearer(VIEWER)).status_code == 200
    ThinDevice(client, "device1").status()
    assert "An operator may." in client.get("/access", headers=bearer(VIEWER)).text
    assert "Revoke device1" in client.get("/access", headers=bearer(ADMIN)).text
    for path in ("/aggregate_models", "/devices/x/revoke", "/access/devices/x/forget"):
        refused = client.post(path, headers=bearer(VIEWER))
        assert refused.status_code == 403
        assert "ADMIN_TOKEN" in refused.get_json()["detail"]
    assert client.delete("/devices/x", headers=bearer(VIEWER)).status_code == 403
    assert client.delete("/devices/x", headers=bearer(ADMIN)).status_code == 404


def test_devices_need_no_person(app: APIFlask) -> None:
    device = ThinDevice(app.test_client(), "device1")
    assert device.status().status_code == 200
    assert device.offer().status_code == 201
    latest = "/models/latest?task=digits"
    assert device.client.get(latest).status_code == 401
    for headers in (device.headers, bearer(VIEWER)):
        with device.client.get(latest, headers=headers) as answer:
            assert answer.status_code == 200
    assert device.client.get("/devices", headers=device.headers).status_code == 401
    assert device.client.post("/aggregate_models", headers=device.headers).status_code == 401


@pytest.mark.parametrize("token", ["\ud800", "é" * 20, 7, None, ["x"], "x" * 501])
def test_a_token_that_is_none(app: APIFlask, token: Any) -> None:
    answer = app.test_client().post("/login", json={"token": token})
    assert answer.status_code in {400, 401}


def test_a_person_logs_in_and_out(app: APIFlask) -> None:
    client = app.test_client()
    form = client.get("/login?next=/access%3Factor=operator", headers=_PAGE)
    assert 'value="/access?actor=operator"' in form.text
    answer = client.post("/login", data={"token": ADMIN, "next": "/access"}, headers=_PAGE)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/access"
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("fedbell_session_main_server=")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Expires" in cookie
    assert "Secure" not in cookie
    assert "Log out" in client.get("/").text
    assert client.post("/aggregate_models").status_code == 409
    stolen = client.get_cookie("fedbell_session_main_server")
    assert stolen is not None
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/devices").status_code == 401
    client.set_cookie("fedbell_session_main_server", stolen.value)
    assert client.get("/devices").status_code == 401, "a copied cookie outlives the log-out"


def listens(stream: Any) -> bool:
    """Whether an event stream goes on, for some keep-alives."""
    return None not in [next(stream, None) for _ in range(8)]


@pytest.mark.parametrize("how", ["log out", "another role", "expiry"])
def test_a_stream_ends_soon_after_its_log_in(
    make_app: Callable[..., APIFlask], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whichever process serves it; others go on."""
    monkeypatch.setattr(events, "_HEARTBEAT_SECONDS", 0.1)
    tokens = {"admin_token": ADMIN, "viewer_token": VIEWER}
    client, other = (make_app(**tokens).test_client() for _ in range(2))
    client.post("/login", data={"token": ADMIN})
    cookie = client.get_cookie("fedbell_session_main_server")
    assert cookie is not None
    other.set_cookie("fedbell_session_main_server", cookie.value)
    with (
        client.get("/events") as ours,
        client.get("/events", headers=bearer(VIEWER)) as told_by_session,
        make_app(**tokens).test_client().get("/events", headers=bearer(VIEWER)) as with_token,
    ):
        streams = [each.iter_encoded() for each in (ours, told_by_session, with_token)]
        assert all(listens(each) for each in streams)
        if how == "log out":
            other.post("/logout")
        elif how == "another role":
            other.post("/login", data={"token": VIEWER})
        else:
            later = time.time() + 12 * 3600 + 1
            monkeypatch.setattr(time, "time", lambda: later)
        assert [listens(each) for each in streams] == [False, False, True]
    assert client.get("/devices").status_code == 401


def test_the_cookie_is_secure_over_tls(app: APIFlask) -> None:
    client = app.test_client()
    answer = client.post("/login", data={"token": ADMIN}, base_url="https://localhost")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in answer.headers


def test_a_browser_stays_with_tls(make_app: Callable[..., APIFlask]) -> None:
    client = make_app(trusted_hosts="fedbell.example").test_client()
    for base, told in (
        ("https://fedbell.example:8443", True),
        ("http://fedbell.example", False),
        ("https://localhost:8000", False),
        ("https://127.0.0.1", False),
    ):
        headers = client.get("/healthz", base_url=base).headers
        assert ("Strict-Transport-Security" in headers) is told


def test_another_token_ends_sessions(make_app: Callable[..., APIFlask]) -> None:
    first = make_app(admin_token=ADMIN).test_client()
    first.post("/login", data={"token": ADMIN})
    cookie = first.get_cookie("fedbell_session_main_server")
    assert cookie is not None
    for token, status in ((ADMIN, 200), (ADMIN + "2", 401)):
        other = make_app(admin_token=token).test_client()  # one more process, or a later one
        other.set_cookie("fedbell_session_main_server", cookie.value)
        assert other.get("/devices").status_code == status


def test_a_session_ends_by_itself(app: APIFlask, monkeypatch: pytest.MonkeyPatch) -> None:
    client = app.test_client()
    client.post("/login", data={"token": ADMIN})
    later = time.time() + 12 * 3600 + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert client.get("/devices").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "x", "/a\tb", "/\n/e", "//["],
)
def test_nobody_is_led_elsewhere(app: APIFlask, path: str) -> None:
    answer = app.test_client().post("/login", data={"token": ADMIN, "next": path}, headers=_PAGE)
    assert answer.headers["Location"] == "/"


def test_another_origin_logs_nobody_in(app: APIFlask) -> None:
    headers = {"Origin": "http://evil.example"}
    answer = app.test_client().post("/login", data={"token": ADMIN}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("how", ["form", "header"])
def test_guessing_is_slow(
    app: APIFlask, monkeypatch: pytest.MonkeyPatch, how: str, make_app: Callable[..., APIFlask]
) -> None:
    def guess(client: FlaskClient, token: str) -> Any:
        if how == "form":
            return client.post("/login", data={"token": token})
        return client.get("/devices", headers=bearer(token))

    client = app.test_client()
    for _ in range(attempts.FREE_ATTEMPTS):
        assert guess(client, "wrong").status_code == 401
    other = make_app(admin_token=ADMIN, viewer_token=VIEWER).test_client()
    for each in (client, other):  # all processes count together
        blocked = guess(each, ADMIN)
        assert blocked.status_code == 429
        assert 0 < int(blocked.headers["Retry-After"]) <= 10
    page = client.post("/login", data={"token": ADMIN}, headers=_PAGE)
    assert page.status_code == 429
    assert "Too many wrong tokens" in page.text
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.get("/devices", headers=bearer(ADMIN), environ_base=elsewhere).status_code == 200
    later = time.time() + 11
    monkeypatch.setattr(time, "time", lambda: later)
    assert guess(client, ADMIN).status_code == 200
    told = log(client, token=ADMIN)
    assert told.count("A wrong token, the") == attempts.FREE_ATTEMPTS


def test_a_viewer_may_not_guess_more(app: APIFlask) -> None:
    client = app.test_client()
    for _ in range(attempts.FREE_ATTEMPTS - 1):
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
    client.post("/login", data={"token": VIEWER})
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    assert client.post("/login", data={"token": "wrong"}).status_code == 429


def test_waits_grow_and_end() -> None:
    waits = [attempts.wait_after(number) for number in range(4, 14)]
    assert waits == [0, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    assert attempts.wait_after(10**9) == 900


def test_the_log_tells_who_and_from_where(app: APIFlask) -> None:
    client = app.test_client()
    device = ThinDevice(client, "device1")
    device.status()
    device.offer()
    device.send()
    client.post("/login", data={"token": "wrong"})
    client.post("/login", data={"token": ADMIN})
    client.post("/devices/device1/rotate")
    client.post("/aggregate_models", headers={"Prefer": "respond-async"})
    deadline = time.monotonic() + 30
    while "version 1 of" not in (text := log(client)):
        assert time.monotonic() < deadline, text
    client.post("/logout")
    lines = log(client).splitlines()
    for message, who in {
        "device1 enrolled": "device1",
        "update of device1": "device1",
        "A wrong token, the 1st": "anonymous",
        "Logged in as operator": "operator",
        "device1 was asked": "operator",
        "version 1 of": "operator",
        "Logged out": "operator",
    }.items():
        assert any(message in line and f"  {who} from 127.0.0.1 " in line for line in lines)
    only = log(client, "?actor=device1").splitlines()
    assert only
    assert all("  device1 from 127.0.0.1 " in line for line in only)
    page = client.get("/access?actor=operator", headers=bearer(VIEWER)).text
    assert "Logged in as operator" in page
    assert "device1 enrolled" not in page


def test_spaces_around_a_token_lock_nobody_out(make_app: Callable[..., APIFlask]) -> None:
    client = make_app(admin_token=f" {ADMIN} \n").test_client()
    assert client.get("/devices", headers=bearer(ADMIN)).status_code == 200
    assert client.post("/login", data={"token": ADMIN}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"admin_token": "short"}, "fewer than 16"),
        ({"admin_token": "short".ljust(20)}, "fewer than 16"),
        ({"join_token": "let me in"}, "JOIN_TOKEN has fewer than 16"),
        ({"viewer_token": VIEWER, "admin_token": "  "}, "ADMIN_TOKEN is not"),
        ({"viewer_token": VIEWER}, "ADMIN_TOKEN is not"),
        ({"admin_token": ADMIN, "viewer_token": ADMIN}, "the same"),
        ({"admin_token_file": "/nowhere/at/all"}, "ADMIN_TOKEN_FILE"),
    ],
)
def test_tokens_that_protect_nothing(
    make_app: Callable[..., APIFlask], settings: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_app(**settings)
    assert sentence in raised.value.detail


def test_what_people_are_refused_is_in_the_log_once(app: APIFlask) -> None:
    client = app.test_client()
    client.post("/devices/device1/revoke", headers=bearer(VIEWER))
    client.post("/devices/device1/revoke", headers=bearer(VIEWER) | _PAGE)
    client.get("/devices/device1/revoke", headers=bearer(VIEWER))
    device = ThinDevice(client, "device1")
    device.status()
    client.delete("/devices/device1", headers=bearer(ADMIN))  # it is online
    client.post("/aggregate_models", headers=bearer(ADMIN))
    lines = [line for line in log(client).splitlines() if "enrolled" not in line]
    told = [" ".join(line.split()[3:]) for line in lines]
    assert [line.split(" from 127.0.0.1 ") for line in told if "digits" not in line] == [
        ["viewer", "POST /devices/device1/revoke: Viewers may only look"],
        ["viewer", "POST /devices/device1/revoke: Viewers may only look"],
        ["operator", "DELETE /devices/device1: The device is online"],
    ]
    (failed,) = [line for line in told if "digits" in line]
    assert failed.startswith("digits operator from 127.0.0.1 aggregate_models failed: ")


def test_a_device_that_is_refused_is_no_person(open_app: APIFlask) -> None:
    device = ThinDevice(open_app.test_client(), "device1")
    device.status()
    device.offer()
    assert device.send(base_version=4).status_code == 409
    assert "POST /cmodel" not in device.client.get("/events.txt").text
