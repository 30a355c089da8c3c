"""Hostile requests to the service, with its real checks: each has its answer, none is stored."""

from __future__ import annotations

import json
import time

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.database import migrate
from app.kit import problems
from app.main import create_app
from app.settings import Settings
from planner.errors import MAX_ERRORS
from tests.adversarial.bodies import RAW, REFUSED, gpt2

URL = "/v1/simulations"
LONGEST_ANSWER = 200_000
LONGEST_CPU_S = 5.0


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("adversarial"), default_wait_s=0)
    migrate(settings)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.post(URL, json=gpt2(n_layer=2))  # after this, the model library is imported
        yield client


@pytest.fixture
def nothing_is_stored(client):
    before = client.get(URL).json()["items"]
    yield
    assert client.get(URL).json()["items"] == before


def post(client, body: bytes, headers=None, url=URL):
    """The answer, which is short and came without much work whatever was sent."""
    begun = time.process_time()
    headers = {"Content-Type": "application/json", **(headers or {})}
    response = client.post(url, content=body, headers=headers)
    assert time.process_time() - begun < LONGEST_CPU_S
    assert len(response.content) < LONGEST_ANSWER
    return response


@pytest.mark.usefixtures("nothing_is_stored")
@pytest.mark.parametrize("name", RAW)
def test_bodies_that_are_no_request(client, name):
    sent = RAW[name]
    response = post(client, sent.body, sent.headers)
    assert response.status_code == sent.status
    problem = response.json()
    assert problem["type"] == sent.type
    assert len(problem.get("errors", [])) <= MAX_ERRORS


@pytest.mark.usefixtures("nothing_is_stored")
@pytest.mark.parametrize("name", REFUSED)
def test_descriptions_that_are_refused(client, name):
    body, pointer = REFUSED[name]
    response = post(client, json.dumps(body).encode())
    assert response.status_code == 422, response.text[:500]
    problem = response.json()
    assert problem["type"] == "invalid-request"
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert all(len(error["detail"]) <= 1_000 for error in problem["errors"])


def test_of_many_problems_the_answer_says_how_many_it_leaves_out(client):
    body = json.dumps({f"k{number}": 1 for number in range(500)}).encode()
    assert post(client, body).json()["detail"].endswith("and 401 more")


def test_of_a_key_given_twice_the_last_counts_everywhere(client):
    model = json.dumps(gpt2()["model"])
    body = f'{{"workload": {{"batch_size": 1}}, "workload": {{"batch_size": 3}}, "model": {model}}}'
    resource = post(client, body.encode()).json()
    assert resource["request"]["workload"]["batch_size"] == 3
    assert client.get(f"{URL}/{resource['id']}").json()["request"] == resource["request"]


@pytest.mark.parametrize("memory", ["9" * 5_000 + "GiB", " " * 100_000 + "x", "1e400 GiB"])
def test_budgets(client, memory):
    body = json.dumps({**gpt2(), "budget": {"memory": memory}}).encode()
    response = post(client, body, url="/v1/plans")
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/budget/memory"


@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency-Key": "a" * 100_000},
        {"Idempotency-Key": "a b"},
        {"Idempotency-Key": "é"},
        {"Prefer": "wait=1;" * 100_000},
    ],
    ids=["long key", "key with a space", "key beyond ASCII", "long preference"],
)
def test_headers(client, headers):
    headers = {name: value.encode() for name, value in headers.items()}
    response = post(client, json.dumps(gpt2(n_layer=3)).encode(), headers)
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] in ("idempotency-key", "prefer")


@pytest.mark.parametrize("cursor", ["%00", "AAAA", "%ff%fe", "A" * 10_000, "../../etc/passwd"])
def test_cursors(client, cursor):
    response = client.get(f"{URL}?cursor={cursor}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(
    "path",
    [
        *("..%2f..%2fetc%2fpasswd", "%00", "sim_%0aERROR", "a" * 10_000, "%2e%2e"),
        "a%0d%0aX-Evil:%201",
    ],
)
def test_ids_that_are_paths_or_headers(client, path):
    for url in (f"{URL}/{path}", f"{URL}/{path}/graph/export", f"/v1/devices/{path}"):
        response = client.get(url)
        assert response.status_code in (404, 422)
        assert "X-Evil" not in response.headers
        assert len(response.content) < 2_000


def test_a_profiles_name_cannot_be_a_header(client):
    response = client.post("/v1/devices", json={"name": "a\r\nX-Evil: 1"})
    assert response.status_code == 422
    assert "Location" not in response.headers


def test_a_request_id_of_a_client_is_taken_only_where_it_is_one(client):
    sent = "evil\tERROR forged"
    response = client.get(URL, headers={"X-Request-ID": sent})
    assert response.headers["X-Request-ID"] != sent


def test_a_path_forges_no_line_of_the_log(caplog):
    app = FastAPI()
    problems.install(app, known_fields=[])

    @app.get("/{name}")
    def fail(name: str) -> None:
        raise RuntimeError("a bug")

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/x%0aERROR%20forged").status_code == 500
    (record,) = [record for record in caplog.records if record.name == "app.kit.problems"]
    assert "forged" in record.getMessage()
    assert "\n" not in record.getMessage()
