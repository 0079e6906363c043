"""Notes: nothing is lost, and nothing outside the folder is touched."""

import os
from pathlib import Path

import pytest
import yaml
from conftest import load

notes = load("notes-creator")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DORMOUSE_NOTES_DIR", str(tmp_path / "notes"))
    return tmp_path / "notes"


def test_note_is_a_markdown_file_with_front_matter(folder: Path) -> None:
    notes.create_note('Tea: "green" & more', "Line one\n\n---\nnot front matter")
    text = (folder / "tea-green-more.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["title"] == 'Tea: "green" & more'
    assert "date" in yaml.safe_load(front)
    assert body == "\nLine one\n\n---\nnot front matter\n"
    assert notes.read_note('Tea: "green" & more').endswith("\n\nLine one\n\n---\nnot front matter")
    assert os.listdir(folder) == ["tea-green-more.md"]  # no draft is left behind


def test_existing_note_is_replaced_only_on_request(folder: Path) -> None:
    notes.create_note("Plan", "first")
    with pytest.raises(notes.ToolError, match="exists already"):
        notes.create_note("plan!", "second")
    assert "first" in notes.read_note("Plan")
    notes.create_note("Plan", "third", overwrite=True)
    assert "third" in notes.read_note("plan")
    assert os.listdir(folder) == ["plan.md"]


@pytest.mark.parametrize(
    "title",
    ["../../etc/passwd", "/etc/passwd", "..", "a/../../b", "..\\..\\b", ".hidden", "~/x", "con\u202e.md", "....//x"],
)
def test_title_never_leaves_the_folder(folder: Path, title: str) -> None:
    notes.create_note(title, "text")
    inside = [path.relative_to(folder.parent).parts for path in folder.parent.rglob("*") if path.is_file()]
    assert len(inside) == 1 and inside[0][0] == "notes" and len(inside[0]) == 2
    assert not inside[0][1].startswith(".")
    assert "text" in notes.read_note(title)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Grüße aus München", "grüße-aus-münchen"),
        ("東京の 天気", "東京の-天気"),
        ("Привет, мир", "привет-мир"),
        ("ﬁne ＡＢＣ", "fine-abc"),
        ("snake_case and-hyphen", "snake-case-and-hyphen"),
    ],
)
def test_titles_of_any_script_make_names(folder: Path, title: str, slug: str) -> None:
    notes.create_note(title, "x")
    assert os.listdir(folder) == [f"{slug}.md"]
    assert notes.read_note(title).startswith(f"Title: {title}")


def test_emoji_and_long_titles_get_names_that_fit(folder: Path) -> None:
    notes.create_note("🎉🎉", "party")
    assert "party" in notes.read_note("🎉🎉")
    notes.create_note("語" * 200, "long")
    assert all(len(name.encode()) < 150 for name in os.listdir(folder))


@pytest.mark.parametrize(
    ("title", "content"), [("", "x"), ("  \n", "x"), ("a\x07b", "x"), ("t" * 201, "x"), ("t", "x" * 200_001)]
)
def test_unfit_title_or_content_is_refused(folder: Path, title: str, content: str) -> None:
    with pytest.raises(notes.ToolError):
        notes.create_note(title, content)
    assert not folder.exists()


