"""Extracts tools from scripts with CPython's `ast`: what the scan is measured against.

Reads a list of files on stdin; writes one JSON line for each file to the path given, and on stdout
the seconds of CPU that reading, parsing and extracting took.
"""

import ast
import json
import sys
import time


def text(node):
    return None if node is None else ast.unparse(node)


def tool(function):
    """The tool that a decorator makes of a function, or None."""
    for decorator in function.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not (isinstance(call, ast.Attribute) and call.attr == "tool"):
            continue
        name = function.name
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    name = keyword.value.value
        arguments = function.args
        positional = arguments.posonlyargs + arguments.args
        first_default = len(positional) - len(arguments.defaults)
        params = [[a.arg, text(a.annotation), index >= first_default] for index, a in enumerate(positional)]
        for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults):
            params.append([a.arg, text(a.annotation), default is not None])
        return [name, ast.get_docstring(function), params]
    return None


def extract(source):
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            one = tool(node)
            if one is not None:
                found.append(one)
    return found


def main():
    files = sys.stdin.read().split("\n")
    started = time.process_time()
    results = []
    for name in files:
        with open(name, encoding="utf-8") as file:
            results.append(extract(file.read()))
    took = time.process_time() - started
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        for result in results:
            out.write(json.dumps(result) + "\n")
    print(took)


main()
