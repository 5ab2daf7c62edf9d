"""A table for a paper as LaTeX, Markdown or csv: accuracies with intervals, in bold only what the paired test over classes bears out."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, get_args

from s2m2.arguments import choice, described, path_argument, switch, whole_number
from s2m2.errors import InputError
from s2m2.escaping import latex, literally, sentence
from s2m2.evaluation.ranking import LEVEL, Ranking
from s2m2.evaluation.results import TaskResults
from s2m2.recipe.command_settings import TABLE_LABEL, BoldRule, TableFormat, TableInterval
from s2m2.recipe.ranges import MAX_DIGITS
from s2m2.reports.paper_rows import PaperTable, Row, Source, paper_table, read_sources
from s2m2.reports.published import SOURCE
from s2m2.reports.scores import AGAIN, OVER_CLASSES, few_classes, tasks_caption
from s2m2.reports.tables import csv_text, markdown_table


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a table looks."""

    interval: TableInterval = "classes"
    bold: BoldRule = "winner"
    digits: int = 2
    """After the decimal point of percentages."""
    caption: str | None = None
    """None: what the numbers are means of."""
    label: str | None = None
    """For references in LaTeX; None: none."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The parts of a cell as text, in percent."""

    mean: str
    half_width: str = ""
    """Of the interval behind ±; empty for none."""
    again: str = ""
    """Half-width of the interval for these classes again, where it stands in brackets."""
    bold: bool = False

    def text(self, bold: str, plus_minus: str) -> str:
        """The cell, given how a format writes bold, `**{}**`, and ±."""
        parts = [bold.format(self.mean) if self.bold else self.mean]
        parts += [f"{plus_minus} {self.half_width}"] if self.half_width else []
        parts += [f"({self.again})"] if self.again else []
        return " ".join(parts)


def table(
    sources: Any,
    *,
    format: str = "markdown",
    interval: str = "classes",
    bold: str = "winner",
    digits: int = 2,
    caption: str | None = None,
    label: str | None = None,
    published: bool = False,
) -> str:
    """A table for a paper, as text: rows are sources, features, classifiers and transforms; columns are kinds of tasks.

    Args:
        sources: results of `evaluate`, of `run` and its like, paths of run directories and of files of results; one, a list, or a mapping
            from the names of rows to them.
        format: latex (for the package booktabs), markdown or csv, which has all numbers as fractions in full precision.
        interval: behind ±: that over classes, for other classes of the kind (classes), or that for these classes again (tasks); both; none.
        bold: winner: the best of a column where the paired test over classes, adjusted by Holm, shows it to be better than every other
            entry; level: the best with all that the test does not tell from it; none. A note says so, and where there was no test.
        digits: after the decimal point of percentages, 0 to 4.
        caption: words over the table; None: what the numbers are means of.
        label: of the table in LaTeX.
        published: add the published row of S2M2_R (WRN-28-10) for the datasets whose names have one.

    Raises:
        InputError: an argument is wrong, there are no results, or two are for one cell.
    """
    look = Look(
        interval=choice("interval", interval, get_args(TableInterval)),  # type: ignore[arg-type]
        bold=choice("bold", bold, get_args(BoldRule)),  # type: ignore[arg-type]
        digits=whole_number("digits", digits, 0, MAX_DIGITS),
        caption=_text("caption", caption),
        label=_text("label", label),
    )
    if look.label is not None and not TABLE_LABEL.fullmatch(look.label):
        raise InputError(f"label is {described(label)}, but must be letters, digits and : . _ / -")
    kind = choice("format", format, get_args(TableFormat))
    return table_text(paper_table(_sources(sources), {}, published=switch("published", published)), look, kind)


def table_text(made: PaperTable, look: Look, kind: str) -> str:
    """The table in one of the formats, with a line break at the end."""
    return {"latex": _latex, "markdown": _markdown, "csv": _csv}[kind](made, look)


def _text(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} is {described(value)}, but must be text, or None")
    return value


