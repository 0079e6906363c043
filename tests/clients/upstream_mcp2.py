"""The server that real clients meet behind the hub, on the 2.x generation of the Python SDK.

It speaks both lives of the protocol. A question is a dependency of a tool, which the SDK asks
in the way of the client's revision.

`python upstream_mcp2.py` speaks stdio, `python upstream_mcp2.py PORT` HTTP.
"""

import asyncio
import sys
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

served = MCPServer("upstream")
given_up: dict[str, int] = {}


class Sure(BaseModel):
    sure: bool
    guests: int


def ask(dish: str) -> Elicit[Sure]:
    return Elicit(f"Really {dish}?", Sure)


@served.tool()
def echo(text: str) -> str:
    """Say a text again."""
    return text


@served.tool()
async def slow(steps: int, ctx: Context) -> str:
    """Work in steps and tell of each."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        # Clients of TypeScript drop what they read together with the result.
        await asyncio.sleep(0.1)
    return f"{steps} steps"


@served.tool()
async def wait(key: str, ctx: Context) -> str:
    """Tell that it began, then wait until it is cancelled."""
    await ctx.report_progress(1, 2, "began")
    try:
        await asyncio.sleep(120)
    except asyncio.CancelledError:
        given_up[key] = given_up.get(key, 0) + 1
        raise
    return "nobody cancelled it"


@served.tool()
def cancelled(key: str) -> int:
    """How many calls of `wait` with this key were cancelled."""
    return given_up.get(key, 0)


@served.tool()
async def order(dish: str, answer: Annotated[ElicitationResult[Sure], Resolve(ask)]) -> str:
    """Order a dish, once the person is sure."""
    if not isinstance(answer, AcceptedElicitation):
        return f"{answer.action}: no {dish}"
    return f"{dish} for {answer.data.guests}" if answer.data.sure else f"no {dish}"


@served.tool()
def fail(why: str) -> str:
    """Fail for a reason."""
    raise ToolError(why)


if len(sys.argv) > 1:
    served.run("streamable-http", port=int(sys.argv[1]))
else:
    served.run()
