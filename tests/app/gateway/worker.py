"""A worker over HTTP as tests play it: one call at a time, each as it goes over the wire."""

from __future__ import annotations

import json
import zlib
from uuid import uuid4

from planner.versions import versions
from tests.app.fakes import FILES, MEASURED, PREDICTION


class PlayedWorker:
    """One session; `lease` gives leases names, so that a test can repeat a call."""

    def __init__(self, client, worker_id="w", key=None, **body):
        self.client = client
        self.path = f"/v1/gateway/sessions/{uuid4()}"
        self.headers = {} if key is None else {"Authorization": f"Bearer {key.text}"}
        self.body = {
            "worker_id": worker_id,
            "labels": {"device": "cpu"},
            "simulates": True,
            "device": {"kind": "cpu", "name": "x86_64", "cores": 2, "memory_bytes": 2**33},
            "versions": versions(),
            "hostname": "far-away",
            "pid": 7,
            **body,
        }

    def call(self, method, path="", **options):
        options.setdefault("headers", {}).update(self.headers)
        return self.client.request(method, self.path + path, **options)

    def attach(self, **changes):
        return self.call("PUT", json={**self.body, **changes})

    def heartbeat(self, **leases):
        return self.call("PUT", "/heartbeat", json={"leases": leases})

    def lease(self, name=None, kind="simulation", wait=0):
        headers = {"Prefer": f"wait={wait}"}
        path = f"/leases/{name or uuid4()}"
        return self.call("PUT", path, json={"kind": kind}, headers=headers)

    def deliver(self, name, outcome=None, **files):
        outcome = simulated() if outcome is None else outcome
        parts = {"outcome": ("o.json", json.dumps(outcome), "application/json")}
        parts |= {kind: (kind, data, "application/zlib") for kind, data in files.items()}
        return self.call("PUT", f"/leases/{name}/result", files=parts)

    def finish(self, name):
        """Deliver a simulation as it should be."""
        return self.deliver(name, tape=TAPE)

    def drain(self):
        return self.call("PUT", "/drain")

    def detach(self):
        return self.call("DELETE")


TAPE = zlib.compress(FILES["behaviour"]["tape"])
TIMELINE = zlib.compress(FILES["run_behaviour"]["timeline"])


def simulated(**prediction):
    return {"status": "succeeded", "result": {"prediction": {**PREDICTION, **prediction}}}


def ran(**result):
    return {
        "status": "succeeded",
        "result": {"measured": MEASURED, "environment": {}, **result},
    }
