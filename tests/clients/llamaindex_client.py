"""Lets LlamaIndex's MCP tools list and call tools."""

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

from tried import TARGET, URL, name, ours, run, text_of, told


async def main() -> None:
    client = BasicMCPClient(URL or TARGET[0], args=TARGET[1:])
    tools = {tool.metadata.name: tool for tool in await McpToolSpec(client).to_tool_list_async()}
    told("list", tools=ours(tools))
    # The library leaves the server's result as it is, in `raw_output`.
    result = (await tools[name("echo")].acall(text="héllo")).raw_output
    told("call", text=text_of(result), error=result.is_error)
    result = (await tools[name("fail")].acall(why="no luck")).raw_output
    told("error", text=text_of(result), error=result.is_error)


run(main())
