"""A domain's page in short: what its runs and its alerts say first."""

from datetime import date

from flows._shared.answers import Answer
from flows.report import charts, words
from flows.report.pages import page_of
from flows.report.records import Column, DomainData, Figure, Page, Row

WIDTH = 520
ROWS = 5
# Of a wide table the columns that fit.
COLUMNS = 5


def answer_of(data: DomainData, today: date) -> Answer:
    """The headline, the first picture and the first rows of its table, as the page shows them."""
    page = page_of(data.masked, today)
    attention = tuple(words.visible(each) for each in page.attention)
    advice = tuple(words.visible(each) for each in page.to_do)
    figure = _first(page)
    if figure is None:
        return Answer(words.visible(page.headline), attention, advice)
    columns = figure.columns[:COLUMNS]
    return Answer(
        headline=words.visible(page.headline),
        attention=attention,
        advice=advice,
        title=figure.title,
        titles=tuple(column.title for column in columns),
        rows=tuple(tuple(_told(row, column) for column in columns) for row in figure.rows[:ROWS]),
        chart=charts.standing_alone(figure.chart, WIDTH) if figure.chart else None,
        alternative=figure.chart.alternative if figure.chart else "",
    )


def _told(row: Row, column: Column) -> str:
    value = words.written(row[column.key], column.kind)
    small = row[column.small] if column.small else None
    return f"{value} {words.text(small)}" if small else value


def _first(page: Page) -> Figure | None:
    """The first figure with a picture, else the first."""
    drawn = [figure for figure in page.figures if figure.chart]
    return next(iter(drawn or page.figures), None)
