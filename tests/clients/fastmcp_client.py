"""Drives the client of fastmcp 2, 3 and 4."""

import asyncio

from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError

from tried import TARGET, URL, key, name, ours, run, text_of, told, until_cancelled


async def answer(message, response_type, params, context):
    told("asked", message=message, fields=sorted(response_type.__annotations__))
    if "refuse" in message:
        return ElicitResult(action="decline")
    return response_type(sure=True, guests=3)


async def cancel(client: Client) -> None:
    mark = key()
    began = asyncio.Event()

    async def progress(done, total, message):
        began.set()

    call = asyncio.create_task(client.call_tool(name("wait"), {"key": mark}, progress_handler=progress))
    await asyncio.wait_for(began.wait(), 30)
    number = getattr(client.session, "_request_id", None)
    if number is not None:
        # fastmcp 2 and 3 send the notification when asked to; 4 sends it when the call is given up.
        await client.cancel(number - 1, reason="enough")
    call.cancel()

    async def count():
        return text_of(await client.call_tool(name("cancelled"), {"key": mark}))

    told("cancel", seen=await until_cancelled(count))
    await asyncio.gather(call, return_exceptions=True)


def revision(client: Client) -> str:
    begun = getattr(client, "initialize_result", None)
    return getattr(begun, "protocolVersion", None) or client.session.protocol_version


async def main() -> None:
    target = URL or StdioTransport(TARGET[0], TARGET[1:], keep_alive=False)
    async with Client(target, elicitation_handler=answer) as client:
        told("connect", revision=revision(client))
        listed = await client.list_tools()
        told("list", tools=ours(tool.name for tool in listed))
        result = await client.call_tool(name("echo"), {"text": "héllo"})
        told("call", text=text_of(result), structured=result.structured_content, error=result.is_error)

        seen = []

        async def progress(done, total, message):
            seen.append([done, total, message])

        result = await client.call_tool(name("slow"), {"steps": 3}, progress_handler=progress)
        told("progress", seen=seen, text=text_of(result))
        await cancel(client)
        for dish in ("soup", "refuse"):
            result = await client.call_tool(name("order"), {"dish": dish})
            told("elicit", dish=dish, text=text_of(result), error=result.is_error)
        result = await client.call_tool(name("fail"), {"why": "no luck"}, raise_on_error=False)
        told("error", text=text_of(result), error=result.is_error)
        try:
            result = await client.call_tool(name("nothing"), {}, raise_on_error=False)
            told("unknown", text=text_of(result), error=result.is_error)
        except ToolError as error:
            told("unknown", message=str(error))
        except Exception as error:
            told("unknown", code=error.error.code, message=error.error.message)


run(main())
