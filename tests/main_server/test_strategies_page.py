"""The page of strategies, and what the others say of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from main_server.pages.strategies import Parameter
from shared.federated.aggregation import ASYNCHRONOUS_STRATEGIES, STRATEGIES

from .answering_device import AnsweringDevice
from .conftest import ThinDevice
from .page import Element, Page, look
from .test_strategies import HALF, PROX, choose, goes_by

FORM = {"Accept": "text/html"}


def page_of(client: FlaskClient, task: str = "digits") -> Page:
    return Page.of(client.get(f"/strategies?task={task}", headers=FORM))


def post(client: FlaskClient, strategy: str, **parameters: str) -> TestResponse:
    """What the page's form of a strategy sends, with these fields filled in."""
    fields = {f"parameters.{name}": value for name, value in parameters.items()}
    told = fields | {"strategy": strategy}
    return client.post("/strategy?task=digits", data=told, headers=FORM)


def states(page: Page) -> dict[str, str]:
    """Of each strategy that is in use or follows, what stands beside its name."""
    return {
        card.attributes["id"]: " ".join(state.text for state in card.all("span", class_="state"))
        for card in page.all("li", class_="card")
        if card.all("span", class_="state")
    }


def field(page: Page, strategy: str, parameter: str) -> Element:
    return page.one("input", id=f"{strategy}-{parameter}")


def alert(page: Page) -> str:
    """What stands above all else when something is wrong."""
    (told,) = filter(None, (each.text for each in page.all(role="alert")))
    return told


def test_all_are_on_it_by_kind(client: FlaskClient) -> None:
    page = page_of(client)
    cards = [card.attributes["id"] for card in page.all("li", class_="card")]
    assert sorted(cards) == sorted([*STRATEGIES, *ASYNCHRONOUS_STRATEGIES])
    headings = [each.text for each in page.all("h2")]
    assert headings[0] == "Averages"
    assert headings[-1] == "Rules of asynchronous tasks"
    for name, strategy in STRATEGIES.items():
        card = page.one("li", id=name)
        told = strategy.described()
        assert card.one("h3").text == told["title"]
        assert told["summary"] in card.text
        if told["link"]:
            (link,) = card.all("a", href=told["link"])
            assert (link.text, link.attributes["rel"]) == (told["paper"], "noopener")
            assert link.attributes["href"].startswith("https://arxiv.org/abs/")
        else:
            assert told["paper"] in card.text
        for parameter in told["parameters"]:
            (label,) = (each for each in card.all("label") if parameter["name"] in each.text)
            about = card.one(id=f"{label.attributes['for']}-help").text
            assert about.startswith(f"{parameter['description']} Default ")
    assert "An update brings besides weights: control" in page.one("li", id="scaffold").text
    assert "A device keeps" in page.one("li", id="fedbn").text
    assert "There is no paper of it." in page.one("li", id="running_average").text


def test_a_number_has_its_default_and_its_bounds(client: FlaskClient) -> None:
    mu = field(page_of(client), "fedprox", "mu").attributes
    assert (mu["type"], mu["step"], mu["min"], mu["max"]) == ("number", "any", "0", "1000")
    assert (mu["name"], mu["value"]) == ("parameters.mu", "0.01")
    page = page_of(client)
    assert page.one(id="fedprox-mu-help").text.endswith("Default 0.01; 0 to 1000.")
    assert page.one(id="fedavgm-momentum-help").text.endswith("Default 0.9; at least 0, below 1.")
    assert field(page, "fedper", "layers").attributes["value"] == "classes/*"


