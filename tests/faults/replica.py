"""`python -m tests.faults.replica`: one API process on a free port, which it prints.

Its check of requests is fake, as the executor of `tests.app.fake_worker` is: it takes any model.
"""

from __future__ import annotations

import socket

import uvicorn

from app.main import create_app
from app.settings import Settings
from tests.app.fakes import accept

with socket.create_server(("127.0.0.1", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    app = create_app(Settings(), check=accept, check_plan=accept, check_design_search=accept)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])
