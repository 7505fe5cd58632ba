"""The error tree, and how a command ends: one line on stderr and the documented exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import typer

import features.errors as tree
from features.command_line import run
from features.errors import BearmodeError, DataError, LockedError

EXITS = {
    "BearmodeError": (1, 500),
    "UsageError": (2, 422),
    "DataError": (1, 422),
    "HistoryError": (1, 422),
    "WindowError": (1, 422),
    "NothingUsableError": (3, 422),
    "TrainingError": (1, 500),
    "BundleError": (1, 503),
    "GateRefusedError": (4, 500),
    "LockedError": (5, 503),
}


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_the_tree_is_complete() -> None:
    assert sorted(EXITS) == tree.__all__
    codes = [getattr(tree, name).default_code for name in EXITS]
    assert len(set(codes)) == len(codes)
    assert all(code == code.lower() and " " not in code for code in codes)


@pytest.mark.parametrize("name", EXITS)
def test_exit_status_and_http_status(name: str) -> None:
    kind = getattr(tree, name)
    error = kind("what was wrong")
    assert isinstance(error, BearmodeError)
    assert (error.exit_code, error.status) == EXITS[name]
    assert (error.code, error.message, error.field, error.hint) == (
        kind.default_code,
        "what was wrong",
        None,
        None,
    )


@pytest.mark.parametrize("name", EXITS)
def test_the_drawing_at_the_top_of_the_module_is_true(name: str) -> None:
    line = next(line for line in str(tree.__doc__).splitlines() if f" {name} " in line)
    exit_code, status = EXITS[name]
    drawn = line.split(name)[1]
    if "exit" in drawn:
        assert f"exit {exit_code}" in drawn
    if "HTTP" in drawn:
        assert f"HTTP {status}" in drawn
    assert ("exit" in drawn) == (name not in {"HistoryError", "WindowError"})


def test_one_line_joins_message_and_hint_and_has_no_line_breaks() -> None:
    error = DataError("close[3]\n  is -1", code="bad_price", field="close[3]", hint="mend\tit")
    assert error.one_line() == "close[3] is -1 (mend it)"
    assert (error.code, error.field) == ("bad_price", "close[3]")


@pytest.mark.parametrize("name", EXITS)
def test_a_command_ends_with_one_line_and_its_exit_status(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(raising(getattr(tree, name)("no\nluck", hint="try again")), debug=False)
    assert ended.value.code == EXITS[name][0]
    assert capsys.readouterr() == ("", "bearmode: no luck (try again)\n")


def test_an_unexpected_error_is_one_line_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(raising(ZeroDivisionError("by zero")), debug=False)
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "ZeroDivisionError: by zero" in err
    assert "--debug" in err


def test_an_interrupt_is_one_line_and_exit_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bearmode"])
    for app in (raising(KeyboardInterrupt()), lambda: typer.run(raising(KeyboardInterrupt()))):
        with pytest.raises(SystemExit) as ended:
            run(app, debug=False)
        assert ended.value.code == 130
        out, err = capsys.readouterr()
        assert (out.strip(), err.count("bearmode: interrupted")) == ("", 1)


@pytest.mark.parametrize("error", [LockedError("held"), ZeroDivisionError("by zero")])
def test_debug_anywhere_on_the_line_shows_the_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bearmode", "fetch", "--debug", "--symbols", "A"])
    with pytest.raises(type(error)):
        run(raising(error))
    assert sys.argv == ["bearmode", "fetch", "--symbols", "A"]
