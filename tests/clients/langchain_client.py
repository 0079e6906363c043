"""Lets LangChain's MCP adapters list and call tools."""

from langchain_mcp_adapters.client import MultiServerMCPClient

from tried import TARGET, URL, name, ours, run, told


def text_of(answer) -> str:
    content = answer.content if hasattr(answer, "content") else answer
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


async def main() -> None:
    if URL:
        connection = {"transport": "http", "url": URL}
    else:
        connection = {"transport": "stdio", "command": TARGET[0], "args": TARGET[1:]}
    client = MultiServerMCPClient({"hub": connection})
    tools = {tool.name: tool for tool in await client.get_tools()}
    told("list", tools=ours(tools))
    # As an agent calls it: by a tool call of the model, answered by a tool message.
    call = {"type": "tool_call", "id": "1", "name": name("echo"), "args": {"text": "héllo"}}
    answer = await tools[name("echo")].ainvoke(call)
    told("call", text=text_of(answer), status=answer.status)
    call = {"type": "tool_call", "id": "2", "name": name("fail"), "args": {"why": "no luck"}}
    answer = await tools[name("fail")].ainvoke(call)
    told("error", text=text_of(answer), status=answer.status)


run(main())
