"""A site as a person sees it: headlines, sentences, tables and links, read out of its pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser

from flows.report.pages import site
from flows.report.records import DOMAINS, DomainData, OperationsData
from flows.report.render import render
from flows.report.source import nothing

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
VOID = {"meta", "link", "input", "br", "img"}


@dataclass
class Part:
    """What stands under one heading."""

    texts: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def records(self) -> list[dict[str, str]]:
        return [dict(zip(self.titles, row, strict=True)) for row in self.rows]

    @property
    def text(self) -> str:
        return " ".join(self.texts)


class Shown(HTMLParser):
    """One page. ``parts`` are its figures by id; ``tags`` every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.headline = ""
        self.parts: dict[str, Part] = {"": Part()}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._part = self.parts[""]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._part = self.parts.setdefault(str(given["id"]), Part())
        elif tag == "tr" and "tbody" in self._open:
            self._part.rows.append([])
        elif tag == "td":
            self._part.rows[-1].append("")
        elif tag == "th":
            self._part.titles.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        plain = data.replace("\u00a0", " ")
        if "td" in self._open:
            self._part.rows[-1][-1] += plain
        elif "th" in self._open:
            self._part.titles[-1] += plain
        elif "h1" in self._open:
            self.headline += plain
        elif not {"style", "script"} & set(self._open) and plain.strip():
            self._part.texts.append(plain.strip())


def files_of(
    data: Mapping[str, DomainData] | None = None, operated: OperationsData | None = None
) -> dict[str, bytes]:
    """The site of some domains; of the others nothing is known."""
    known = {slug: nothing(slug) for slug in DOMAINS} | dict(data or {})
    return render(site(known, operated or OperationsData(), NOW))


def page_of(data: DomainData) -> Shown:
    return Shown(files_of({data.slug: data})[f"{data.slug}.html"].decode())
