"""A replica of the API that listens on a port, in a thread, with checks that accept anything."""

from __future__ import annotations

import threading
import time
from typing import Any

import uvicorn

from app.main import create_app
from app.settings import Settings
from tests.app.fakes import accept


class Served:
    """One life of it. `port` 0 takes any free one."""

    def __init__(self, settings: Settings, port: int = 0, **options: Any) -> None:
        app = create_app(settings, check=accept, check_plan=accept, check_design_search=accept)
        self._app = app
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, port=port, log_level="warning", timeout_graceful_shutdown=2, **options
            )
        )
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < deadline
            assert self._thread.is_alive()
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it, as SIGTERM does."""
        self._app.state.context.stopping.set()
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
