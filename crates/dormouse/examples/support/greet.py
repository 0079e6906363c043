# /// script
# dependencies = ["mcp>=2"]
# ///
from mcp.server import MCPServer

mcp = MCPServer("greet")


@mcp.tool()
def greet(name: str) -> str:
    """Greets a person by name."""
    return f"Hello, {name}!"


if __name__ == "__main__":
    mcp.run()
