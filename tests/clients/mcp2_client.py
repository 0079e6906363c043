"""Drives the client of the Python SDK 2.x, in each life of the protocol."""

import anyio
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters

from tried import TARGET, URL, key, name, ours, run, text_of, told, until_cancelled


async def answer(context, params):
    told("asked", message=params.message, fields=sorted(params.requested_schema["properties"]))
    if "refuse" in params.message:
        return types.ElicitResult(action="decline")
    return types.ElicitResult(action="accept", content={"sure": True, "guests": 3})


async def cancel(client: Client) -> None:
    mark = key()
    began = anyio.Event()

    async def progress(done, total, message):
        began.set()

    async with anyio.create_task_group() as tasks:

        async def call():
            await client.call_tool(name("wait"), {"key": mark}, progress_callback=progress)

        tasks.start_soon(call)
        with anyio.fail_after(30):
            await began.wait()
        # The SDK tells the server when a call is given up.
        tasks.cancel_scope.cancel()

    async def count():
        return text_of(await client.call_tool(name("cancelled"), {"key": mark}))

    told("cancel", seen=await until_cancelled(count))


async def drive(mode: str) -> None:
    server = URL or StdioServerParameters(command=TARGET[0], args=TARGET[1:])
    async with Client(server, mode=mode, elicitation_callback=answer) as client:
        told("connect", mode=mode, revision=client.protocol_version)
        listed = await client.list_tools()
        told("list", tools=ours(tool.name for tool in listed.tools))
        result = await client.call_tool(name("echo"), {"text": "héllo"})
        told("call", text=text_of(result), structured=result.structured_content, error=result.is_error)

        seen = []

        async def progress(done, total, message):
            seen.append([done, total, message])

        result = await client.call_tool(name("slow"), {"steps": 3}, progress_callback=progress)
        told("progress", seen=seen, text=text_of(result))
        await cancel(client)
        for dish in ("soup", "refuse"):
            result = await client.call_tool(name("order"), {"dish": dish})
            told("elicit", dish=dish, text=text_of(result), error=result.is_error)
        result = await client.call_tool(name("fail"), {"why": "no luck"})
        told("error", text=text_of(result), error=result.is_error)
        try:
            result = await client.call_tool(name("nothing"), {})
            told("unknown", text=text_of(result), error=result.is_error)
        except MCPError as error:
            told("unknown", code=error.error.code, message=error.error.message)


async def main() -> None:
    for mode in ("legacy", "auto", "2026-07-28"):
        await drive(mode)


run(main())
