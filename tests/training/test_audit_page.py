"""The page of an audit: one file, safe whatever the data says, usable with hundreds of symbols."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from audit_stores import HOSTILE, NOW, START, market, spoilt
from rich.console import Console

from features.audit import CHECKS, LEDGER_KINDS, Audit, Coverage, Finding, audit_market
from training.data.audit_lanes import axis_of, lanes_of, overview_lane, shade
from training.data.audit_page import AuditedStore, by_kind, render_page, span_in_words
from training.data.audit_tables import print_audits

VOID = {"meta", "rect", "br", "link", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def held(*audits: Audit, **options: object) -> AuditedStore:
    values: dict[str, object] = {
        "where": "data",
        "interval": "1h",
        "now": NOW,
        "against": None,
        "audits": audits,
        "files": {},
        "failed": {},
        **options,
    }
    return AuditedStore(**values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bad() -> Audit:
    return audit_market(spoilt("BADUSDT"), now=NOW)


def test_the_page_needs_nothing_from_anywhere(bad: Audit) -> None:
    page = Page(render_page(held(bad)))
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "object"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "src"
            assert name != "href" or (value or "").startswith("#"), value
    text = render_page(held(bad))
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_texts_of_the_data_stay_texts(bad: Audit) -> None:
    text = render_page(held(bad, where=HOSTILE, against=HOSTILE, failed={"XUSDT": HOSTILE}))
    assert "<script>" not in text
    page = Page(text)
    assert page.words.count(re.sub(r"\s+", " ", HOSTILE).strip()) >= 4


def test_the_terminal_takes_texts_for_no_markup(bad: Audit) -> None:
    out = io.StringIO()
    print_audits(held(bad, where=HOSTILE, against=HOSTILE), Console(file=out, width=900))
    assert out.getvalue().count(HOSTILE) == 6


def test_every_finding_and_every_meaning_is_on_the_page(bad: Audit) -> None:
    words = Page(render_page(held(bad, files={"BADUSDT": {"read": 1234, "refused": 1}}))).words
    for finding in bad.findings:
        assert finding.kind in words
        assert span_in_words(finding) in words
        assert re.sub(r"\s+", " ", finding.detail).strip() in words
    for check in CHECKS.values():
        assert check.rule in words
    for kind in LEDGER_KINDS.values():
        assert kind.meaning in words
    assert "1,234 read, 1 refused" in words
    assert "A gap is never filled" in words
    assert "99.30 %" in words


def test_a_market_with_nothing_wrong() -> None:
    words = Page(render_page(held(audit_market(market("AAAUSDT"), now=NOW)))).words
    assert "Nothing was found" in words
    assert "100 %" in words


def test_the_same_audit_gives_the_same_page(bad: Audit) -> None:
    assert render_page(held(bad)) == render_page(held(bad))


def test_hundreds_of_symbols_fold_and_stay_small(bad: Audit) -> None:
    audits = [replace(bad, symbol=f"S{number:03}USDT") for number in range(200)]
    text = render_page(held(*audits))
    assert len(text) < 4_000_000
    page = Page(text)
    folds = [attributes for tag, attributes in page.tags if tag == "details"]
    assert len(folds) == 201
    assert not any("open" in attributes for attributes in folds)
    names = {attributes.get("id") for _, attributes in page.tags}
    links = {(attributes.get("href") or "")[1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= names
    assert len(links) == 201


def test_a_crowd_of_findings_is_cut_with_words(bad: Audit) -> None:
    many = tuple(
        Finding(
            "zero_volume",
            "bars",
            START + pd.Timedelta(k, unit="h"),
            START + pd.Timedelta(k, unit="h"),
            1,
            "warning",
            "no volume",
        )
        for k in range(2_500)
    )
    words = Page(render_page(held(replace(bad, findings=many)))).words
    assert "... and 500 more" in words


def test_nothing_to_show() -> None:
    words = Page(render_page(held(failed={"XUSDT": "gone"}))).words
    assert "0 symbols" in words
    assert "XUSDT could not be read: gone" in words


def test_blocks_tell_the_weekly_shares() -> None:
    week = pd.Timestamp("2024-01-01", tz="UTC")
    covered = Coverage("bars", 60.0, week, week, 10, 9, 0.0, 0.0, week, (1.0, 1.0, 0.95, math.nan, 0.0, 1.0))
    audit = Audit("XUSDT", "1h", "files", NOW, (covered,), ())
    axis = axis_of([audit])
    assert (axis.start, axis.weeks) == (week, 6)
    (lane,) = lanes_of(audit, axis)
    assert [(block.first, block.weeks, block.shade) for block in lane.blocks] == [
        (0, 2, "full"),
        (2, 1, "most"),
        (4, 1, "none"),
        (5, 1, "full"),
    ]
    assert "95.0 %" in lane.blocks[1].title
    assert overview_lane(audit, axis).blocks[0].shade == "full pale"


@pytest.mark.parametrize("share", [1.0, 0.999999, 0.9, 0.5, 1e-6, 0.0])
def test_full_means_that_nothing_is_missing(share: float) -> None:
    assert (shade(share) == "full") == (share == 1.0)
    assert (shade(share) == "none") == (share == 0.0)


def test_marks_stay_within_the_picture(bad: Audit) -> None:
    axis = axis_of([bad])
    end = axis.start + axis.weeks * pd.Timedelta("7D")
    for moment in (axis.start, end, end + pd.Timedelta("30D")):
        one = replace(bad, findings=(Finding("stale_table", "bars", moment, moment, 0, "note"),))
        (mark,) = lanes_of(one, axis)[0].marks
        assert mark.place >= 0
        assert mark.width > 0
        assert mark.place + mark.width <= axis.weeks + 1e-6


def test_marks_stand_where_the_findings_are(bad: Audit) -> None:
    axis = axis_of([bad])
    bars, *_, ledger = lanes_of(bad, axis)
    for mark in (*bars.marks, *ledger.marks):
        assert mark.place >= 0
        assert mark.place + mark.width <= axis.weeks + 1e-6
    severe = [mark for mark in bars.marks if mark.severity == "error"]
    (outlier,) = [one for one in bad.findings if one.kind == "outlier_bar"]
    assert outlier.start is not None
    assert [mark.place for mark in severe] == [pytest.approx(axis.place(outlier.start), abs=0.01)]
    assert "outlier_bar" in severe[0].title
    assert ledger.label == "source's ledger"


def test_kinds_come_with_the_gravest_first(bad: Audit) -> None:
    groups = by_kind([bad])
    assert [group.kind for group in groups] == ["outlier_bar", "refused_file", "missing_bars"]
    assert [(group.symbols, group.rows) for group in groups] == [(1, 1), (1, 24), (1, 10)]
