"""What all pages share: the theme, parts that are asked for, compression."""

from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient

from main_server import create_app
from main_server.settings import MainServerSettings

_HTML = {"Accept": "text/html"}


@pytest.fixture
def app(tmp_path: Path) -> APIFlask:
    return create_app(MainServerSettings(state_directory=tmp_path))


@pytest.fixture
def client(app: APIFlask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_a_theme_is_kept(client: FlaskClient, theme: str) -> None:
    referrer = {"Referer": "http://localhost/docs?x=1"}
    answer = client.post("/theme", data={"theme": theme}, headers=referrer)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/docs?x=1"
    assert f'data-theme="{theme}"' in client.get("/docs").text


@pytest.mark.parametrize(
    "referrer", ["https://elsewhere.example/x", "http://localhost//elsewhere.example", "no address"]
)
def test_a_theme_leads_nowhere_else(client: FlaskClient, referrer: str) -> None:
    answer = client.post("/theme", data={"theme": "dark"}, headers={"Referer": referrer})
    assert answer.headers["Location"] == "/"


def test_a_theme_that_is_none(client: FlaskClient) -> None:
    assert client.post("/theme", data={"theme": "pink"}).status_code == 400
    client.set_cookie("fedbell_theme", '"><script>')
    assert 'data-theme="auto"' in client.get("/docs").text


# Flask-Compress leaves the closing of the file that it has read to Python, at once.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_page_loads_is_small_and_not_sent_again(client: FlaskClient) -> None:
    path = "/bootstrap/static/css/bootstrap.min.css"
    accepted = {"Accept-Encoding": "br, gzip, deflate"}
    with client.get(path, headers=accepted) as answer:
        assert len(answer.data) < 50_000
        same = {"If-None-Match": answer.headers["ETag"]}
    with client.get(path, headers=accepted | same) as again:
        assert again.status_code == 304


def test_what_programs_read_is_sent_as_it_is(client: FlaskClient) -> None:
    answer = client.get("/openapi.json", headers={"Accept-Encoding": "br, gzip, deflate"})
    assert "Content-Encoding" not in answer.headers


def test_a_problem_is_a_page_for_a_browser(client: FlaskClient) -> None:
    answer = client.get("/jobs/nothing", headers=_HTML)
    assert answer.status_code == 404
    assert "There is no job nothing" in answer.text
    assert "<script>" not in answer.text


def test_a_theme_is_chosen_wherever_one_came_from(client: FlaskClient) -> None:
    answer = client.post("/theme", data={"theme": "dark"}, headers={"Referer": "http://["})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
