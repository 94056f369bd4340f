"""``al report``, ``explain``, ``plan``, ``raters``, ``why``: what the figures say, rest on and would cost."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_assets.commands.options import (
    IterationOption,
    JsonOption,
    PolicyOption,
    console,
    frame_table,
    print_json,
    say,
    steady,
)
from al_assets.config import load_policy

if TYPE_CHECKING:
    from al_assets.commands.item_story import ItemStory


def report(
    policy: PolicyOption,
    iteration: IterationOption = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="report-ITERATION.html if left out.")] = None,
) -> None:
    """Write an iteration's report as one HTML file that needs nothing else."""
    from al_assets.report.html_page import write_report

    say(str(write_report(load_policy(policy), iteration, output)))


def explain(
    figure: Annotated[str, typer.Argument(help="Such as model_expert_kappa.")],
    policy: PolicyOption,
    scope: Annotated[str | None, typer.Option(help="Such as audit; the most telling one if left out.")] = None,
    iteration: IterationOption = None,
    items: Annotated[int, typer.Option(min=0, help="Items to show, those with the largest effect first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Say what a figure is, and trace it to the items and votes it rests on."""
    from al_assets.report.explanation import explanation_view
    from al_assets.report.iteration_tables import read_tables
    from al_assets.report.tracing import explain_figure

    explanation = explain_figure(read_tables(load_policy(policy), iteration), figure, scope)
    if as_json:
        print_json(explanation.as_dict())
    else:
        console.print(explanation_view(explanation, items))


def plan(
    policy: PolicyOption,
    half_width: Annotated[float, typer.Option(help="Wanted half-width of kappa's 95 % interval.")] = 0.08,
    precision: Annotated[float, typer.Option(help="Wanted half-width of the prevalence, as a share of it.")] = 0.2,
    seconds_per_vote: Annotated[float, typer.Option(help="Reading and answering one item.")] = 30.0,
    price_per_hour: Annotated[float, typer.Option(help="Of an expert, in any currency.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Say what further labels would cost and bring, before they are asked for."""
    from al_assets.agreement.planning.plan import PlanSettings
    from al_assets.agreement.planning.plan import plan as plan_of
    from al_assets.agreement.planning.plan_text import plan_lines
    from al_assets.storage.root import RunRoot

    settings = load_policy(policy)
    root, selection = RunRoot(settings.root), settings.selection
    reports = {key: root.read_table("kappa_report", key) for key in root.table_keys("kappa_report")}
    wanted = PlanSettings(
        half_width=half_width,
        prevalence_precision=precision,
        pool_prevalence=settings.policy.expected_prevalence,
        votes_per_item=settings.review.votes_per_item,
        raters=len(settings.review.raters),
        budget=selection.budget,
        audit=selection.shares.audit,
        evaluation_share=1.0 if settings.evaluation == "crossfit" else settings.split.evaluation_share,
        check_items=settings.stopping.check_items,
        hidden_share=selection.gold_share + selection.repeat_share,
        parity_margin=settings.stopping.parity_margin,
        min_gain=settings.stopping.min_gain,
        window=settings.stopping.window,
        max_iterations=settings.stopping.max_iterations,
        seconds_per_vote=seconds_per_vote,
        price_per_hour=price_per_hour,
    )
    costs = plan_of(wanted, reports)
    if as_json:
        print_json(asdict(costs))
        return
    for line in plan_lines(costs):
        say(line)


def raters(policy: PolicyOption, as_json: JsonOption = False) -> None:
    """Show where raters agree: by reason, iteration and version, with the others, hidden gold and themselves."""
    import polars as pl

    from al_assets.agreement.raters.rated_items import rater_confusion
    from al_assets.agreement.raters.slices import agreement_figures
    from al_assets.review.hidden_items import rater_quality
    from al_assets.storage.ledger import Ledger

    settings = load_policy(policy)
    with Ledger.of(settings) as ledger:
        votes = ledger.expert_labels(ledger.iterations(), ledger.watermark())
        quality = rater_quality(ledger, settings)
    gold, again, confusion = quality.gold, quality.retest, rater_confusion(votes)
    stopping = settings.stopping
    figures = agreement_figures(votes, resamples=stopping.resamples, seed=stopping.seed)
    if as_json:
        tables = {"figures": figures, "majority": confusion, "gold": gold, "retest": again}
        print_json({name: frame.to_dicts() for name, frame in tables.items()})
        return
    parts = figures.filter((pl.col("figure") == "expert_expert_kappa") & (pl.col("scope") != "rater"))
    columns: tuple[str, ...] = ("scope", "slice", "estimate", "low", "high", "items", "detail")
    console.print(frame_table(parts.select(columns), "Mean kappa between raters, 95 % interval"))
    shares = ("rater", "answers", "undecided", "positive", "sensitivity", "specificity")
    console.print(frame_table(confusion.select(shares), "Against the majority of the others"))
    for title, frame, columns in (
        ("On hidden gold", gold, ("iteration", "rater", "items", "accuracy", "low", "high", "reason")),
        ("Asked again", again, ("slice", "figure", "estimate", "low", "high", "items", "detail")),
    ):
        shown = frame.select(columns)
        shown = shown.drop(name for name in ("reason", "detail") if name in columns and not frame[name].count())
        if shown.height:
            console.print(frame_table(shown, title))
        else:
            say(f"{title}: nothing asked; see selection.gold_share in the policy file")


def why(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    policy: PolicyOption,
    iteration: Annotated[str | None, typer.Option(help="Such as 0002; all that queued the item if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why an item was queued, as recorded then; or what is known of it, if it was not. Not for raters' eyes."""
    from al_assets.commands.item_story import item_story

    story = item_story(load_policy(policy), item, iteration)
    if as_json:
        print_json(asdict(story))
        return
    for line in story_lines(story):
        say(line)


def story_lines(story: "ItemStory") -> list[str]:
    """Return a story as lines for the terminal: the text first, then why; nothing in them steers the terminal."""
    lines = [] if story.text is None else [story.text]
    for chapter in story.chapters:
        lines.append(f"\n{story.item_id}, iteration {chapter.iteration}, {chapter.reason or 'not queued'}:")
        lines += [f"  {sentence}" for sentence in chapter.why]
    return [steady(line) for line in lines]
