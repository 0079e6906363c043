//! Scripts to drop into a space, with the real SDK.
//!
//! Each declares its packages. The first start of the first of them needs an environment with
//! `mcp`, which takes some ten seconds to build and is then shared.

/// The example of the seed: one tool, `greet(name)`.
pub const GREET: &str = include_str!("../../dormouse/examples/support/greet.py");

/// Two tools and a tool error: `add(a, b)`, `divide(a, b)`.
pub const ARITHMETIC: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("arithmetic")


@mcp.tool()
def add(a: float, b: float) -> float:
    """Adds two numbers."""
    return a + b


@mcp.tool()
def divide(a: float, b: float) -> float:
    """Divides a number by another."""
    return a / b


if __name__ == "__main__":
    mcp.run()
"#;

/// Its tools come from a loop, so that only a start can tell them: `say_hello`, `say_bye`.
pub const LOOPED: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("looped")


def speaker(word):
    def say(name: str) -> str:
        return f"{word}, {name}"

    return say


for word in ["hello", "bye"]:
    mcp.add_tool(speaker(word), name=f"say_{word}", description=f"Says {word}.")

if __name__ == "__main__":
    mcp.run()
"#;

/// Its source promises `total(a, b)`; it serves `total(amounts)`.
pub const LYING: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("lying")


@mcp.tool()
def total(a: int, b: int) -> int:
    """Adds up."""
    return a + b


def other(amounts: list[int]) -> int:
    return sum(amounts)


getattr(mcp, "remove" + "_tool")("total")
getattr(mcp, "add" + "_tool")(other, name="total", description="Adds up.")

if __name__ == "__main__":
    mcp.run()
"#;

/// A server by its source that fails while it is imported.
pub const FAILS_AT_IMPORT: &str = r#"# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("failing")


@mcp.tool()
def never(name: str) -> str:
    """Cannot be called."""
    return name


raise RuntimeError("the database is not configured")
"#;

/// A server by its source that never ends its import.
pub const HANGS_AT_IMPORT: &str = r#"# /// script
# dependencies = []
# ///
import time

time.sleep(3600)

from mcp.server import MCPServer

mcp = MCPServer("hanging")


@mcp.tool()
def never(name: str) -> str:
    """Cannot be called."""
    return name
"#;

/// Needs a package that is not on the index.
pub const NEEDS_THE_IMPOSSIBLE: &str = r#"# /// script
# dependencies = ["mcp>=2", "dormouse-has-no-such-package"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("impossible")


@mcp.tool()
def never(name: str) -> str:
    """Cannot be called."""
    return name


mcp.run()
"#;

/// No server: a script that merely has a decorator named `tool`.
pub const NO_SERVER: &str = r#"class Box:
    def tool(self, function):
        return function


box = Box()


@box.tool
def hammer(nail: str) -> str:
    return nail
"#;
