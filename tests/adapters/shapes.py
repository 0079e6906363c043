"""Tools and answers in each form, read by the types of the libraries themselves.

Usage: shapes.py HUB
"""

import json
import sys
import urllib.request

import anthropic
import ollama
import openai
from google.genai import types as gemini
from pydantic import TypeAdapter


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


hub = sys.argv[1]
arguments = {"a": 2, "b": 3}


def tools(form):
    return ask("GET", f"{hub}/tools?format={form}")


def call(form, body):
    return ask("POST", f"{hub}/tools/call?format={form}", body)


seen = {}

chat = openai.types.chat
read = TypeAdapter(list[chat.ChatCompletionToolParam]).validate_python(tools("openai"))
text = json.dumps(arguments)
made = {"id": "c", "type": "function", "function": {"name": read[0]["function"]["name"], "arguments": text}}
made = chat.ChatCompletionMessageFunctionToolCall.model_validate(made).model_dump()
answer = TypeAdapter(chat.ChatCompletionToolMessageParam).validate_python(call("openai", made))
seen["openai"] = answer["content"]

responses = openai.types.responses
read = TypeAdapter(list[responses.FunctionToolParam]).validate_python(tools("openai_responses"))
made = {"type": "function_call", "call_id": "c", "name": read[0]["name"], "arguments": text}
made = responses.ResponseFunctionToolCall.model_validate(made).model_dump()
answer = call("openai_responses", made)
TypeAdapter(responses.ResponseInputItemParam).validate_python(answer)
seen["openai_responses"] = answer["output"]

read = TypeAdapter(list[anthropic.types.ToolParam]).validate_python(tools("anthropic"))
made = {"type": "tool_use", "id": "c", "name": read[0]["name"], "input": arguments}
made = anthropic.types.ToolUseBlock.model_construct(**made).model_dump()
answer = call("anthropic", made)
TypeAdapter(anthropic.types.ToolResultBlockParam).validate_python(answer)
seen["anthropic"] = answer["content"][0]["text"]

# These types refuse members that the API does not know.
read = TypeAdapter(list[gemini.Tool]).validate_python(tools("gemini"))
made = gemini.Part.from_function_call(name=read[0].function_declarations[0].name, args=arguments)
answer = gemini.Part.model_validate(call("gemini", made.model_dump(mode="json", exclude_none=True)))
output = answer.function_response.response["output"]
seen["gemini"] = str(output["result"] if isinstance(output, dict) else output)

read = TypeAdapter(list[ollama.Tool]).validate_python(tools("ollama"))
made = ollama.Message.ToolCall(function={"name": read[0].function.name, "arguments": arguments}).model_dump()
answer = ollama.Message.model_validate(call("ollama", made))
seen["ollama"] = answer.content

print(json.dumps(seen))
