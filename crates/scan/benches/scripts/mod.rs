//! Writes varied server scripts, the same ones on every run.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Annotations with the JSON Schema type that they give, as `ast.unparse` writes them.
const TYPES: [(&str, Option<&str>, &str); 14] = [
    ("str", Some("string"), "'x'"),
    ("int", Some("integer"), "3"),
    ("float", Some("number"), "0.5"),
    ("bool", Some("boolean"), "True"),
    ("list[str]", Some("array"), "[]"),
    ("dict[str, int]", Some("object"), "{}"),
    ("Optional[str]", None, "None"),
    ("int | None", None, "None"),
    ("Literal['a', 'b']", Some("string"), "'a'"),
    ("List[Dict[str, Any]]", Some("array"), "[]"),
    ("Annotated[int, Field(ge=1, description='How many')]", Some("integer"), "5"),
    ("tuple[int, int]", Some("array"), "(1, 2)"),
    ("datetime", Some("string"), "None"),
    ("Mode", Some("string"), "Mode.FAST"),
];

/// The schema type of an annotation's text.
pub(crate) fn kind(annotation: &str) -> Option<&'static str> {
    TYPES.iter().find(|(text, _, _)| *text == annotation).and_then(|(_, kind, _)| *kind)
}

/// A small generator: what it gives is the same everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

const VERBS: [&str; 10] =
    ["get", "list", "create", "delete", "update", "find", "convert", "check", "send", "count"];
const THINGS: [&str; 12] = [
    "user", "order", "page", "file", "event", "ticket", "invoice", "image", "city", "route", "note", "price",
];
const PARAMS: [&str; 14] = [
    "query", "limit", "offset", "name", "path", "verbose", "language", "since", "until", "tags", "unit",
    "amount", "mode", "key",
];
const LINES: [&str; 10] = [
    "    result = []\n    for index in range(10):\n        if index % 2 == 0:\n            result.append({\"index\": index, \"label\": f\"item {index}\"})\n",
    "    try:\n        value = compute(1, 2, retries=3)\n    except ValueError as error:\n        logger.warning(\"failed: %s\", error)\n        raise\n",
    "    async def inner(item):\n        return await fetch(item, timeout=5.0)\n",
    "    with open(CACHE / \"data.json\", encoding=\"utf-8\") as file:\n        data = json.load(file)\n",
    "    total = sum(entry[\"price\"] * entry.get(\"count\", 1) for entry in ENTRIES if entry[\"price\"] > 0)\n",
    "    headers = {\"Accept\": \"application/json\", \"User-Agent\": \"example/1.0\"}  # be polite\n",
    "    text = \"\"\"A template\n    over several lines\n    \"\"\".strip()\n",
    "    logger.info(\"working on %s\", \", \".join(sorted(str(part) for part in PARTS)))\n",
    "    if not PARTS:\n        raise ValueError(\"nothing to do\")\n    elif len(PARTS) > 100:\n        return None\n",
    "    matrix = [[row * column for column in range(8)] for row in range(8)]\n",
];
const WORDS: [&str; 6] = [
    "Reads what is stored and gives it back in order.",
    "Asks the service and waits for its answer, at most a minute.",
    "Changes one entry; the others stay as they are.",
    "Returns an empty list when there is nothing.",
    "The result is sorted by date, the newest first.",
    "Fails with a clear message if the key is unknown.",
];

/// Writes `count` scripts; the bytes of all.
pub(crate) fn write(folder: &Path, count: usize) -> usize {
    let mut bytes = 0;
    for number in 0..count {
        let text = script(
            number,
            &mut Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d)),
        );
        bytes += text.len();
        fs::write(folder.join(format!("server_{number:05}.py")), text).expect("a script");
    }
    bytes
}

fn script(number: usize, dice: &mut Dice) -> String {
    let (import, class, call) = match dice.roll(4) {
        0 => ("from mcp.server.fastmcp import FastMCP", "FastMCP", "()"),
        1 => ("from mcp.server import MCPServer", "MCPServer", "()"),
        2 => ("from fastmcp import FastMCP", "FastMCP", ""),
        _ => ("import fastmcp", "fastmcp.FastMCP", ""),
    };
    let server = dice.pick(&["mcp", "server", "app"]);
    let mut out = format!(
        "\"\"\"Server number {number}.\"\"\"\n\nimport json\nimport logging\nfrom datetime import datetime\nfrom enum import Enum\nfrom pathlib import Path\nfrom typing import Annotated, Any, Dict, List, Literal, Optional\n\nfrom pydantic import Field\n\n{import}\n\nlogger = logging.getLogger(__name__)\nCACHE = Path(\"cache\")\nENTRIES = [{{\"price\": 1.5, \"count\": 2}}, {{\"price\": 3.0}}]\nPARTS = [\"a\", \"b\"]\n\n{server} = {class}(\"server-{number}\")\n\n\nclass Mode(Enum):\n    \"\"\"How to work.\"\"\"\n\n    FAST = \"fast\"\n    SLOW = \"slow\"\n\n\n"
    );
    let mut tool = 0;
    let target = 2_300 + dice.roll(1_400);
    while out.len() < target {
        tool += 1;
        let name = format!("{}_{}_{tool}", dice.pick(&VERBS), dice.pick(&THINGS));
        let is_async = dice.roll(2) == 0;
        let decorator =
            if dice.roll(5) == 0 { format!("(name=\"{name}_renamed\")") } else { call.to_owned() };
        let _ = writeln!(
            out,
            "@{server}.tool{decorator}\n{}def {name}({}) -> str:",
            if is_async { "async " } else { "" },
            params(dice)
        );
        let _ = write!(out, "    \"\"\"{}", dice.pick(&WORDS));
        for _ in 0..dice.roll(3) {
            let _ = write!(out, "\n\n    {}", dice.pick(&WORDS));
        }
        out.push_str("\n    \"\"\"\n");
        for _ in 0..1 + dice.roll(4) {
            out.push_str(dice.pick(&LINES));
        }
        out.push_str("    return \"done\"\n\n\n");
        if dice.roll(3) == 0 {
            let _ = write!(
                out,
                "def helper_{tool}(value, other=None):\n{}    return value\n\n\n",
                dice.pick(&LINES)
            );
        }
    }
    let _ = write!(out, "if __name__ == \"__main__\":\n    {server}.run()\n");
    out
}

fn params(dice: &mut Dice) -> String {
    let mut params = Vec::new();
    let count = dice.roll(5);
    let needed = dice.roll(count + 1);
    let start = dice.roll(PARAMS.len());
    for index in 0..count {
        let name = PARAMS[(start + index) % PARAMS.len()];
        let (annotation, _, default) = TYPES[dice.roll(TYPES.len())];
        params.push(if index < needed {
            format!("{name}: {annotation}")
        } else {
            format!("{name}: {annotation} = {default}")
        });
    }
    params.join(", ")
}
