import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.kit.gzip import CompressLong

SERIES = {"event": list(range(5_000))}


@pytest.fixture
def client():
    def series(request):
        return JSONResponse(SERIES if "short" not in request.url.path else {"event": [1]})

    return TestClient(CompressLong(Starlette(routes=[Route("/{path:path}", series)])))


@pytest.mark.parametrize(
    "path", ["/v1/simulations/sim_1/timeline", "/v1/plans/plan_1/peak", "/v1/models"]
)
def test_long_answers_are_compressed_for_who_takes_it(client, path):
    response = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.json() == SERIES
    assert int(response.headers["content-length"]) < len(response.content) / 2
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == SERIES


@pytest.mark.parametrize(
    "path", ["/v1/simulations", "/v1/simulations/sim_1/export", "/v1/simulations/short/timeline"]
)
def test_lists_files_and_short_answers_stay_as_they_are(client, path):
    response = client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in response.headers
