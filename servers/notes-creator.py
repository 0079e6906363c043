# /// script
# requires-python = ">=3.10"
# dependencies = ["mcp>=2,<3", "PyYAML>=6,<7"]
# ///
"""Notes as Markdown files with YAML front matter, in one folder.

A file's name is made from the note's title and holds nothing but letters, digits and
hyphens. Every file is opened relative to the opened folder and never through a link,
so nothing outside it is read or written. A note appears whole or not at all.
"""

import errno
import json
import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

MAX_TITLE = 200  # characters
MAX_CONTENT = 200_000  # characters
MAX_SLUG = 120  # bytes, so that a file name stays below every file system's limit
MAX_READ = 1024 * 1024  # bytes of one file
MAX_FRONT = 8 * 1024  # bytes of front matter
MAX_LISTED = 500
MODEL_SECONDS = 120.0


async def plain_errors(context: Any, call_next: Any) -> Any:
    """Drops what the SDK wraps around an error's text; the caller knows which tool it called."""
    result = await call_next(context)
    if context.method == "tools/call" and isinstance(result, dict) and result.get("isError"):
        for block in result.get("content", []):
            if isinstance(text := block.get("text"), str):
                text = re.sub(r"^Error executing tool [\w.-]+: ", "", text)
                text = re.sub(r"^\d+ validation errors? for \w+", "invalid arguments:", text)
                block["text"] = re.sub(r" \[type=\w+, input.*\]\n\s+For further information visit \S+", "", text)
    return result


mcp = MCPServer(
    "notes-creator",
    instructions="Creates, lists and reads notes: Markdown files in one folder.",
    log_level="WARNING",
    middleware=[plain_errors],
)


# --- the folder ------------------------------------------------------------------


def notes_folder() -> Path:
    """`DORMOUSE_NOTES_DIR`, else `notes` in `DORMOUSE_SPACE`, else `notes` here."""
    space = os.environ.get("DORMOUSE_SPACE", "").strip()
    named = os.environ.get("DORMOUSE_NOTES_DIR", "").strip()
    folder = Path(os.path.abspath(named or os.path.join(space or ".", "notes")))
    # A link inside the space must not lead the notes out of it. A folder that was
    # named outside of the space is the choice of whoever configured it.
    if space and folder.is_relative_to(os.path.abspath(space)):
        if not folder.resolve().is_relative_to(Path(space).resolve()):
            raise ToolError("the notes folder is a link that leads out of the space")
    return folder


@contextmanager
def opened_folder(create: bool = False) -> Iterator[int | None]:
    """The notes folder as a descriptor, so that it stays the same one during a call. `None`: there is none yet."""
    folder = notes_folder()
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise ToolError(f"the notes folder cannot be used: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def slug_of(title: str) -> str:
    """Letters and digits of any script, joined by hyphens."""
    text = unicodedata.normalize("NFKC", title).lower()
    slug = "-".join(re.findall(r"[^\W_]+", text))
    slug = slug.encode()[:MAX_SLUG].decode(errors="ignore").strip("-")
    if slug:
        return slug
    # A title of emoji or signs only still gets a name, the same one each time.
    return "note-" + sha256(text.encode()).hexdigest()[:10]


def checked_title(title: str) -> str:
    title = " ".join(unicodedata.normalize("NFC", title).split())
    if not title:
        raise ToolError("the title is empty")
    if len(title) > MAX_TITLE:
        raise ToolError(f"the title is too long (at most {MAX_TITLE} characters)")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in title):
        raise ToolError("the title contains control characters")
    return title


# --- one note --------------------------------------------------------------------


@dataclass
class Note:
    slug: str
    title: str
    date: str
    content: str


def read_file(folder: int | None, name: str, limit: int) -> str | None:
    """The text of a plain file of the folder; `None` for anything else."""
    if folder is None:
        return None
    try:
        # O_NONBLOCK: a named pipe must not hold us up.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        text = file.read(limit).decode("utf-8", "replace")
        if os.fstat(descriptor).st_size > limit:
            text += f"\n[cut: only the first {limit} bytes]"
        return text