def _sources(given: Any) -> list[Source]:
    """Sources from what a Python caller gives. In a list, paths come first, and results without a name are one source."""
    if isinstance(given, Mapping):
        return [_named_source(str(name), one) for name, one in given.items()]
    every = list(given) if isinstance(given, list | tuple) else [given]
    sources = read_sources([str(path_argument("sources", one)) for one in every if isinstance(one, str | PathLike)])
    unnamed: list[TaskResults] = []
    for one in every:
        if isinstance(one, str | PathLike):
            continue
        results, path = _results(one, "sources"), getattr(one, "path", None)
        if path is None:
            unnamed += results
        else:
            name = path.name if path.name not in {source.name for source in sources} else str(path)
            sources.append(Source(name=name, results=results, is_folder=True))
    return [*sources, *([Source(name="", results=tuple(unnamed), is_folder=False)] if unnamed else [])]


def _named_source(name: str, given: Any) -> Source:
    """All that a caller has given one name to; in a single folder the newest result for a cell counts, elsewhere there must be one."""
    parts = given if isinstance(given, list | tuple) else [given]
    results: list[TaskResults] = []
    for one in parts:
        if isinstance(one, str | PathLike):
            results += read_sources([str(path_argument(f"sources[{name!r}]", one))])[0].results
        else:
            results += _results(one, f"sources[{name!r}]")
    of_folder = isinstance(parts[0], str | PathLike) and Path(parts[0]).is_dir() if parts else False
    return Source(name=name, results=tuple(results), is_folder=len(parts) == 1 and (of_folder or hasattr(parts[0], "path")))


def _results(one: Any, name: str) -> tuple[TaskResults, ...]:
    held = getattr(one, "results", one)  # of an EvaluationResult one, of a Run several
    results = (held,) if isinstance(held, TaskResults) else tuple(held) if isinstance(held, list | tuple) else ()
    if not results or not all(isinstance(result, TaskResults) for result in results):
        raise InputError(f"{name} has {described(one)}, but must have results of s2m2.evaluate or s2m2.run, or paths of such")
    return results


# Parts that formats share


def _scores(made: PaperTable, look: Look, number: int) -> list[Score | None]:
    """The cells of a row."""
    scores: list[Score | None] = []
    for result, ranking in zip(made.rows[number].results, made.rankings, strict=True):
        if result is None:
            scores.append(None)
        else:
            over_classes = None if result.class_interval is None else 100 * result.class_interval
            scores.append(_score(100 * result.mean, over_classes, 100 * result.interval, look, bold=number in _bold(ranking, look)))
    return scores


def _bold(ranking: Ranking, look: Look) -> set[int]:
    """Positions of the rows that are bold in a column."""
    if look.bold == "level":
        return ranking.level
    return {ranking.winner} if look.bold == "winner" and ranking.winner is not None else set()


def _score(mean: float, over_classes: float | None, again: float | None, look: Look, *, bold: bool = False) -> Score:
    """A cell of numbers in percent. In brackets stands the interval for these classes again, unless it is the one that was asked for."""

    def words(value: float | None) -> str:
        return f"{value:.{look.digits}f}" if value is not None and math.isfinite(value) else ""

    if look.interval in ("tasks", "none"):
        return Score(mean=words(mean), half_width=words(again) if look.interval == "tasks" else "", bold=bold)
    bracket = words(again) if look.interval == "both" or over_classes is None else ""
    return Score(mean=words(mean), half_width=words(over_classes), again=bracket, bold=bold)


def _body(made: PaperTable, look: Look) -> list[tuple[list[str], list[Score | None]]]:
    """Labels and cells of each row. The first label stands where it changes; the published row comes last."""
    body, before = [], None
    for number, row in enumerate(made.rows):
        labels = [row.labels[name] for name in made.label_names]
        first, before = labels[0], before if len(labels) > 1 else None
        body.append(([("" if first == before else first), *labels[1:]], _scores(made, look, number)))
        before = first
    if made.published:
        stated = [column.published for column in made.columns]
        cells = [_score(one[0], None, one[1], look) if one is not None else None for one in stated]
        body.append(([SOURCE, *[""] * (len(made.label_names) - 1)], cells))
    return body


