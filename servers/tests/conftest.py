"""What the tests share: the servers as modules, as live processes, and local doubles."""

import asyncio
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SERVERS = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not reach the tests. (Live servers get none but those of the call.)"""
    for name in [name for name in os.environ if name.startswith("DORMOUSE_")]:
        monkeypatch.delenv(name)


def load(stem: str) -> ModuleType:
    """Imports a server; its file name is no identifier."""
    name = stem.replace("-", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SERVERS / f"{stem}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


class Answer:
    """A tool's answer as a client sees it."""

    def __init__(self, result: Any) -> None:
        self.is_error = result.is_error
        self.text = "\n".join(block.text for block in result.content)


def run_session(
    script: Path, calls: list[tuple[str, dict[str, Any]]], env: dict[str, str], cwd: Path
) -> tuple[list[Any], list[Answer]]:
    """Starts a script, lists its tools, makes the calls in order and lets it end."""

    async def session() -> tuple[list[Any], list[Answer]]:
        parameters = StdioServerParameters(command=sys.executable, args=[str(script)], env=env, cwd=cwd)
        async with Client(stdio_client(parameters), mode="legacy") as client:
            tools = (await client.list_tools()).tools
            return tools, [Answer(await client.call_tool(name, arguments)) for name, arguments in calls]

    return asyncio.run(asyncio.wait_for(session(), 120))


@pytest.fixture
def talk(tmp_path: Path) -> Callable[..., list[Answer]]:
    """Makes calls on a live server: `talk("calculator", ("calculate", {...}), ..., env={...})`."""

    def talk(server: str | Path, *calls: tuple[str, dict[str, Any]], env: dict[str, str] | None = None) -> list[Answer]:
        script = server if isinstance(server, Path) else SERVERS / f"{server}.py"
        return run_session(script, list(calls), env or {}, tmp_path)[1]

    return talk


class Site:
    """A local web site. `pages` maps a path to (status, headers, body) or to a function of the handler."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                site.requests.append((self.path, dict(self.headers), body))
                page = site.pages.get(self.path.partition("?")[0], (404, {}, b"not here"))
                if callable(page):
                    page = page(self, body)
                if page is None:
                    return
                status, headers, content = page
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                try:
                    self.wfile.write(content)
                except OSError:
                    pass  # the reader had enough

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.origin = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.origin}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def page(self, path: str, body: str | bytes, kind: str = "text/html; charset=utf-8", status: int = 200) -> None:
        self.pages[path] = (status, {"Content-Type": kind}, body.encode() if isinstance(body, str) else body)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


class Model(Site):
    """An OpenAI-compatible endpoint that says what it is told to say."""

    def __init__(self) -> None:
        super().__init__()
        self.says: str = "A short answer."
        self.pages["/v1/chat/completions"] = self.complete
        self.env = {"DORMOUSE_MODEL_URL": f"{self.url}/v1", "DORMOUSE_MODEL": "tiny"}

    def complete(self, _handler: Any, body: Any) -> tuple[int, dict[str, str], bytes]:
        assert body["model"] == "tiny" and body["stream"] is False
        message = {"role": "assistant", "content": self.says}
        reply = {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()

    @property
    def asked(self) -> str:
        """All that the last request told the model."""
        return "\n".join(message["content"] for message in self.requests[-1][2]["messages"])


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.server.shutdown()
    model.server.server_close()
