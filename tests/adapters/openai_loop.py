"""The tool loop of the real OpenAI client: a model that calls tools, and a hub that runs them.

Usage: openai_loop.py HUB MODEL
"""

import json
import sys
import urllib.request

from openai import OpenAI


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


hub, model = sys.argv[1:]
client = OpenAI(base_url=model, api_key="none", max_retries=0)
tools = ask("GET", f"{hub}/tools?format=openai")
messages = [{"role": "user", "content": "What are 2 and 3, and half of 7?"}]
for _ in range(4):
    reply = client.chat.completions.create(model="double", messages=messages, tools=tools)
    message = reply.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    if not message.tool_calls:
        break
    calls = [call.model_dump() for call in message.tool_calls]
    messages += ask("POST", f"{hub}/tools/call", calls)
print(json.dumps(messages))