def _caption(made: PaperTable) -> str:
    """What the numbers are means of."""
    results = [result for row in made.rows for result in row.results if result is not None]
    return " ".join(dict.fromkeys(map(tasks_caption, results)))


def _notes(made: PaperTable, look: Look) -> list[str]:
    """What a reader must know of the numbers, sentence by sentence."""
    notes = [_caption(made)] if look.caption is not None else []
    notes += [f"All rows: {', '.join(made.common)}."] if made.common else []
    notes += [_interval_note(made, look), *(_bold_notes(made, look) if look.bold != "none" else [])]
    if made.published:
        notes.append(
            "The row of the paper was scored by its authors on tasks of their own: it takes part in no test, and its interval is that for "
            "the same classes again."
        )
    return [note for note in notes if note]


def _interval_note(made: PaperTable, look: Look) -> str:
    if look.interval == "none":
        return ""
    if look.interval == "tasks":
        return f"±: half-width of the 95% interval {AGAIN}; it says nothing of new classes."
    results = [result for row in made.rows for result in row.results if result is not None]
    errors = [error for result in results if (error := result.class_error) is not None]
    bracketed = look.interval == "both" or len(errors) < len(results) or made.published
    if not errors:
        return f"In brackets: half-width of the 95% interval {AGAIN}."
    return f"±: {OVER_CLASSES}{few_classes(errors)}." + (f" In brackets: that {AGAIN}." if bracketed else "")


def _bold_notes(made: PaperTable, look: Look) -> list[str]:
    """The rule, and the columns in which nothing is bold, with the reason."""
    names = [made.column_name(column) for column in made.columns]
    tested = [ranking for ranking in made.rankings if not ranking.untested]
    errors = [one.over_classes for ranking in tested for one in ranking.comparisons.values() if one.over_classes is not None]
    test = f"paired test over classes, two-sided at {100 * LEVEL:g} %, adjusted by Holm for the entries of a column{few_classes(errors)}"
    rule = {
        "winner": "shown to be better than every other entry of its column",
        "level": "the best entry of its column, and all that are not shown to be worse",
    }[look.bold]
    notes = [f"Bold: {rule} ({test})."] if tested else []
    reasons: dict[str, list[str]] = {}
    for name, ranking in zip(names, made.rankings, strict=True):
        undecided = "the best entry is not shown to be better than all others" if not _bold(ranking, look) else ""
        reasons.setdefault(f"there is no test of {ranking.untested}" if ranking.untested else undecided, []).append(name)
    for reason, columns in reasons.items():
        where = "" if len(columns) == len(names) else f" in {'; '.join(columns)}"
        notes += [f"Nothing is bold{where}: {reason}."] if reason else []
    return notes


# Formats


def _markdown(made: PaperTable, look: Look) -> str:
    header = [*made.label_names, *(literally(made.column_name(column)) for column in made.columns)]
    rows = [
        [*map(literally, labels), *("" if score is None else score.text("**{}**", "±") for score in scores)]
        for labels, scores in _body(made, look)
    ]
    caption = sentence(" ".join((look.caption if look.caption is not None else _caption(made)).split()))
    notes = sentence(" ".join(_notes(made, look)))
    return f"{caption}\n\n{markdown_table(header, rows)}" + (f"\n{notes}\n" if notes else "")