def test_links_are_neither_read_nor_written_through(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    folder.mkdir()
    (folder / "trap.md").symlink_to(secret)
    (folder / "nowhere.md").symlink_to(tmp_path / "new.txt")
    with pytest.raises(notes.ToolError, match="no note"):
        notes.read_note("trap")
    assert "secret" not in notes.list_notes()
    for title in ("trap", "nowhere"):
        with pytest.raises(notes.ToolError, match="exists already"):
            notes.create_note(title, "x")
    notes.create_note("trap", "mine", overwrite=True)  # replaces the link, not its target
    assert secret.read_text() == "the secret"
    assert not (tmp_path / "new.txt").exists()
    assert not (folder / "trap.md").is_symlink() and "mine" in notes.read_note("trap")


def test_notes_folder_that_leads_out_of_the_space_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "space").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "space" / "notes").symlink_to(tmp_path / "outside")
    monkeypatch.setenv("DORMOUSE_SPACE", str(tmp_path / "space"))
    for named in ("", str(tmp_path / "space" / "notes")):
        monkeypatch.setenv("DORMOUSE_NOTES_DIR", named)
        with pytest.raises(notes.ToolError, match="out of the space"):
            notes.create_note("x", "y")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_named_pipe_does_not_hang_the_list(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe.md")
    notes.create_note("real", "x")
    assert notes.list_notes().startswith("- real (real.md")


def test_part_of_a_title_finds_the_only_match(folder: Path) -> None:
    notes.create_note("Rust async notes", "futures")
    notes.create_note("Rust macros", "macro_rules")
    assert "futures" in notes.read_note("async")
    assert "macro_rules" in notes.read_note("rust-macros.md")
    with pytest.raises(notes.ToolError, match="several notes match 'rust': rust-async-notes, rust-macros"):
        notes.read_note("rust")
    with pytest.raises(notes.ToolError, match="no note matches 'golang'"):
        notes.read_note("golang")


def test_foreign_and_broken_files_are_listed_by_name(folder: Path) -> None:
    folder.mkdir()
    (folder / "bare.md").write_text("no front matter")
    (folder / "broken.md").write_text("---\ntitle: [unclosed\n---\nbody")
    (folder / "binary.md").write_bytes(b"\xff\xfe\x00")
    (folder / "crlf.md").write_bytes(b"---\r\ntitle: Windows\r\ndate: 2024-01-02\r\n---\r\nbody")
    listed = notes.list_notes()
    assert "- Windows (crlf.md, 2024-01-02)" in listed
    assert all(name in listed for name in ("- bare (bare.md)", "- broken (broken.md)", "- binary (binary.md)"))
    assert notes.read_note("crlf").endswith("body")


def test_no_folder_reads_as_no_notes_and_is_not_made(folder: Path) -> None:
    assert notes.list_notes() == "There are no notes yet."
    assert not folder.exists()


def test_file_system_without_hard_links_still_never_overwrites(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    notes.create_note("Plan", "first")
    with pytest.raises(notes.ToolError, match="exists already"):
        notes.create_note("Plan", "second")
    assert "first" in notes.read_note("Plan")


def test_live_server_keeps_notes_in_the_space(talk, tmp_path: Path) -> None:
    made, listed, read, again, missing = talk(
        "notes-creator",
        ("create_note", {"title": "Shopping", "content": "milk, eggs"}),
        ("list_notes", {}),
        ("read_note", {"title": "shopping"}),
        ("create_note", {"title": "Shopping", "content": "bread"}),
        ("read_note", {"title": "nothing"}),
        env={"DORMOUSE_SPACE": str(tmp_path)},
    )
    assert (made.is_error, made.text) == (False, "Saved note 'Shopping' as shopping.md")
    assert "Shopping (shopping.md" in listed.text
    assert read.text.endswith("milk, eggs")
    assert again.is_error and again.text.startswith("a note shopping.md exists already")
    assert missing.is_error
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["shopping.md"]


def test_topic_note_is_written_by_the_model(talk, model, tmp_path: Path) -> None:
    model.says = "<think>hm</think>Owls hunt at night."
    made, twice = talk(
        "notes-creator",
        ("create_note_from_topic", {"topic": "Owls"}),
        ("create_note_from_topic", {"topic": "Owls"}),
        env=model.env | {"DORMOUSE_NOTES_DIR": str(tmp_path / "n")},
    )
    assert made.text == "Saved note 'Owls' as owls.md\n\nOwls hunt at night."
    assert (tmp_path / "n" / "owls.md").read_text().endswith("Owls hunt at night.\n")
    assert twice.is_error and len(model.requests) == 1


def test_topic_note_without_a_model_is_an_error(talk, tmp_path: Path) -> None:
    (answer,) = talk("notes-creator", ("create_note_from_topic", {"topic": "Owls"}))
    assert answer.is_error
    assert "needs a language model and none is configured (DORMOUSE_MODEL_URL is not set)" in answer.text
    assert not (tmp_path / "notes").exists()
