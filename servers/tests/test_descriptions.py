"""What a hub learns from the lists: names, parameters, hints, and words that a search finds."""

import ast
import math
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import SERVERS, run_session

NAMES = {
    "calculator": "calculate percentage split_bill loan_emi unit_convert",
    "web-research": "search_web fetch_url summarize_url",
    "notes-creator": "create_note create_note_from_topic list_notes read_note",
    "youtube-summary": "get_transcript summarize_video ask_about_video",
}

STOP = set(
    "a about an and are by does each for from how i in is it its many me much my of on or "
    "please the to what with you your".split()
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> dict[str, list]:
    return {name: run_session(SERVERS / f"{name}.py", [], {}, tmp_path_factory.mktemp("x"))[0] for name in NAMES}


def words(text: str) -> list[str]:
    """Lower-case words without endings, as a search would index them."""
    found = (word for word in re.findall(r"[a-z]+|\d+", text.lower()) if word not in STOP)
    return [re.sub(r"(ies|es|s|ing|ed|e)$", "", word) if len(word) > 3 else word for word in found]


def search(tools: dict[str, list], query: str) -> list[tuple[float, str]]:
    """Plain BM25 over names, descriptions and parameters; best first, only what scores."""
    documents = {}
    for tool in (tool for group in tools.values() for tool in group):
        parameters = tool.input_schema["properties"].items()
        text = " ".join(f"{name} {schema.get('description', '')}" for name, schema in parameters)
        documents[tool.name] = Counter(words(f"{tool.name} {tool.name} {tool.description} {text}"))
    mean = sum(sum(d.values()) for d in documents.values()) / len(documents)
    scores = []
    for name, document in documents.items():
        score = 0.0
        for word in set(words(query)):
            having = sum(word in d for d in documents.values())
            rarity = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
            size = 1.2 * (0.25 + 0.75 * sum(document.values()) / mean)
            score += rarity * document[word] * 2.2 / (document[word] + size)
        if score:
            scores.append((score, name))
    return sorted(scores, reverse=True)


def test_there_are_fifteen_tools_with_the_documented_names(tools):
    assert {name: " ".join(tool.name for tool in group) for name, group in tools.items()} == NAMES


def test_every_tool_and_parameter_is_described(tools):
    for tool in (tool for group in tools.values() for tool in group):
        assert tool.title and len(tool.description) > 30
        assert tool.annotations.read_only_hint is not None and tool.annotations.open_world_hint is not None
        for name, schema in tool.input_schema["properties"].items():
            assert len(schema["description"]) > 15, f"{tool.name}.{name}"


@pytest.mark.parametrize(
    ("query", "tool"),
    [
        ("search latest AI news", "search_web"),
        ("search python tutorials", "search_web"),
        ("search docker best practices", "search_web"),
        ("search streamlit documentation", "search_web"),
        ("fetch https://example.com", "fetch_url"),
        ("calculate 42 * 58", "calculate"),
        ("calculate 15% of 8500", "calculate"),
        ("split a bill of 2400 among 3 with 15 percent tip", "split_bill"),
        ("split a bill of 2400 between 3 people", "split_bill"),
        ("convert 100 km to miles", "unit_convert"),
        ("convert 25 celsius to fahrenheit", "unit_convert"),
        ("how many pounds are 70 kg", "unit_convert"),
        ("monthly payment for a loan of 500000 at 7.5 % for 10 years", "loan_emi"),
        ("what percentage tip", "percentage"),
        ("summarize the article https://example.com/a", "summarize_url"),
        ("create a note called shopping", "create_note"),
        ("list my notes", "list_notes"),
        ("read my note about shopping", "read_note"),
        ("write a note about the topic owls", "create_note_from_topic"),
        ("transcript of this youtube video", "get_transcript"),
        ("summarize this youtube video", "summarize_video"),
        ("ask a question about a youtube video", "ask_about_video"),
    ],
)
def test_everyday_question_finds_its_tool(tools, query, tool):
    assert search(tools, query)[0][1] == tool


@pytest.mark.parametrize(
    "query", ["capital of France", "say hello in three languages", "explain MCP", "who are you", "hi"]
)
def test_small_talk_finds_no_tool(tools, query):
    assert search(tools, query) == []


@pytest.mark.parametrize("path", sorted(SERVERS.glob("*.py")), ids=lambda path: path.stem)
def test_header_declares_what_is_imported(path: Path):
    """PEP 723, readable without running the script, and nothing imported that is not declared."""
    source = path.read_text()
    block = re.search(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$", source)
    assert block
    content = "".join(line[2:] + "\n" for line in block["content"].splitlines())
    assert 'requires-python = ">=3.10"' in content
    declared = re.findall(r'"([A-Za-z0-9-]+)[><=]', content)
    packages = {"bs4": "beautifulsoup4", "yaml": "PyYAML", "youtube_transcript_api": "youtube-transcript-api"}
    comes_with_mcp = {"pydantic"}
    import sys

    for node in ast.walk(ast.parse(source)):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        for top in {module.partition(".")[0] for module in modules} - comes_with_mcp - sys.stdlib_module_names:
            assert packages.get(top, top) in declared, f"{top} is imported and not declared"
