"""One server for all subjects, by the mcp SDK 1.x or 2.x or by fastmcp 4.

    server.py stdio
    server.py http      prints its port when it listens

It asks its client in both lives: by requests of its own in a session, and by its result, with the call made
again, in 2026-07-28.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from pydantic import BaseModel

try:
    from fastmcp import Context, FastMCP as Server
except ImportError:
    try:
        from mcp.server.fastmcp import Context, FastMCP as Server
    except ImportError:
        from mcp.server.mcpserver import Context, MCPServer as Server

try:
    import mcp_types as types
    from mcp.shared.exceptions import MCPError
    from mcp_types import InputRequiredResult

    Text = str | InputRequiredResult
except ImportError:
    import mcp.types as types

    Text = str

STATELESS = "2026-07-28"
LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]

server = Server("lives", instructions="Be kind.")


class Sum(BaseModel):
    total: int
    parts: list[int]


@server.tool()
def echo(text: str) -> str:
    """Says it back."""
    return text


@server.tool()
def add(a: int, b: int) -> Sum:
    """Adds two numbers."""
    return Sum(total=a + b, parts=[a, b])


@server.tool()
def fail(why: str) -> str:
    """Goes wrong."""
    raise ValueError(why)


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Counts, and says how far it is."""
    for number in range(to):
        await ctx.report_progress(number + 1, to, f"at {number + 1}")
    return f"counted to {to}"


@server.tool()
async def chatter(ctx: Context) -> str:
    """Says something on each level."""
    for level in LEVELS:
        await ctx.session.send_log_message(
            level=level, data={"said": level}, logger="lives", related_request_id=ctx.request_id
        )
    return "said"


@server.tool()
async def wait(mark: str, ctx: Context) -> str:
    """Takes an hour, unless somebody stops it: then it leaves a mark."""
    Path(mark).with_suffix(".began").touch()
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        Path(mark).touch()
        raise
    return "late"


def form(message: str, field: str) -> tuple:
    schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    return ("elicitation", message, schema)


def sampling(prompt: str) -> tuple:
    return ("sampling", prompt)


def lacks(capabilities, kind: str) -> bool:
    return capabilities is None or getattr(capabilities, kind) is None


def required(ctx, questions: dict):
    """The result that asks, in 2026-07-28."""
    requests = {}
    for name, (kind, *words) in questions.items():
        if lacks(getattr(ctx, "client_capabilities", None) or ctx.session.client_capabilities, kind):
            raise MCPError(
                code=types.MISSING_REQUIRED_CLIENT_CAPABILITY,
                message=f"the client has no {kind}",
                data={"requiredCapabilities": {kind: {}}},
            )
        if kind == "elicitation":
            params = types.ElicitRequestFormParams(message=words[0], requested_schema=words[1])
            requests[name] = types.ElicitRequest(params=params)
        elif kind == "sampling":
            params = types.CreateMessageRequestParams(messages=[said(words[0])], max_tokens=10)
            requests[name] = types.CreateMessageRequest(params=params)
        else:
            requests[name] = types.ListRootsRequest()
    return InputRequiredResult(input_requests=requests, request_state="asked " + ",".join(questions))


def said(text: str):
    return types.SamplingMessage(role="user", content=types.TextContent(type="text", text=text))


async def asked(ctx, kind: str, *words):
    """Asks in a session."""
    if kind == "elicitation":
        return await ctx.session.elicit(*words, related_request_id=ctx.request_id)
    if kind == "sampling":
        return await ctx.session.create_message(
            [said(words[0])], max_tokens=10, related_request_id=ctx.request_id
        )
    return await ctx.session.list_roots()


async def answers(ctx, questions: dict):
    """The answers by the questions' names; or the result that asks for them."""
    if (getattr(ctx.request_context, "protocol_version", None) or "") >= STATELESS:
        given = ctx.input_responses
        if given is None or not all(name in given for name in questions):
            return required(ctx, questions)
        if ctx.request_state != "asked " + ",".join(questions):
            raise ValueError(f"another state came back: {ctx.request_state}")
        return given
    all_at_once = await asyncio.gather(*(asked(ctx, *question) for question in questions.values()))
    return dict(zip(questions, all_at_once, strict=True))


def told(answer) -> str:
    """An answer, whatever it is, as a text."""
    if hasattr(answer, "action"):
        return json.dumps([answer.action, answer.content])
    if hasattr(answer, "roots"):
        return " ".join(f"{root.uri}={root.name}" for root in answer.roots)
    return f"{answer.model}: {answer.content.text}"


async def asking(ctx, questions: dict):
    given = await answers(ctx, questions)
    if not isinstance(given, dict):
        return given
    return " + ".join(told(given[name]) for name in questions)


@server.tool()
async def ask(ctx: Context) -> Text:
    """Asks the user for a colour."""
    return await asking(ctx, {"colour": form("Which colour?", "colour")})


@server.tool()
async def ask_twice(ctx: Context) -> Text:
    """Asks the user two things at once."""
    return await asking(ctx, {"colour": form("Which colour?", "colour"), "size": form("Which size?", "size")})


@server.tool()
async def think(ctx: Context) -> Text:
    """Asks the client's model."""
    return await asking(ctx, {"thought": sampling("What is it?")})


@server.tool()
async def look(ctx: Context) -> Text:
    """Asks where the client works."""
    return await asking(ctx, {"roots": ("roots",)})


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    """Says that a resource has changed, to who watches it."""
    if hasattr(ctx, "notify_resource_updated"):
        await ctx.notify_resource_updated(uri)
    elif uri in watched:
        await ctx.session.send_resource_updated(uri)
    return "touched"


@server.tool()
def die() -> str:
    """Crashes."""
    os._exit(3)


# What a client of the older life watches, by the handlers that only the low level has.
watched = []
if hasattr(server, "_mcp_server") and hasattr(server._mcp_server, "subscribe_resource"):

    @server._mcp_server.subscribe_resource()
    async def subscribe(uri) -> None:
        watched.append(str(uri))

    @server._mcp_server.unsubscribe_resource()
    async def unsubscribe(uri) -> None:
        watched.remove(str(uri))

    plain = server._mcp_server.get_capabilities

    def truthful(*more, **named):
        """The SDK says no whatever there is."""
        can = plain(*more, **named)
        can.resources.subscribe = True
        return can

    server._mcp_server.get_capabilities = truthful


@server.resource("note://one", mime_type="text/plain")
def note() -> str:
    """A note."""
    return "a note"


@server.resource("note://by/{day}")
def by_day(day: str) -> str:
    """The note of a day."""
    return f"a note of {day}"


@server.prompt()
def greet(name: str) -> str:
    """Greets."""
    return f"Hello {name}"


@server.completion()
async def complete(ref, argument, context):
    kind = getattr(ref, "name", None) or str(ref.uri)
    values = [f"{argument.value}{end}" for end in ("day", "week")]
    return types.Completion(values=[*values, kind], total=3)


async def over_http() -> None:
    import socket

    import uvicorn

    app = server.http_app() if hasattr(server, "http_app") else server.streamable_http_app()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:] == ["http"]:
        asyncio.run(over_http())
    elif "show_banner" in Server.run.__code__.co_varnames:
        server.run(show_banner=False)
    else:
        server.run()
