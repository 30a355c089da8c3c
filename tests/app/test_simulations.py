from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.jobs import lifecycle
from app.main import create_app
from app.models import JobStatus
from planner.errors import InvalidRequest
from tests.app.fakes import PREDICTION, accept, body

URL = "/v1/simulations"


async def finish(database, job_id: str, status: JobStatus = JobStatus.SUCCEEDED) -> None:
    """What a worker does, without one."""
    async with database.write() as session:
        await lifecycle.claim(session, job_id, "nobody", 3)
        job = await lifecycle.lock(session, job_id)
        job.prediction = PREDICTION if status is JobStatus.SUCCEEDED else None
        problem = {"type": "step-failed", "title": "t", "detail": "d"}
        await lifecycle.finish(session, job, status, None if job.prediction else problem)


class TestCreate:
    def test_unfinished_work_is_accepted_and_can_be_found(self, client):
        response = client.post(URL, json=body())
        assert response.status_code == 202
        resource = response.json()
        assert response.headers["Location"] == f"{URL}/{resource['id']}"
        assert response.headers["Retry-After"] == "1"
        assert resource["status"] == "queued"
        assert resource["prediction"] is None
        assert resource["request"]["workload"]["batch_size"] == 2
        assert resource["request"]["workload"]["precision"] == "fp32"
        assert set(resource["versions"]) >= {"headroom", "torch", "transformers"}
        assert client.get(response.headers["Location"]).json() == resource

    def test_without_a_worker_the_answer_says_so(self, client):
        assert "no worker" in client.post(URL, json=body()).json()["warnings"][0]

    async def test_the_same_request_is_answered_from_the_store(self, client, database):
        first = client.post(URL, json=body()).json()
        await finish(database, first["id"])
        response = client.post(URL, json=body())
        assert response.status_code == 200
        assert response.json()["id"] == first["id"]
        assert response.json()["prediction"]["peak_bytes"] == PREDICTION["peak_bytes"]

    def test_a_request_that_only_looks_different_is_the_same(self, client):
        first = client.post(URL, json=body()).json()["id"]
        explicit = body()
        explicit["device"] = "cpu"
        explicit["workload"]["precision"] = "fp32"
        assert client.post(URL, json=explicit).json()["id"] == first

    @pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
    async def test_what_failed_or_was_cancelled_is_done_anew(self, client, database, status):
        first = client.post(URL, json=body()).json()["id"]
        await finish(database, first, status)
        assert client.post(URL, json=body()).json()["id"] != first

    def test_what_was_found_right_is_not_checked_again(self, settings):
        checked = []

        def check(request):
            if request.model.config["model_type"] == "fake":  # not what warms the service up
                checked.append(request.workload.batch_size)
            return request

        other = body()
        other["workload"]["batch_size"] = 3
        with TestClient(create_app(settings, check=check)) as client:
            first, again = (client.post(URL, json=body()).json()["id"] for _ in range(2))
            client.delete(f"{URL}/{first}")
            after_cancelling = client.post(URL, json=body()).json()["id"]
            client.post(URL, json=other)
        assert first == again != after_cancelling
        assert checked == [2, 2, 3]

    def test_identical_requests_at_once_share_one_row(self, client):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.post(URL, json=body()), range(16)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert len(client.get(URL).json()["items"]) == 1

    async def test_what_finishes_within_the_wait_is_answered_whole(self, client, database):
        def post():
            return client.post(URL, json=body(), headers={"Prefer": "wait=20"})

        posting = asyncio.create_task(asyncio.to_thread(post))
        while not (items := (await asyncio.to_thread(client.get, URL)).json()["items"]):
            await asyncio.sleep(0.02)
        await finish(database, items[0]["id"])
        response = await posting
        assert response.status_code == 201
        assert response.json()["status"] == "succeeded"

    async def test_a_failed_one_carries_its_problem(self, client, database):
        first = client.post(URL, json=body()).json()["id"]
        await finish(database, first, JobStatus.FAILED)
        resource = client.get(f"{URL}/{first}").json()
        assert resource["status"] == "failed"
        assert resource["problem"] == {"type": "step-failed", "title": "t", "detail": "d"}

    def test_what_the_check_refuses_is_not_stored(self, settings):
        def refuse(request):
            raise InvalidRequest.at("/model/config/n_head", "does not divide n_embd", "change it")

        with TestClient(create_app(settings, check=refuse)) as client:
            response = client.post(URL, json=body())
            assert response.status_code == 422
            assert response.headers["content-type"] == "application/problem+json"
            problem = response.json()
            assert problem["type"] == "invalid-request"
            assert problem["errors"] == [
                {
                    "pointer": "/model/config/n_head",
                    "detail": "does not divide n_embd",
                    "remedy": "change it",
                }
            ]
            assert client.get(URL).json()["items"] == []

    def test_an_unknown_device_is_refused_with_those_that_there_are(self, client):
        response = client.post(URL, json={**body(), "device": "abacus"})
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["pointer"] == "/device"
        assert "cpu" in error["remedy"]


