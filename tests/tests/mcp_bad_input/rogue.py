"""An MCP server on stdio without an SDK that breaks the rules of answering, one tool for each way.

    rogue.py [TOOL...]      with these tools more, which answer with the name that they were called by
    rogue.py --sloppy       lists entries that MCP does not allow; each one alone spoils the list for a strict client
"""

import json
import sys
import threading
import time

WRITING = threading.Lock()
OPEN = threading.Event()
CANCELLED = []
LATE = []


def send(message):
    with WRITING:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(value):
    return {"content": [{"type": "text", "text": value}]}


def progress(meta, number, message):
    if "progressToken" in meta:
        token = meta["progressToken"]
        send({"method": "notifications/progress", "params": {"progressToken": token, "progress": number, "message": message}})


SHAPES = {
    "null": {"result": None},
    "text": {"result": "three"},
    "number": {"result": 3},
    "list": {"result": [1, 2]},
    "empty": {"result": {}},
    "content is a text": {"result": {"content": "hello"}},
    "content without type": {"result": {"content": [{"words": "hello"}]}},
    "content of numbers": {"result": {"content": [1, None]}},
    "neither": {},
    "both": {"result": {"content": []}, "error": {"code": -1, "message": "and an error"}},
    "error is a text": {"error": "no"},
    "error without code": {"error": {"message": "no number"}},
    "error with odd code": {"error": {"code": "E_NO", "message": "odd"}},
}


def call(request, name, arguments, meta):
    if name == "echo":
        return send({"id": request, "result": text(arguments["text"])})
    if name == "twice":
        send({"id": request, "result": text("first")})
        return send({"id": request, "result": text("second")})
    if name == "stray":
        # To one that was never asked, and to one that will be.
        for other in (request + 1000 if isinstance(request, int) else "nobody", "nobody", None, 1.5):
            send({"id": other, "result": text("stray")})
        return send({"id": request, "result": text("after the strays")})
    if name == "ahead":
        # The id that the next request may have.
        send({"id": request + 1 if isinstance(request, int) else "next", "result": text("too early")})
        return send({"id": request, "result": text("mine")})
    if name == "shape":
        return send({"id": request, **SHAPES[arguments["kind"]]})
    if name == "late":
        time.sleep(arguments["seconds"])
        LATE.append(request)
        return send({"id": request, "result": text("late")})
    if name == "never":
        return None
    if name == "nap":
        progress(meta, 1, "asleep")
        OPEN.wait(60)
        progress(meta, 2, "awake")
        return send({"id": request, "result": text("rested")})
    if name == "wake":
        OPEN.set()
        return send({"id": request, "result": text("woken")})
    if name == "flood":
        data = "x" * arguments["bytes"]
        for number in range(arguments["times"]):
            send({"method": "notifications/message", "params": {"level": "info", "data": data}})
            progress(meta, number + 1, data)
        return send({"id": request, "result": text("flooded")})
    if name == "noted":
        return send({"id": request, "result": text(json.dumps({"cancelled": len(CANCELLED), "late": len(LATE)}))})
    return send({"id": request, "result": text(name)})


OWN = ["echo", "twice", "stray", "ahead", "shape", "late", "never", "nap", "wake", "flood", "noted"]
SLOPPY = "--sloppy" in sys.argv
TOOLS = OWN + [name for name in sys.argv[1:] if name != "--sloppy"]
OBJECT = {"type": "object"}


def sloppy(kind, plain, **members):
    """For each member and each of its values an entry that is `plain` otherwise."""
    entries = []
    for member, values in members.items():
        for number, value in enumerate(values):
            entry = {**plain, "name": f"{kind}_{member.strip('_')}_{number}", member: value}
            if "uri" in entry:
                entry["uri"] = f"rogue://{entry['name']}"
            if "uriTemplate" in entry:
                entry["uriTemplate"] = f"rogue://{entry['name']}/{{x}}"
            entries.append(entry)
    return entries


ICONS = [None, "x", ["y"], [{"src": None}], [{"src": "a:b", "sizes": "48x48", "mimeType": None}], [{"src": "a:b", "theme": "blue"}]]
META = [None, [], "x"]
TEXTS = [None, 5, ["x"]]
ANNOTATIONS = [
    None, "x", {"audience": "user"}, {"audience": ["machine"]}, {"priority": 2}, {"priority": "high"},
    {"lastModified": "2026-01-01"}, {"lastModified": None},
]
LISTS = {
    "tools": sloppy(
        "tool", {"inputSchema": OBJECT},
        # Of these, the last five cannot be what they should.
        inputSchema=[
            {}, {"properties": {}}, {"oneOf": [{}]}, {**OBJECT, "properties": {"x": True}}, {"type": ["object", "null"]},
            {**OBJECT, "properties": {"x": None, "y": 5}, "required": ["x", 1]}, {**OBJECT, "properties": None, "required": True},
            None, "x", [], True, {"type": "string"}, {"type": 5},
        ],
        outputSchema=[None, "x", [], {**OBJECT, "properties": {"x": True}, "required": True}],
        title=TEXTS, description=TEXTS, icons=ICONS, _meta=META,
        execution=[None, "x", {"taskSupport": None}, {"taskSupport": "perhaps"}],
        annotations=[None, "x", {"readOnlyHint": None}, {"destructiveHint": "perhaps"}, {"title": 5}],
    ),
    "prompts": sloppy(
        "prompt", {}, title=TEXTS, description=TEXTS, icons=ICONS, _meta=META,
        arguments=[None, "x", ["x"], [{}], [{"name": 5}], [{"name": "a", "description": None, "required": "perhaps"}]],
    ),
    "resources": sloppy(
        "resource", {"uri": ""}, title=TEXTS, description=TEXTS, mimeType=TEXTS, icons=ICONS, _meta=META,
        size=[None, "5", 1.5], annotations=ANNOTATIONS,
    ),
    "resourceTemplates": sloppy(
        "template", {"uriTemplate": ""}, title=TEXTS, description=TEXTS, mimeType=TEXTS, icons=ICONS, _meta=META,
        annotations=ANNOTATIONS,
    ),
}


def answer(message):
    request, method, params = message["id"], message["method"], message.get("params") or {}
    if method == "initialize":
        info = {"name": "rogue", "version": "1"}
        kinds = {"tools": {}, "prompts": {}, "resources": {}} if SLOPPY else {"tools": {}}
        result = {"protocolVersion": params["protocolVersion"], "capabilities": kinds, "serverInfo": info}
        return send({"id": request, "result": result})
    if method == "tools/list":
        tools = [{"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}} for name in TOOLS]
        return send({"id": request, "result": {"tools": tools + (LISTS["tools"] if SLOPPY else [])}})
    if SLOPPY and method.endswith("/list"):
        member = "resourceTemplates" if "templates" in method else method.removesuffix("/list")
        return send({"id": request, "result": {member: LISTS[member]}})
    if method == "tools/call":
        arguments, meta = params.get("arguments") or {}, params.get("_meta") or {}
        return call(request, params["name"], arguments, meta)
    return send({"id": request, "result": {}})


for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "notifications/cancelled":
        CANCELLED.append(message["params"]["requestId"])
    elif "id" in message and "method" in message:
        threading.Thread(target=answer, args=(message,), daemon=True).start()
