"""LangChain's own tools, built from what the hub says about its tools, invoked through the hub.

Usage: langchain_tools.py HUB
"""

import json
import sys
import urllib.request

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import StructuredTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def tool_of(hub, form):
    def call(**arguments):
        body = {"name": form["name"], "args": arguments, "id": "1", "type": "tool_call"}
        answer = ask(form["call"]["method"], hub + form["call"]["path"], body)
        if answer["status"] == "error":
            raise ToolException(answer["content"])
        return answer["content"], answer["artifact"]

    return StructuredTool.from_function(
        func=call,
        name=form["name"],
        description=form["description"],
        args_schema=form["args_schema"],
        response_format="content_and_artifact",
        metadata=form["metadata"],
        handle_tool_error=True,
    )


hub = sys.argv[1]
tools = {form["name"]: tool_of(hub, form) for form in ask("GET", f"{hub}/tools?format=langchain")}
add = tools["arithmetic_add"]
message = add.invoke({"name": "arithmetic_add", "args": {"a": 2, "b": 3}, "id": "c1", "type": "tool_call"})
failed = tools["arithmetic_divide"].invoke(
    {"name": "arithmetic_divide", "args": {"a": 1, "b": 0}, "id": "c2", "type": "tool_call"}
)
# A whole message goes to the hub as it is, and what comes back makes messages.
asked = AIMessage(content="", tool_calls=[{"name": "arithmetic_add", "args": {"a": 20, "b": 22}, "id": "c3"}])
answers = ask("POST", f"{hub}/tools/call?format=langchain", asked.model_dump())
direct = ToolMessage(**{key: value for key, value in answers[0].items() if key != "type"})
print(
    json.dumps(
        {
            "plain": add.invoke({"a": 1, "b": 2}),
            "message": [message.content, message.status, message.artifact["outcome"], message.tool_call_id],
            "failed": [failed.content, failed.status],
            "direct": [direct.content, direct.tool_call_id],
            "converted": convert_to_openai_tool(add)["function"],
        }
    )
)
