"""A server without an SDK, which says what stands in a file, and notes what it is asked.

    raw.py stdio SAYS NOTES      one client of 2025-11-25 on standard input and output
    raw.py http SAYS NOTES       clients of 2026-07-28; prints its port when it listens

SAYS maps a method, or `tools/call NAME`, or `resources/read URI`, to the `result` or `error` of its answer, with notifications `before`
it; it is read anew for each request. What nobody wrote is an error. NOTES gets a line for each message.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_, transport, says, notes = sys.argv
writing = threading.Lock()


def note(message: dict) -> None:
    with writing, Path(notes).open("a") as file:
        file.write(json.dumps(message) + "\n")


def said(request: dict) -> tuple[list, dict]:
    """The notifications before the answer, and the answer."""
    all_of_it = json.loads(Path(says).read_text())
    params = request.get("params") or {}
    one = f"{request['method']} {params.get('name') or params.get('uri')}"
    found = all_of_it.get(one) or all_of_it.get(request["method"])
    if found is None:
        found = {"error": {"code": -32601, "message": "Method not found"}}
    if request["method"] == "ping":
        found = {"result": {}}
    before = []
    for message in found.get("before", []):
        message = {"jsonrpc": "2.0", **message}
        if message["method"] == "notifications/progress":
            if "progressToken" not in params.get("_meta", {}):
                continue
            message["params"]["progressToken"] = params["_meta"]["progressToken"]
        before.append(message)
    answer = {name: found[name] for name in ("result", "error") if name in found}
    return before, {"jsonrpc": "2.0", "id": request["id"], **answer}


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        note(message)
        if "id" not in message or "method" not in message:
            return self.reply(202, None, b"")
        before, answer = said(message)
        if not before:
            status = 404 if answer.get("error", {}).get("code") == -32601 else 200
            return self.reply(status, "application/json", json.dumps(answer).encode())
        events = "".join(f"data: {json.dumps(it)}\n\n" for it in [*before, answer])
        return self.reply(200, "text/event-stream", events.encode())

    def do_GET(self) -> None:
        self.reply(405, None, b"")

    do_DELETE = do_GET

    def reply(self, status: int, kind: str | None, body: bytes) -> None:
        self.send_response(status)
        if kind:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def over_stdio() -> None:
    def tell(message: dict) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    for line in sys.stdin:
        message = json.loads(line)
        note(message)
        if "id" in message and "method" in message:
            before, answer = said(message)
            for one in [*before, answer]:
                tell(one)


if transport == "stdio":
    over_stdio()
else:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    print(server.server_port, flush=True)
    server.serve_forever()
