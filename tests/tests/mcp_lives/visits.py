"""A server by the mcp SDK 1.x, which wants its user at an address before it works."""

from mcp.server.fastmcp import FastMCP
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import ElicitRequestURLParams

server = FastMCP("visits")
calls = []


@server.tool()
def pay(amount: int) -> str:
    """Pays, from the second call on."""
    calls.append(amount)
    if len(calls) % 2:
        asked = ElicitRequestURLParams(
            mode="url", message="Sign in.", url="https://sign.example/in", elicitationId=f"visit-{len(calls)}"
        )
        raise UrlElicitationRequiredError([asked])
    return f"paid {amount} at call {len(calls)}"


server.run()
