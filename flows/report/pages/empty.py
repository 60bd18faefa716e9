"""A page without figures: what to do about it."""

from flows.report.records import DOMAINS, DomainData, Page

QUESTIONS = {
    "github_scraper": "Who builds which repository, and on how few people does it rest?",
    "ledgermind": "Are suggestions accepted, and may one engine replace another?",
    "scout": "What is bought, in which category, and is it normal?",
    "quality_compass": "Which facility needs attention first?",
    "agent_analytics": "What do coding agents cost, and what do they yield?",
}


def empty_page(data: DomainData) -> Page:
    attention: tuple[str, ...] = ()
    is_built = any(extract.is_built for extract in data.extracts.values())
    title = DOMAINS[data.slug]
    if data.problem:
        headline = f"{title} could not be read"
        to_do = (
            data.problem,
            "Mend what the message names, then make the report again: `make report`.",
        )
        attention = (headline,)
    elif is_built:
        headline = f"{title} has been built and holds no rows"
        to_do = (
            "The models are there and empty: nothing was loaded, or nothing lies in their windows.",
            f"See its last run in Prefect, and docs/runbooks/{data.slug}.md.",
        )
    else:
        headline = f"{title} has not been built yet"
        to_do = (
            f"Run it once: `flows run {data.slug}`, or its deployment in Prefect.",
            "Then make the report again: `make report`.",
        )
    return Page(data.slug, title, QUESTIONS[data.slug], headline, attention, (), to_do)


def unmade_page(slug: str, title: str, question: str, problem: str) -> Page:
    headline = f"The page of {title} could not be made"
    to_do = (
        "It is a fault of the report, or rows that nobody thought of; the other pages are made.",
        "The log of the report has the reason; building the domain anew makes its models anew.",
    )
    return Page(slug, title, question, headline, (headline,), (), to_do, problem)
