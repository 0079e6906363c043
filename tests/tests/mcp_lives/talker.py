"""A server on stdio, by the mcp SDK 1.x, that says things while it works and long afterwards."""

import asyncio
from pathlib import Path

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("talker")
jobs = set()


async def appears(file: str) -> None:
    while not Path(file).exists():
        await asyncio.sleep(0.01)


def afterwards(file: str, say) -> None:
    """Says something once a file is there, and then makes another."""

    async def job() -> None:
        await appears(file)
        await say()
        Path(file + ".said").touch()

    task = asyncio.create_task(job())
    jobs.add(task)
    task.add_done_callback(jobs.discard)


@server.tool()
async def say(word: str, ctx: Context) -> str:
    """Says a word in its log."""
    await ctx.session.send_log_message(level="info", data=word, logger="talker")
    return "said"


@server.tool()
async def rest(until: str) -> str:
    """Works until a file is there."""
    Path(until + ".began").touch()
    await appears(until)
    return "rested"


@server.tool()
async def ask(question: str, until: str, ctx: Context) -> str:
    """Asks the user something once a file is there."""
    Path(until + ".began").touch()
    await appears(until)
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    answer = await ctx.session.elicit(question, schema)
    return f"{answer.action} {answer.content}"


@server.tool()
async def later(word: str, until: str, ctx: Context) -> str:
    """Says a word in its log once a file is there, long after its answer."""
    session = ctx.session
    afterwards(until, lambda: session.send_log_message(level="info", data=word, logger="talker"))
    return "later"


@server.tool()
async def visit(id: str, until: str, ctx: Context) -> str:
    """Sends the user to a page. The user is done there once a file is there."""
    session = ctx.session
    answer = await session.elicit_url("Sign in, please.", "https://example.com/sign-in", id)
    afterwards(until, lambda: session.send_elicit_complete(id))
    return answer.action


server.run()
