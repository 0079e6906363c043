"""YouTube: which video is meant, which transcript is taken, what the model is told."""

from pathlib import Path

import pytest
import recorded_youtube
from conftest import load

youtube = load("youtube-summary")
RECORDED = Path(__file__).parent / "recorded_youtube.py"


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    monkeypatch.setattr(youtube, "list_transcripts", recorded_youtube.recorded_list)


@pytest.mark.parametrize(
    "link",
    [
        "dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ&t=42s",
        "http://youtube.com/watch/dQw4w9WgXcQ",
        "https://youtu.be/dQw4w9WgXcQ?si=abc",
        "youtu.be/dQw4w9WgXcQ",
        "https://m.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://www.youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube.com/embed/dQw4w9WgXcQ?start=1",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ",
        "https://www.youtube.com/live/dQw4w9WgXcQ",
        "https://www.youtube.com/v/dQw4w9WgXcQ",
        " <https://youtu.be/dQw4w9WgXcQ> ",
    ],
)
def test_every_form_of_link_names_the_video(link):
    assert youtube.video_id_of(link) == "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("https://vimeo.com/12345678901", "vimeo.com is not YouTube"),
        ("https://youtube.com.evil.example/watch?v=dQw4w9WgXcQ", "is not YouTube"),
        ("https://www.youtube.com/watch", "no video id"),
        ("https://www.youtube.com/watch?v=short", "no video id"),
        ("https://www.youtube.com/@channel", "no video id"),
        ("https://www.youtube.com/playlist?list=PL1", "no video id"),
        ("ftp://youtu.be/dQw4w9WgXcQ", "neither"),
        ("https://[youtu.be/x", "neither"),
        ("", "neither"),
    ],
)
def test_other_links_are_errors(link, fault):
    with pytest.raises(youtube.ToolError, match=fault):
        youtube.video_id_of(link)


@pytest.mark.parametrize(
    ("video", "head", "text"),
    [
        ("dormouse-en", "(English, written by people)", "Dormice sleep & dream."),
        ("auto-and-de", "(German, written by people)", "Willkommen."),
        ("only-auto--", "(French (auto-generated), recognized by machine)", "recognized words"),
    ],
)
def test_best_transcript_is_taken(video, head, text):
    answer = youtube.get_transcript(video)
    assert answer.startswith(f"Transcript of {video} {head}:\n\n")
    assert text in answer


def test_long_transcript_is_cut_and_says_so():
    answer = youtube.get_transcript("long-talk--")
    assert len(answer) < 5200
    assert "[cut: the first " in answer


@pytest.mark.parametrize(
    ("video", "fault"),
    [
        ("nothing----", "video nothing----: captions are disabled"),
        ("empty------", "transcript is empty"),
        ("broken-----", "cannot be read"),
    ],
)
def test_missing_transcript_is_an_error(video, fault):
    with pytest.raises(youtube.ToolError, match=fault):
        youtube.get_transcript(video)


def test_question_picks_the_pieces_that_matter():
    text = youtube.transcript_of("long-talk--").text
    assert len(text) > youtube.MODEL_CHARS
    picked = youtube.relevant(text, "What is the password?", youtube.MODEL_CHARS)
    assert "hazelnut" in picked and len(picked) < youtube.MODEL_CHARS + 200
    assert youtube.relevant("short", "what?", 100) == "short"


def test_live_server_reads_summarizes_and_answers(talk, model):
    link = "https://youtu.be/dormouse-en"
    transcript, summary, answer, long, disabled = talk(
        RECORDED,
        ("get_transcript", {"youtube_url": link}),
        ("summarize_video", {"youtube_url": link}),
        ("ask_about_video", {"youtube_url": link, "question": "How heavy are they?"}),
        ("summarize_video", {"youtube_url": "long-talk--"}),
        ("get_transcript", {"youtube_url": "https://youtu.be/nothing----"}),
        env=model.env,
    )
    assert "twenty grams" in transcript.text and not transcript.is_error
    assert summary.text == answer.text == "A short answer."
    assert long.text.startswith("A short answer.\n[from the first 12000 of ")
    asked = [request[2]["messages"] for request in model.requests]
    assert "5 to 7 bullet points" in asked[0][0]["content"] and "twenty grams" in asked[0][1]["content"]
    assert asked[1][1]["content"].endswith("Question: How heavy are they?")
    assert (disabled.is_error, disabled.text) == (True, "video nothing----: captions are disabled for this video")


def test_live_server_without_a_model_says_so(talk):
    for answer in talk(
        "youtube-summary",
        ("summarize_video", {"youtube_url": "dormouse-en"}),
        ("ask_about_video", {"youtube_url": "dormouse-en", "question": "x"}),
        env={"DORMOUSE_MODEL_URL": "http://127.0.0.1:1/v1"},
    ):
        assert answer.is_error
        assert answer.text == "this tool needs a language model and none is configured (DORMOUSE_MODEL is not set)"
