from __future__ import annotations


def test_a_chunked_body_over_the_limit_is_refused_too(client):
    def chunks():
        for _ in range(40):
            yield b" " * 100_000

    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/simulations", content=chunks(), headers=headers)
    assert response.status_code == 413
    assert response.json()["type"] == "body-too-large"