def test_what_is_in_use_and_what_follows_is_marked(device: ThinDevice) -> None:
    client = device.client
    assert states(page_of(client)) == {"fedavg": "in use"}
    answer = post(client, "fedprox", mu="0.1")
    assert answer.headers["Location"] == "/strategies?task=digits&chosen=1"
    assert goes_by(client) == (PROX, None)
    page = page_of(client)
    assert states(page) == {"fedprox": "in use"}
    assert field(page, "fedprox", "mu").attributes["value"] == "0.1"
    assert page.one(id="goes-by").text == "In use: FedProx, mu 0.1."
    device.send()
    assert post(client, "fedprox", mu="0.2").status_code == 303
    page = page_of(client)
    assert states(page) == {"fedprox": "in use from the next round on"}
    assert field(page, "fedprox", "mu").attributes["value"] == "0.2"
    assert "round 1 has: what is chosen now is for round 2" in page.root.text
    choose(client, HALF)
    page = page_of(client)
    assert states(page) == {"fedprox": "in use", "fedavgm": "from the next round on"}
    assert page.one(id="goes-by").text == (
        "In use: FedProx, mu 0.1. From the next round on (round 2): FedAvgM, server_learning_rate "
        "0.5, momentum 0."
    )


def test_nothing_is_offered_that_changes_nothing(device: ThinDevice) -> None:
    def buttons() -> list[str]:
        return [each.text for each in page_of(device.client).one("li", id="fedavg").all("button")]

    assert buttons() == []
    device.send()
    choose(device.client, PROX)
    assert buttons() == ["Use FedAvg from the next round"], "it takes the choice back"


def test_how_updates_are_packed_is_told(
    make_app: Callable[..., APIFlask], tmp_path: Path, client: FlaskClient
) -> None:
    assert page_of(client).one(id="packing").text.startswith("Updates come as they are, as float32")
    file = tmp_path / "tasks.toml"
    settings = 'compression = { method = "top_k", fraction = 0.05 }'
    file.write_text(file.read_text().replace("seed = 7", f"seed = 7\n{settings}"))
    told = page_of(make_app().test_client()).one(id="packing").text
    assert told.startswith("Updates come packed as top_k, 0.05 of their numbers")


def test_what_was_chosen_is_said(client: FlaskClient) -> None:
    where = post(client, "fedprox", mu="0.1").headers["Location"]
    page = Page.of(client.get(where, headers=FORM))
    said = [each.text for each in page.all(role="status") if each.text]
    assert said == ["FedProx, mu 0.1: in use."]


def test_what_leaves_nothing_to_combine_stands_beside_its_button(device: ThinDevice) -> None:
    answer = post(device.client, "fedper", layers="*")
    assert answer.status_code == 409
    card = Page(answer.text).one("li", id="fedper")
    assert "would leave all of the network on the devices" in card.one(id="fedper-wrong").text
    assert "open" in card.one("details", id="fedper-parameters").attributes


def test_an_empty_field_has_its_default(client: FlaskClient) -> None:
    assert post(client, "fedavgm", momentum="0", server_learning_rate="").status_code == 303
    assert goes_by(client)[0] == ("fedavgm", {"server_learning_rate": 1.0, "momentum": 0.0})
    assert post(client, "fedbn", layers=" a/*  b ").status_code == 303
    assert goes_by(client)[0] == ("fedbn", {"layers": ["a/*", "b"]})


def test_what_is_wrong_stands_beside_its_field(client: FlaskClient) -> None:
    answer = post(client, "fedadam", beta_1="1", tau="0.5")
    assert answer.status_code == 422
    page = Page(answer.text)
    wrong = field(page, "fedadam", "beta_1")
    assert (wrong.attributes["value"], wrong.attributes["aria-invalid"]) == ("1", "true")
    assert "fedadam-beta_1-wrong" in wrong.attributes["aria-describedby"].split()
    assert page.one(id="fedadam-beta_1-wrong").text == "Input should be less than 1."
    assert field(page, "fedadam", "tau").attributes["value"] == "0.5", "nothing is typed twice"
    assert "aria-invalid" not in field(page, "fedadam", "tau").attributes
    assert alert(page) == "The strategy was not changed. beta_1: Input should be less than 1."
    assert 'data-live-after="' not in answer.text, "it cannot be asked for again"
    links = [each.attributes["href"] for each in page.all("a", class_="nav-link")]
    assert "/strategies?task=parcels" in links
    assert "/strategy?task=parcels" not in links
    assert goes_by(client)[0][0] == "fedavg"