def note_of(slug: str, text: str) -> Note:
    """Takes title and date from the front matter, as far as there is one."""
    import yaml

    front: Any = {}
    content = text
    match = re.match(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", text[:MAX_FRONT], re.S | re.M)
    if match:
        try:
            # The base loader gives strings only: no dates, no numbers, no surprises.
            front = yaml.load(match[1], yaml.BaseLoader)
            content = text[match.end() :].lstrip("\r\n")
        except yaml.YAMLError:
            front = {}
    values = front if isinstance(front, dict) else {}
    title, date = values.get("title"), values.get("date")
    return Note(
        slug, title if isinstance(title, str) and title else slug, date if isinstance(date, str) else "", content
    )


def slugs_in(folder: int | None) -> list[str]:
    if folder is None:
        return []
    return sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".md") and not name.startswith("."))


def write_note(title: str, content: str, overwrite: bool) -> Note:
    """Writes a note beside its place and then moves it there in one step."""
    import yaml

    title = checked_title(title)
    if len(content) > MAX_CONTENT:
        raise ToolError(f"the content is too long (at most {MAX_CONTENT} characters)")
    note = Note(slug_of(title), title, datetime.now().astimezone().isoformat(timespec="seconds"), content)
    front = yaml.safe_dump({"title": title, "date": note.date}, allow_unicode=True, sort_keys=False, width=10_000)
    text = f"---\n{front}---\n\n{content.rstrip()}\n"
    name, draft = f"{note.slug}.md", f".{secrets.token_hex(8)}.tmp"
    with opened_folder(create=True) as folder:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
            try:
                with open(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(descriptor)
                publish(draft, name, folder, overwrite)
            finally:
                try:
                    os.unlink(draft, dir_fd=folder)
                except FileNotFoundError:
                    pass  # it was moved to its place
        except FileExistsError:
            raise ToolError(
                f"a note {name} exists already; set overwrite to replace it, or choose another title"
            ) from None
        except OSError as error:
            raise ToolError(f"the note could not be written: {error.strerror}") from None
    return note


def publish(draft: str, name: str, folder: int | None, overwrite: bool) -> None:
    """Gives a finished file its name, in one step."""
    if overwrite:
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    try:
        # Unlike a rename, a link never replaces what is there.
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # A file system without hard links: take the name first, then fill it.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder))
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def exists(slug: str) -> bool:
    with opened_folder() as folder:
        if folder is None:
            return False
        try:
            os.stat(f"{slug}.md", dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
    return True


def find_note(title: str) -> Note:
    """By name, then by a unique part of name or title."""
    wanted = slug_of(checked_title(title.strip().removesuffix(".md")))
    with opened_folder() as folder:
        text = read_file(folder, f"{wanted}.md", MAX_READ)
        if text is not None:
            return note_of(wanted, text)
        near = [slug for slug in slugs_in(folder) if wanted in slug_of(slug)]
        if len(near) == 1:
            text = read_file(folder, f"{near[0]}.md", MAX_READ)
            if text is not None:
                return note_of(near[0], text)
        if len(near) > 1:
            raise ToolError(f"several notes match {title.strip()[:80]!r}: {', '.join(near[:10])}")
        raise ToolError(f"no note matches {title.strip()[:80]!r}")


# --- the model -------------------------------------------------------------------


def model_settings() -> tuple[str, str]:
    """The endpoint and the name of the model. Asked for before any work is done, too."""
    for name in ("DORMOUSE_MODEL_URL", "DORMOUSE_MODEL"):
        if not os.environ.get(name, "").strip():
            raise ToolError(f"this tool needs a language model and none is configured ({name} is not set)")
    base = os.environ["DORMOUSE_MODEL_URL"].strip().rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ToolError("DORMOUSE_MODEL_URL must be an http or https URL")
    return base, os.environ["DORMOUSE_MODEL"].strip()


def ask_model(instruction: str, text: str) -> str:
    """Asks the OpenAI-compatible endpoint that the settings name."""
    import http.client
    import urllib.error
    import urllib.request
    from urllib.parse import urlsplit

    base, model = model_settings()
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("DORMOUSE_MODEL_KEY", "").strip():
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{base}/chat/completions",
        json.dumps({"model": model, "messages": messages, "temperature": 0.2, "stream": False}).encode(),
        headers,
    )
    # A model on this machine is not reached through a proxy.
    is_local = urlsplit(base).hostname in ("127.0.0.1", "::1", "localhost")
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if is_local else []))
    try:
        with opener.open(request, timeout=MODEL_SECONDS) as response:
            reply = json.loads(response.read(4 * 1024 * 1024))
        answer = reply["choices"][0]["message"]["content"]
        answer = re.sub(r"<think>.*?</think>", "", answer, flags=re.S).strip()
    except urllib.error.HTTPError as error:
        raise ToolError(f"the model {model} answered with HTTP {error.code}") from None
    except TimeoutError:
        raise ToolError(f"the model {model} did not answer within {MODEL_SECONDS:g} s") from None
    except (OSError, http.client.HTTPException):
        raise ToolError(f"the model {model} cannot be reached") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise ToolError(f"the model {model} gave an answer that cannot be read") from None
    if not answer:
        raise ToolError(f"the model {model} gave an empty answer")
    return answer


