"""A server without an SDK whose calls may be tasks, as of 2025-11-25 on stdio and as an extension of 2026-07-28.

    tasks.py stdio
    tasks.py http       prints its port when it listens

`job` goes on until `finish` is called with its number, `need` too and only as a task; `ask` is a job that
wants an answer first. `sour` ends with a result that says that it failed, `broken` with an error. The results of
`sour` and `finish` are structured, by a schema that does not say that they are objects.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXTENSION = "io.modelcontextprotocol/tasks"
stateless = sys.argv[1] == "http"
changed = threading.Condition()
jobs: list[dict] = []
answers: dict[str, dict] = {}
writing = threading.Lock()
NOW = "2026-01-01T00:00:00Z"


class Refused(Exception):
    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.answer = {"code": code, "message": message}


def seen(job: dict) -> dict:
    times = {"createdAt": NOW, "lastUpdatedAt": NOW}
    if stateless:
        return {"taskId": job["id"], "status": job["status"], **times, "ttlMs": 600_000, "pollIntervalMs": 50}
    return {"taskId": job["id"], "status": job["status"], **times, "ttl": 600_000, "pollInterval": 50, "xTask": 1}


def text(words: str) -> dict:
    return {"content": [{"type": "text", "text": words}]}


def structured(words: str) -> dict:
    return {**text(words), "structuredContent": {"said": words}}


def found(params: dict) -> dict:
    for job in jobs:
        if job["id"] == params.get("taskId"):
            return job
    raise Refused(-32602, "no such task here")


def call(params: dict) -> dict:
    name, given = params["name"], params.get("arguments") or {}
    if name == "finish":
        job = jobs[given["number"]]
        job.update(status="completed", result=text(f"done {given['number']}"))
        changed.notify_all()
        return structured("finished")
    capabilities = (params.get("_meta") or {}).get("io.modelcontextprotocol/clientCapabilities", {})
    as_task = EXTENSION in capabilities.get("extensions", {}) if stateless else "task" in params
    if not as_task and name == "need":
        raise Refused(-32021 if stateless else -32601, "only as a task")
    if not as_task:
        return text("at once")
    if stateless and "task" in params:
        raise Refused(-32602, "`task` is of another revision")
    job = {"id": f"own-{len(jobs)}", "status": "working"}
    if name == "sour":
        job.update(status="completed" if stateless else "failed", result={**structured("sour milk"), "isError": True})
    if name == "broken":
        job.update(status="failed", error={"code": -32050, "message": "no ink", "data": {"pages": 3}})
    if name == "ask":
        question = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
        job["asked"] = {"q": {"method": "elicitation/create", "params": question}}
        job["status"] = "input_required"
    jobs.append(job)
    return {"resultType": "task", **seen(job)} if stateless else {"task": seen(job), "_meta": {"begun": 1}}


def get(params: dict) -> dict:
    job = found(params)
    if not stateless:
        return seen(job)
    more = {name: job[name] for name in ("result", "error") if name in job}
    return {**seen(job), **more, **({"inputRequests": job["asked"]} if "asked" in job else {})}


def result(params: dict) -> dict:
    job = found(params)
    related = {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": job["id"]}}}
    if "asked" in job:
        # Asked by whoever waits for the result first.
        question = job.pop("asked")["q"]
        request = {"jsonrpc": "2.0", "id": f"ask-{job['id']}", **question}
        write({**request, "params": {**question["params"], **related}})
        changed.wait_for(lambda: request["id"] in answers)
        said = answers[request["id"]]
        action = said["result"]["action"] if "result" in said else said["error"]["code"]
        job.update(status="completed", result=text(f"answered {action}"))
        changed.notify_all()
    changed.wait_for(lambda: job["status"] not in ("working", "input_required"))
    if job["status"] == "cancelled":
        raise Refused(-32602, "it was cancelled")
    if "error" in job:
        refused = Refused(0, "")
        refused.answer = job["error"]
        raise refused
    return {**job["result"], **related}


def cancel(params: dict) -> dict:
    job = found(params)
    if job["status"] in ("completed", "failed", "cancelled"):
        if stateless:
            return {}
        raise Refused(-32602, "it has ended")
    job["status"] = "cancelled"
    changed.notify_all()
    return {} if stateless else seen(job)


def update(params: dict) -> dict:
    job = found(params)
    answer = params["inputResponses"]["q"]
    del job["asked"]
    job.update(status="completed", result=text(f"answered {answer['action']}"))
    return {}


def tools(_: dict) -> dict:
    support = {name: "optional" for name in ("job", "ask", "sour", "broken")} | {"need": "required"}
    execution = {} if stateless else {name: {"execution": {"taskSupport": it}} for name, it in support.items()}
    schema = {"inputSchema": {"type": "object"}}
    output = {name: {"outputSchema": {"anyOf": [{"type": "object"}]}} for name in ("sour", "finish")}
    names = (*support, "finish")
    return {"tools": [{"name": it, **schema, **output.get(it, {}), **execution.get(it, {})} for it in names]}


def greet(_: dict) -> dict:
    can = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    return {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "tasks": can},
        "serverInfo": {"name": "tasks", "version": "1"},
    }


def discover(_: dict) -> dict:
    return {
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "extensions": {EXTENSION: {}}},
        "serverInfo": {"name": "tasks", "version": "1"},
        "ttlMs": 1000,
        "cacheScope": "private",
    }


METHODS = {
    "tools/list": tools,
    "tools/call": call,
    "tasks/get": get,
    "tasks/cancel": cancel,
    **({"server/discover": discover, "tasks/update": update} if stateless else {}),
    **({} if stateless else {"initialize": greet, "tasks/result": result, "ping": lambda _: {}}),
}


def answer(message: dict) -> dict:
    try:
        if message["method"] not in METHODS:
            raise Refused(-32601, "Method not found")
        with changed:
            result = METHODS[message["method"]](message.get("params") or {})
        if stateless:
            result = {"resultType": "complete", **result}
        said = {"result": result}
    except Refused as refused:
        said = {"error": refused.answer}
    return {"jsonrpc": "2.0", "id": message["id"], **said}


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps(answer(message)).encode() if "id" in message else b""
        self.send_response(200 if body else 202)
        if body:
            self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


def write(*messages: dict) -> None:
    with writing:
        sys.stdout.write("".join(json.dumps(message) + "\n" for message in messages))
        sys.stdout.flush()


def over_stdio() -> None:
    def tell(message: dict) -> None:
        said = [answer(message)]
        if message["method"] == "tools/call" and message["params"]["name"] == "finish":
            job = jobs[message["params"]["arguments"]["number"]]
            said.append({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": seen(job)})
        write(*said)

    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            threading.Thread(target=tell, args=(message,), daemon=True).start()
        elif "id" in message:
            with changed:
                answers[message["id"]] = message
                changed.notify_all()


if stateless:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    print(server.server_port, flush=True)
    server.serve_forever()
else:
    over_stdio()