class TestIdempotencyKey:
    def test_the_same_key_and_body_give_the_same_resource(self, client):
        first = client.post(URL, json=body(), headers={"Idempotency-Key": "k"})
        again = client.post(URL, json=body(), headers={"Idempotency-Key": "k"})
        assert first.json()["id"] == again.json()["id"]

    async def test_even_where_it_failed(self, client, database):
        headers = {"Idempotency-Key": "k"}
        first = client.post(URL, json=body(), headers=headers).json()["id"]
        await finish(database, first, JobStatus.FAILED)
        again = client.post(URL, json=body(), headers=headers)
        assert (again.status_code, again.json()["id"]) == (200, first)

    def test_another_body_is_refused(self, client):
        client.post(URL, json=body(), headers={"Idempotency-Key": "k"})
        response = client.post(URL, json=body("fail"), headers={"Idempotency-Key": "k"})
        assert response.status_code == 422
        assert response.json()["type"] == "idempotency-key-reused"
        assert len(client.get(URL).json()["items"]) == 1

    def test_a_deleted_resource_frees_its_key(self, client):
        headers = {"Idempotency-Key": "k"}
        first = client.post(URL, json=body(), headers=headers).json()["id"]
        assert client.delete(f"{URL}/{first}").status_code == 200
        assert client.delete(f"{URL}/{first}").status_code == 204
        assert client.post(URL, json=body(), headers=headers).json()["id"] != first


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
class TestBadInput:
    @pytest.mark.parametrize(
        ("content", "status", "kind"),
        [
            (b"{", 400, "malformed-json"),
            (b"[" * 100_000, 400, "malformed-json"),
            (b'{"model": NaN}', 400, "malformed-json"),
            (b"x" * 2_000_000, 413, "body-too-large"),
            (b"[]", 422, "invalid-request"),
            (b"null", 422, "invalid-request"),
            (b"", 422, "invalid-request"),
            (b'{"model": 1' + b"0" * 4000 + b"}", 422, "invalid-request"),
        ],
    )
    def test_a_body_that_cannot_be_meant(self, client, content, status, kind):
        headers = {"Content-Type": "application/json"}
        response = client.post(URL, content=content, headers=headers)
        assert (response.status_code, response.json()["type"]) == (status, kind)
        assert response.headers["content-type"] == "application/problem+json"
        assert client.get(URL).json()["items"] == []

    def test_a_body_of_another_media_type(self, client):
        response = client.post(URL, content=b"<a/>", headers={"Content-Type": "text/xml"})
        assert response.status_code == 415

    def test_a_huge_integer_is_refused_by_name(self, client):
        request = body()
        request["workload"]["batch_size"] = 10**30
        (error,) = client.post(URL, json=request).json()["errors"]
        assert error["pointer"] == "/workload/batch_size"

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=x",
            "limit=999999",
            "cursor=%00",
            "cursor=!!",
            "status=done",
            "colour=1",
        ],
    )
    def test_a_query_that_cannot_be_meant_names_its_parameter(self, client, query):
        response = client.get(f"{URL}?{query}")
        assert response.status_code == 422
        assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]

    @pytest.mark.parametrize("name", ["sim_", "run_x", "%00", "sim_" + "0" * 28, "a" * 500])
    def test_an_id_that_there_is_not(self, client, name):
        for path in ("", "/timeline", "/peak", "/graph", "/export?format=graphml"):
            response = client.get(f"{URL}/{name}{path}")
            assert response.status_code == 404, path
            assert response.json()["type"] == "not-found"
        assert client.delete(f"{URL}/{name}").status_code == 404

    def test_unknown_paths_and_methods_are_problems_too(self, client):
        assert client.get("/v1/nothing").json()["type"] == "not-found"
        response = client.put(URL, json={})
        assert response.status_code == 405
        assert response.json()["type"] == "method-not-allowed"