def _latex(made: PaperTable, look: Look) -> str:
    caption = look.caption if look.caption is not None else _caption(made)
    notes = latex(" ".join(_notes(made, look)))
    labels = len(made.label_names)
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}[t]",
        r"  \centering",
        rf"  \caption{{{latex(caption)}}}",
        *([rf"  \label{{{look.label}}}"] if look.label is not None else []),
        rf"  \begin{{tabular}}{{{'l' * labels}{'c' * len(made.columns)}}}",
        r"    \toprule",
        *_latex_places(made),
        _latex_line([*(name.capitalize() for name in made.label_names), *(column.task for column in made.columns)]),
        r"    \midrule",
    ]
    body = _body(made, look)
    for number, (words, scores) in enumerate(body):
        if made.published and number == len(body) - 1:
            lines.append(r"    \midrule")
        elif number and labels > 1 and words[0]:
            lines.append(r"    \addlinespace")
        cells = [score.text(r"\textbf{{{}}}", r"$\pm$") if score is not None else "" for score in scores]
        if made.published and number == len(body) - 1:
            cells, words = [rf"\multicolumn{{{labels}}}{{l}}{{{latex(SOURCE)}}}", *cells], []
        lines.append(_latex_line(words, cells))
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += ["", r"  \smallskip", rf"  \parbox{{\linewidth}}{{\footnotesize {notes}}}"] if notes else []
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_line(words: Sequence[str], cells: Sequence[str] = ()) -> str:
    return "    " + " & ".join([*map(latex, words), *cells]) + r" \\"


def _latex_places(made: PaperTable) -> list[str]:
    """A line over the header that names dataset and split, where columns differ in these."""
    places = list(dict.fromkeys(column.place for column in made.columns))
    if len(places) < 2:
        return []
    start, heads, rules = len(made.label_names) + 1, [""] * len(made.label_names), []
    for place in places:
        width = sum(column.place == place for column in made.columns)
        heads.append(rf"\multicolumn{{{width}}}{{c}}{{{latex(place)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return ["    " + " & ".join(heads) + r" \\", "    " + " ".join(rules)]


def _csv(made: PaperTable, look: Look) -> str:
    lines = [
        _csv_line(made, look, number, row, place)
        for number, row in enumerate(made.rows)
        for place in range(len(made.columns))
        if row.results[place] is not None
    ]
    for column in made.columns if made.published else ():
        if column.published is not None:
            mean, half = column.published
            stated = {"source": SOURCE, **{name: getattr(column, name) for name in ("dataset", "split", "protocol", "ways", "shots")}}
            numbers = {"accuracy": mean / 100, "interval_these_classes_again": None if half is None else half / 100}
            lines.append(dict.fromkeys(lines[0]) | stated | {"classifier": "cosine"} | numbers)
    return csv_text(lines)


def _csv_line(made: PaperTable, look: Look, number: int, row: Row, place: int) -> dict[str, Any]:
    """A result, and its test against the best of its column; fractions in full precision, empty where nothing is known."""
    result, ranking = row.results[place], made.rankings[place]
    assert result is not None
    against, classes = ranking.comparisons.get(number), result.class_error
    fields = ("queries", "concentration", "tasks", "seed")
    return {
        "source": row.source,
        "features": row.features,
        "classifier": row.classifier,
        "transforms": " ".join(row.transforms),
        "settings": json.dumps(result.settings, sort_keys=True, default=str),
        **{name: getattr(made.columns[place], name) for name in ("dataset", "split", "protocol", "ways", "shots")},
        **{name: getattr(result, name) for name in fields},
        "accuracy": result.mean,
        "interval_over_classes": result.class_interval,
        "classes": classes.classes if classes is not None else None,
        "interval_these_classes_again": result.interval if math.isfinite(result.interval) else None,
        "is_best": number == ranking.best,
        "is_bold": number in _bold(ranking, look),
        "behind_best": -against.difference if against is not None else None,
        "behind_best_interval_over_classes": against.class_interval if against is not None else None,
        "p_over_classes": against.class_p_value if against is not None else None,
        "p_over_classes_holm": ranking.p_values.get(number),
        "behind_best_interval_these_classes_again": against.interval if against is not None else None,
        "p_these_classes_again": against.p_value if against is not None else None,
        "untested": ranking.untested,
        "fingerprint": result.fingerprint,
        "data_digest": result.data_digest,
        "created": result.created,
    }
