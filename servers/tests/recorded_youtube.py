"""The YouTube server with YouTube's answers recorded: `python recorded_youtube.py` serves stdio.

The transcript library stays the real one. Only the two requests that it would send are
answered from the structures that YouTube gives for captions.
"""

from types import SimpleNamespace
from typing import Any

from conftest import load
from youtube_transcript_api import TranscriptList, TranscriptsDisabled

youtube = load("youtube-summary")

LINES = ["Welcome to the dormouse channel.", "Dormice sleep &amp; dream.", "They weigh about twenty grams."]


def timed_text(lines: list[str]) -> str:
    rows = "".join(f'<text start="{n}.5" dur="2.0">{line}</text>' for n, line in enumerate(lines))
    return f'<?xml version="1.0" encoding="utf-8" ?><transcript>{rows}</transcript>'


class Recorded:
    """Stands in for the HTTP session: the caption's address says what comes back."""

    texts = {
        "https://captions/en": timed_text(LINES),
        "https://captions/de": timed_text(["Willkommen."]),
        "https://captions/auto": timed_text(["recognized words"]),
        "https://captions/long": timed_text(
            [f"Sentence number {n} of a long talk." for n in range(500)] + ["The password is hazelnut."]
        ),
        "https://captions/empty": timed_text([]),
        "https://captions/broken": "<transcript><text",
    }

    def get(self, url: str) -> Any:
        return SimpleNamespace(status_code=200, text=self.texts[url], raise_for_status=lambda: None)


def track(code: str, name: str, key: str, kind: str | None = None) -> dict[str, Any]:
    found = {
        "baseUrl": f"https://captions/{key}&fmt=srv3",
        "name": {"runs": [{"text": name}]},
        "vssId": f".{code}",
        "languageCode": code,
        "isTranslatable": True,
    }
    return found | ({"kind": kind} if kind else {})


CAPTIONS = {
    "dormouse-en": [track("de", "German", "de"), track("en", "English", "en")],
    "auto-and-de": [track("fr", "French (auto-generated)", "auto", "asr"), track("de", "German", "de")],
    "only-auto--": [track("fr", "French (auto-generated)", "auto", "asr")],
    "long-talk--": [track("en", "English", "long")],
    "empty------": [track("en", "English", "empty")],
    "broken-----": [track("en", "English", "broken")],
}


def recorded_list(video_id: str) -> Any:
    if video_id not in CAPTIONS:
        raise TranscriptsDisabled(video_id)
    return TranscriptList.build(Recorded(), video_id, {"captionTracks": CAPTIONS[video_id]})


if __name__ == "__main__":
    youtube.list_transcripts = recorded_list
    youtube.mcp.run()
