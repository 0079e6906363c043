"""The server that real clients meet behind the hub, on the 1.x generation of the Python SDK.

`python upstream_mcp1.py` speaks stdio, `python upstream_mcp1.py PORT` HTTP.
"""

import asyncio
import sys

from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel

served = FastMCP("upstream")
given_up: dict[str, int] = {}


class Sure(BaseModel):
    sure: bool
    guests: int


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
async def order(dish: str, ctx: Context) -> str:
    """Order a dish, once the person is sure."""
    answer = await ctx.elicit(f"Really {dish}?", Sure)
    if answer.action != "accept":
        return f"{answer.action}: no {dish}"
    return f"{dish} for {answer.data.guests}" if answer.data.sure else f"no {dish}"


@served.tool()
def fail(why: str) -> str:
    """Fail for a reason."""
    raise ValueError(why)


if len(sys.argv) > 1:
    served.settings.port = int(sys.argv[1])
    served.run("streamable-http")
else:
    served.run()
