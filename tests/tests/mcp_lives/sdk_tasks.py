"""Tasks of 2025-11-25 by the Python SDK 1.x.

    sdk_tasks.py stdio              a server: `confirm` is a task only, and asks; `sum` may be one
    sdk_tasks.py client URL TOOL    calls a tool of that server as a task, says yes, and tells how it went
"""

import asyncio
import json
import sys

import mcp.types as types
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

FORM = {"type": "object", "properties": {"confirm": {"type": "boolean"}}, "required": ["confirm"]}


def text(words: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=words)])


async def confirm(task) -> types.CallToolResult:
    answer = await task.elicit(message="Really?", requestedSchema=FORM)
    return text(f"{answer.action}: {answer.content}")


async def total(task) -> types.CallToolResult:
    await task.update_status("adding")
    return text("3")


async def serve() -> None:
    server = Server("sdk-tasks")
    server.experimental.enable_tasks()
    work = {"confirm": (types.TASK_REQUIRED, confirm), "sum": (types.TASK_OPTIONAL, total)}

    @server.list_tools()
    async def tools() -> list[types.Tool]:
        def tool(name: str, support: str) -> types.Tool:
            return types.Tool(
                name=name, inputSchema={"type": "object"}, execution=types.ToolExecution(taskSupport=support)
            )

        return [tool(name, support) for name, (support, _) in work.items()]

    @server.call_tool()
    async def call(name: str, _: dict):
        support, run = work[name]
        context = server.request_context.experimental
        context.validate_task_mode(support)
        if not context.is_task:
            return text("at once").content
        return await context.run_task(run)

    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def use(url: str, tool: str) -> None:
    asked = []

    async def answer(_, params: types.ElicitRequestParams) -> types.ElicitResult:
        related = (params.meta.model_extra or {}) if params.meta else {}
        asked.append(related.get("io.modelcontextprotocol/related-task", {}).get("taskId"))
        return types.ElicitResult(action="accept", content={"confirm": True})

    async with (
        streamable_http_client(url) as (incoming, outgoing, _),
        ClientSession(incoming, outgoing, elicitation_callback=answer) as session,
    ):
        greeting = await session.initialize()
        begun = await session.experimental.call_tool_as_task(tool, {"filename": "a.txt"})
        name = begun.task.taskId
        result = await session.experimental.get_task_result(name, types.CallToolResult)
        told = {
            "announced": greeting.capabilities.tasks is not None,
            "text": result.content[0].text,
            "asked_for_it": asked == [name],
            "status": (await session.experimental.get_task(name)).status,
            "listed": [task.taskId for task in (await session.experimental.list_tasks()).tasks] == [name],
        }
    print(json.dumps(told))


if sys.argv[1] == "stdio":
    asyncio.run(serve())
else:
    asyncio.run(use(*sys.argv[2:]))