# --- tools -----------------------------------------------------------------------


@mcp.tool(
    title="Create a note",
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
    ),
)
def create_note(
    title: Annotated[str, Field(description="Title of the note", min_length=1, max_length=200)],
    content: Annotated[str, Field(description="Text of the note, plain or Markdown", max_length=200000)],
    overwrite: Annotated[bool, Field(description="Replace a note that has the same title already")] = False,
) -> str:
    """Create, write or save a note with a title and content as a Markdown file."""
    note = write_note(title, content, overwrite)
    return f"Saved note {note.title!r} as {note.slug}.md"


@mcp.tool(
    title="Write a note about a topic",
    annotations=ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True
    ),
)
def create_note_from_topic(
    topic: Annotated[
        str, Field(description="Topic that the note is about; becomes its title", min_length=1, max_length=200)
    ],
) -> str:
    """Draft a new note about a topic: a model writes its content (needs a model), then it is saved."""
    title = checked_title(topic)
    model_settings()
    if exists(slug_of(title)):
        raise ToolError(f"a note {slug_of(title)}.md exists already; choose another topic or delete it")
    instruction = (
        "Write a concise note in Markdown about the topic that the user names: a short introduction, "
        "the key points as a list, and one closing sentence. No title line, no front matter."
    )
    content = ask_model(instruction, title)[:MAX_CONTENT]
    note = write_note(title, content, overwrite=False)
    return f"Saved note {note.title!r} as {note.slug}.md\n\n{content}"


@mcp.tool(
    title="List notes",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def list_notes() -> str:
    """List all saved notes with their titles and dates, newest first."""
    notes = []
    with opened_folder() as folder:
        slugs = slugs_in(folder)
        for slug in slugs[: MAX_LISTED * 4]:
            text = read_file(folder, f"{slug}.md", MAX_FRONT)
            if text is not None:
                notes.append(note_of(slug, text))
    if not notes:
        return "There are no notes yet."
    notes.sort(key=lambda note: note.date, reverse=True)
    lines = [f"- {note.title} ({note.slug}.md{', ' + note.date if note.date else ''})" for note in notes[:MAX_LISTED]]
    if len(slugs) > len(lines):
        lines.append(f"[{len(lines)} of {len(slugs)} files]")
    return "\n".join(lines)


@mcp.tool(
    title="Read a note",
    annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
)
def read_note(
    title: Annotated[str, Field(description="Title of the note, or a part of it", min_length=1, max_length=200)],
) -> str:
    """Read, show or open a saved note by its title."""
    note = find_note(title)
    date = f"Date: {note.date}\n" if note.date else ""
    return f"Title: {note.title}\n{date}\n{note.content.rstrip()}"


if __name__ == "__main__":
    mcp.run()
