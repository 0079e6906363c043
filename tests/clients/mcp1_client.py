"""Drives the client of the Python SDK 1.x."""

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from tried import TARGET, URL, key, name, ours, run, text_of, told, until_cancelled


async def answer(context, params: types.ElicitRequestParams):
    told("asked", message=params.message, fields=sorted(params.requestedSchema["properties"]))
    if "refuse" in params.message:
        return types.ElicitResult(action="decline")
    return types.ElicitResult(action="accept", content={"sure": True, "guests": 3})


async def cancel(session: ClientSession) -> None:
    """This generation leaves the cancelling of requests to its users: they send the notification."""
    mark = key()
    began = anyio.Event()
    ended = []

    async def progress(done, total, message):
        began.set()

    async def call():
        try:
            result = await session.call_tool(name("wait"), {"key": mark}, progress_callback=progress)
            ended.append(text_of(result))
        except McpError as error:
            ended.append(error.error.message)

    async with anyio.create_task_group() as tasks:
        number = session._request_id
        tasks.start_soon(call)
        with anyio.fail_after(30):
            await began.wait()
        params = types.CancelledNotificationParams(requestId=number, reason="enough")
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))

        async def count():
            return text_of(await session.call_tool(name("cancelled"), {"key": mark}))

        told("cancel", seen=await until_cancelled(count))
        tasks.cancel_scope.cancel()


async def drive(read, write) -> None:
    async with ClientSession(read, write, elicitation_callback=answer) as session:
        begun = await session.initialize()
        told("connect", revision=begun.protocolVersion)
        listed = await session.list_tools()
        told("list", tools=ours(tool.name for tool in listed.tools))
        result = await session.call_tool(name("echo"), {"text": "héllo"})
        told("call", text=text_of(result), structured=result.structuredContent, error=result.isError)

        seen = []

        async def progress(done, total, message):
            seen.append([done, total, message])

        result = await session.call_tool(name("slow"), {"steps": 3}, progress_callback=progress)
        told("progress", seen=seen, text=text_of(result))
        await cancel(session)
        for dish in ("soup", "refuse"):
            result = await session.call_tool(name("order"), {"dish": dish})
            told("elicit", dish=dish, text=text_of(result), error=result.isError)
        result = await session.call_tool(name("fail"), {"why": "no luck"})
        told("error", text=text_of(result), error=result.isError)
        try:
            result = await session.call_tool(name("nothing"), {})
            told("unknown", text=text_of(result), error=result.isError)
        except McpError as error:
            told("unknown", code=error.error.code, message=error.error.message)


async def main() -> None:
    if URL:
        async with streamablehttp_client(URL) as (read, write, _):
            await drive(read, write)
    else:
        async with stdio_client(StdioServerParameters(command=TARGET[0], args=TARGET[1:])) as (read, write):
            await drive(read, write)


run(main())
