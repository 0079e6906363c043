"""An MCP server on stdio whose resources can be watched, and that takes its time.

    watched.py FOLDER

What it is asked is a line in FOLDER/asked. An address with `slow` is answered once FOLDER/go is there; one with
`bad` is refused, by its name.
"""

import json
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
WRITING = threading.Lock()


def send(message):
    with WRITING:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def note(line):
    with WRITING, (FOLDER / "asked").open("a") as file:
        file.write(line + "\n")


def subscribe(request, uri):
    while "slow" in uri and not (FOLDER / "go").exists():
        time.sleep(0.01)
    if "bad" in uri:
        send({"id": request, "error": {"code": -32002, "message": f"there is no {uri}"}})
    else:
        send({"id": request, "result": {}})


for line in sys.stdin:
    message = json.loads(line)
    request, params = message.get("id"), message.get("params") or {}
    match message.get("method"):
        case "initialize":
            can = {"resources": {"subscribe": True}}
            about = {"name": "watched", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": can, "serverInfo": about}
            send({"id": request, "result": result})
        case "resources/subscribe":
            note(f"subscribe {params['uri']}")
            threading.Thread(target=subscribe, args=(request, params["uri"]), daemon=True).start()
        case "resources/unsubscribe":
            note(f"unsubscribe {params['uri']}")
            send({"id": request, "result": {}})
        case "resources/list":
            send({"id": request, "result": {"resources": []}})
        case "resources/templates/list":
            send({"id": request, "result": {"resourceTemplates": []}})
        case "ping":
            send({"id": request, "result": {}})
        case method if request is not None:
            send({"id": request, "error": {"code": -32601, "message": f"no {method}"}})
