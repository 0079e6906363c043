"""Drives the client of the Python SDK 1.x, which takes a list as a whole or not at all.

Run as `lists.py PREFIX URL TOOL…`: it prints what is listed, and calls the tools.
"""

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from tried import TARGET, URL, run, told


async def main() -> None:
    async with streamablehttp_client(URL) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        tools = (await session.list_tools()).tools
        told("tools", names=sorted(each.name for each in tools))
        told("prompts", names=sorted(each.name for each in (await session.list_prompts()).prompts))
        resources = (await session.list_resources()).resources
        told("resources", names=sorted(str(each.uri) for each in resources))
        templates = (await session.list_resource_templates()).resourceTemplates
        told("templates", names=sorted(each.uriTemplate for each in templates))
        for tool in TARGET[1:]:
            schema = next(each.outputSchema for each in tools if each.name == tool)
            # It holds what comes against what was listed.
            result = await session.call_tool(tool, {})
            told("call", tool=tool, schema=schema, structured=result.structuredContent)


run(main())
