"""What the Python drivers share: their arguments, and the lines that they print.

A driver is run as `driver.py PREFIX URL` or `driver.py PREFIX COMMAND ARGUMENT…`. PREFIX goes
before the names of the server's tools, as the hub shows them. For each thing tried it prints one
JSON line; the test reads them.
"""

import asyncio
import json
import sys
import traceback
import uuid

PREFIX, *TARGET = sys.argv[1:]
URL = TARGET[0] if TARGET[0].startswith("http") else None


def name(tool: str) -> str:
    return PREFIX + tool


def ours(names) -> list[str]:
    """The tools of our server, as the server calls them; other servers may be there too."""
    return sorted(each.removeprefix(PREFIX) for each in names if each.startswith(PREFIX))


def told(tried: str, **what) -> None:
    print(json.dumps({"tried": tried, **what}), flush=True)


def text_of(result) -> str:
    return "".join(getattr(block, "text", "") for block in result.content)


def key() -> str:
    return uuid.uuid4().hex


async def until_cancelled(count) -> int:
    """Asks the server until it says that one call was cancelled, for ten seconds."""
    for _ in range(100):
        seen = await count()
        if int(seen):
            return int(seen)
        await asyncio.sleep(0.1)
    return 0


def run(main) -> None:
    """Runs a driver; what it did not survive is a line too."""
    try:
        asyncio.run(main)
    except BaseException:
        told("crash", error=traceback.format_exc()[-3000:])
        sys.exit(1)