@pytest.mark.parametrize(
    ("strategy", "layers", "status"), [("fedper", "head/*", 409), ("of_later", "", 422)]
)
def test_what_is_wrong_with_no_field_stands_above(
    device: ThinDevice, strategy: str, layers: str, status: int
) -> None:
    answer = post(device.client, strategy, layers=layers)
    assert answer.status_code == status
    told = alert(Page(answer.text))
    assert ("would leave all of the network" if layers else "no strategy 'of_later'") in told


def test_an_asynchronous_task_has_nothing_to_choose(
    make_app: Callable[..., APIFlask], tmp_path: Path
) -> None:
    file = tmp_path / "tasks.toml"
    rule = 'mode = "async"\nasynchronous = { rule = "fedbuff", buffer_size = 3 }'
    file.write_text(file.read_text().replace("seed = 7", rule))
    client = make_app().test_client()
    page = page_of(client)
    assert states(page) == {"fedbuff": "in use"}
    assert page.all("form", action="/strategy?task=digits") == []
    assert "digits is asynchronous" in page.root.text
    assert "buffer_size 3" in page.one("li", id="fedbuff").text
    card = look(client).one(id="task").text
    assert "FedBuff (Nguyen et al. 2022, arXiv:2106.06639), as updates arrive" in card


def test_the_control_page_tells_it(device: ThinDevice) -> None:
    choose(device.client, PROX)
    device.send()
    choose(device.client, HALF)
    card = look(device.client).one(id="task")
    assert "FedProx (Li et al. 2020, arXiv:1812.06127), of at least 1 update mu 0.1" in card.text
    assert "From the next round on: FedAvgM, server_learning_rate 0.5, momentum 0" in card.text
    assert card.all("a", href="/strategies?task=digits#fedprox")
    assert card.one("a", href="https://arxiv.org/abs/1812.06127").attributes["rel"] == "noopener"


def test_history_and_version_pages_tell_which_made_which(client: FlaskClient) -> None:
    answering = AnsweringDevice(client, "device1")
    for chosen in (PROX, HALF):
        choose(client, chosen)
        client.post("/run_rounds", json={"rounds": 1})
    page = look(client)
    assert "FedProx, mu 0.1" in page.one("tr", id="round-1").text
    told = page.one("tr", id="round-2").text
    assert "FedAvgM" in told
    assert "2 parameters server_learning_rate 0.5, momentum 0" in told
    weights = Page.of(client.get("/weights?task=digits&version=1", headers=FORM)).root.text
    assert "by FedProx (mu 0.1)." in weights
    compared = Page.of(client.get("/compare?task=digits&left=1&right=2", headers=FORM))
    lines = {
        row.all("th")[0].text: [cell.text for cell in row.all("td")]
        for row in compared.all("tr")
        if row.all("td")
    }
    assert lines["Strategy"] == ["FedProx", "FedAvgM", "differs"]
    assert lines["mu"] == ["0.1", "–", "differs"]
    assert lines["momentum"] == ["–", "0", "differs"]
    answering.close()


@pytest.mark.parametrize(
    ("told", "help_", "options", "is_number"),
    [
        ({"type": "boolean", "default": True}, "Default yes.", ["yes", "no"], False),
        ({"enum": ["a", "b"], "default": "a"}, "Default a; a or b.", ["a", "b"], False),
        ({"type": "integer", "default": 2, "minimum": 1}, "Default 2; at least 1.", [], True),
        ({"type": "number", "default": None}, "Default none.", [], True),
        ({"type": "string", "default": "x", "description": "Say."}, "Say. Default x.", [], False),
    ],
)
def test_any_kind_of_parameter_has_a_field(
    told: dict[str, object], help_: str, options: list[str], is_number: bool
) -> None:
    parameter = Parameter({"name": "p"} | told, "")
    assert (parameter.help, parameter.options, parameter.is_number) == (help_, options, is_number)
