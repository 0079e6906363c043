"""A client of the transport of 2024-11-05, of the SDK that still has it: what it sees, as one line of JSON."""

import asyncio
import json
import sys

from mcp import ClientSession, types
from mcp.client.sse import sse_client


async def main(url: str) -> None:
    asked = []

    async def answer(_context, params):
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async with sse_client(url) as streams, ClientSession(*streams, elicitation_callback=answer) as session:
        greeting = await session.initialize()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        steps = []

        async def progress(done, total, message):
            steps.append(message)

        slow = await session.call_tool("two_slow", {"n": 3}, progress_callback=progress)
        hello = await session.call_tool("two_hello", {})
        several = await asyncio.gather(*(session.call_tool("two_add", {"a": n, "b": 1}) for n in range(8)))
        print(
            json.dumps(
                {
                    "revision": greeting.protocolVersion,
                    "tools": tools,
                    "slow": slow.content[0].text,
                    "steps": steps,
                    "hello": hello.content[0].text,
                    "asked": asked,
                    "sums": [result.content[0].text for result in several],
                }
            )
        )


asyncio.run(main(sys.argv[1]))
