from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.errors import UsageError
from serving.live.options import live_options
from serving.live.settings import LiveSettings, Webhook, secret_of
from serving.server import serve
from training.settings import Places


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BEARMODE_")]:
        monkeypatch.delenv(name)


def test_live_mode_is_off_unless_symbols_are_named() -> None:
    assert not LiveSettings.load().is_on
    assert LiveSettings.load(symbols="BTCUSDT").is_on


def test_file_then_environment_then_options(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bearmode.toml").write_text(
        'store = "x"\n[live]\nsymbols = ["AAUSDT"]\nsource = "archive"\ndelay_seconds = 1\n'
        '[[live.webhooks]]\nname = "desk"\nurl = "https://desk.example/a?token=b"\nsymbols = ["AAUSDT"]\n'
    )
    monkeypatch.setenv("BEARMODE_LIVE_DELAY_SECONDS", "2")
    found = LiveSettings.load(symbols="BBUSDT,CCUSDT", source=None)
    assert (found.symbols, found.source, found.delay_seconds) == (("BBUSDT", "CCUSDT"), "archive", 2.0)
    assert found.webhooks[0].host == "desk.example"
    assert "token" not in repr(found)
    assert Places.load().store == Path("x").absolute()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": "btc"}, "is no symbol"),
        ({"symbols": "AA,AA"}, "named twice"),
        ({"symbols": "AA", "source": "files"}, "needs a path"),
        ({"symbols": "BTCUSDT", "source": "simulated"}, "begin it with SIM"),
        ({"symbols": "AA", "source": "nowhere"}, "source"),
        ({"symbols": "AA", "simulated_speed": 2.0}, "belong to source simulated"),
        ({"webhooks": [{"name": "a", "url": "http://desk.example/"}]}, "expected https"),
        ({"webhooks": [{"name": "a", "url": "ftp://desk.example/"}]}, "expected an address"),
        ({"webhooks": [{"name": "a b", "url": "https://desk.example/"}]}, "small letters"),
        ({"webhooks": [{"name": "a", "url": "https://x.example", "events": ["lunch"]}]}, "events"),
        ({"webhooks": [{"name": "a", "url": "https://x.example", "secret": "s"}]}, "secret"),
        ({"webhooks": [{"name": "a", "url": "https://x"}, {"name": "a", "url": "https://y"}]}, "same name"),
        ({"keep_events": 1}, "keep_events"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveSettings.load(**options)


def test_secrets_come_from_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Webhook(name="desk", url="https://desk.example/")
    with pytest.raises(UsageError, match="BEARMODE_WEBHOOK_SECRET_DESK holds 0 characters"):
        secret_of(hook)
    monkeypatch.setenv("BEARMODE_WEBHOOK_SECRET", "g" * 20)
    assert secret_of(hook) == b"g" * 20
    monkeypatch.setenv("BEARMODE_WEBHOOK_SECRET_DESK", "short")
    with pytest.raises(UsageError, match="holds 5 characters") as refused:
        secret_of(hook)
    assert "short" not in refused.value.one_line()
    monkeypatch.setenv("BEARMODE_WEBHOOK_SECRET_DESK", "d" * 20)
    assert secret_of(hook) == b"d" * 20


def test_serve_refuses_before_anything_is_started(capfd: pytest.CaptureFixture[str]) -> None:
    hook = {"webhooks": [{"name": "desk", "url": "https://desk.example/x"}]}
    assert serve(port=0, live={"symbols": "BTCUSDT", **hook}) == 2
    assert serve(port=0, live={"symbols": "btc"}) == 2
    err = capfd.readouterr().err
    assert err.count("\n") == 2
    assert "BEARMODE_WEBHOOK_SECRET_DESK" in err


def test_options_of_the_command_line() -> None:
    found = live_options("AA", "files", None, Path("x"), ["a=https://x.example/?k=v"])
    assert found == {
        "symbols": "AA",
        "source": "files",
        "path": Path("x"),
        "webhooks": [{"name": "a", "url": "https://x.example/?k=v"}],
    }
    with pytest.raises(UsageError, match="NAME=URL"):
        live_options("AA", webhooks=["https//x"])


def test_every_field_is_described() -> None:
    for model in (LiveSettings, Webhook):
        assert [name for name, field in model.model_fields.items() if not field.description] == []