class TestGet:
    async def test_an_unchanged_one_is_not_sent_again(self, client, database):
        location = f"{URL}/{client.post(URL, json=body()).json()['id']}"
        tag = client.get(location).headers["ETag"]
        assert client.get(location, headers={"If-None-Match": tag}).status_code == 304
        await finish(database, location.rpartition("/")[2])
        changed = client.get(location, headers={"If-None-Match": tag})
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag

    def test_files_of_an_unfinished_one_are_in_conflict(self, client):
        location = f"{URL}/{client.post(URL, json=body()).json()['id']}"
        response = client.get(f"{location}/timeline")
        assert response.status_code == 409
        assert "queued" in response.json()["detail"]


class TestDelete:
    def test_an_unfinished_one_is_cancelled_and_then_deleted(self, client):
        location = f"{URL}/{client.post(URL, json=body()).json()['id']}"
        response = client.delete(location)
        assert (response.status_code, response.json()["status"]) == (200, "cancelled")
        assert client.get(location).json()["status"] == "cancelled"
        assert client.delete(location).status_code == 204
        assert client.get(location).status_code == 404


class TestList:
    async def test_an_item_is_what_the_simulation_is_now(self, client, database):
        first = client.post(URL, json=body()).json()["id"]
        for status in ("queued", "succeeded"):
            if status == "succeeded":
                await finish(database, first)
            one = client.get(f"{URL}/{first}").json()
            for _ in range(2):  # the second time as it was rendered before
                (item,) = client.get(URL).json()["items"]
                assert item["status"] == status
                assert list(item) == list(one)
                for name in ("id", "request", "prediction", "versions", "created_at"):
                    assert item[name] == one[name]

    def test_a_page_of_many_is_newest_first(self, client):
        ids = [client.post(URL, json=body(number=number)).json()["id"] for number in range(23)]
        client.get(URL, params={"limit": 5})  # some are rendered, some are not
        items = client.get(URL, params={"limit": 200}).json()["items"]
        assert [item["id"] for item in items] == sorted(ids, reverse=True)

    def test_nothing_need_be_kept_in_memory(self, sqlite_settings):
        settings = sqlite_settings.model_copy(update={"rendered_cache_bytes": 0})
        with TestClient(create_app(settings, check=accept)) as client:
            first = client.post(URL, json=body()).json()["id"]
            for _ in range(2):
                assert [item["id"] for item in client.get(URL).json()["items"]] == [first]

    def test_pages_cover_everything_once_newest_first(self, client):
        made = [client.post(URL, json=body(number=n)).json()["id"] for n in range(7)]
        seen, cursor = [], None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = client.get(URL, params=query).json()
            seen += [item["id"] for item in page["items"]]
            if len(seen) == 3:
                client.post(URL, json=body(number=99))  # shifts no page
            if (cursor := page["next_cursor"]) is None:
                break
        assert seen == made[::-1]

    async def test_filters(self, client, database):
        done = client.post(URL, json=body()).json()["id"]
        await finish(database, done)
        other = body()
        other["model"]["config"]["model_type"] = "other"
        other["model"]["task"] = "fill-mask"
        other["workload"]["mode"] = "inference"
        queued = client.post(URL, json=other).json()["id"]

        def ids(**query):
            return [item["id"] for item in client.get(URL, params=query).json()["items"]]

        assert ids() == [queued, done]
        assert ids(status="succeeded") == [done]
        assert ids(status=["succeeded", "queued"]) == [queued, done]
        assert ids(model_type="other") == [queued]
        assert ids(task="text-generation") == [done]
        assert ids(mode="inference") == [queued]
        assert ids(device="cpu", status="failed") == []
