"""Tab completes commands and symbols, quickly, in each shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.completion import complete_symbol, complete_symbols

HEAVY = {
    "numpy",
    "pandas",
    "pyarrow",
    "sklearn",
    "lightgbm",
    "mlflow",
    "bentoml",
    "onnxruntime",
    "ccxt",
    "plotly",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BTCUSDT", "BNBUSDT", "ETHUSDT", ".lock", "lower"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "FILE").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def completed(shell: str, words: str, cwd: Path) -> list[str]:
    """What the console script tells a shell, in the shell's own protocol."""
    parts = words.split(" ")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "_BEARMODE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(parts) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": parts[-1],
    }
    program = Path(sys.executable).parent / "bearmode"
    done = subprocess.run(
        [str(program)], env=environment, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout.split("\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(folder: Path, shell: str) -> None:
    told = "\n".join(completed(shell, "bearmode re", folder))
    assert all(name in told for name in ("replay", "retrain", "regimes"))
    assert "serve" not in told


def test_symbols_are_completed(folder: Path) -> None:
    assert completed("bash", "bearmode history B", folder)[:2] == ["BNBUSDT", "BTCUSDT"]
    told = completed("bash", "bearmode train --symbols ETHUSDT,B", folder)
    assert told[:2] == ["ETHUSDT,BNBUSDT", "ETHUSDT,BTCUSDT"]


def test_symbols_come_from_the_store_that_the_commands_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete_symbol("") == ["BNBUSDT", "BTCUSDT", "ETHUSDT"]
    assert complete_symbols("ethusdt,b") == ["ethusdt,BNBUSDT", "ethusdt,BTCUSDT"]
    assert complete_symbols("BTCUSDT,BT") == []
    other = folder / "other"
    (other / "DOGEUSDT").mkdir(parents=True)
    (folder / "bearmode.toml").write_text('store = "other"\n')
    assert complete_symbol("d") == ["DOGEUSDT"]
    monkeypatch.setenv("BEARMODE_STORE", str(folder / "data"))
    assert complete_symbol("d") == []
    monkeypatch.setenv("BEARMODE_STORE", "s3://bucket/prefix")
    assert complete_symbol("") == []
    monkeypatch.setenv("BEARMODE_STORE", str(folder / "nowhere"))
    assert complete_symbol("") == []


def test_it_installs_itself_for_the_shell_that_asks(folder: Path) -> None:
    program = Path(sys.executable).parent / "bearmode"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SHELL": "/bin/bash"}
    # The second command keeps bash from putting the program in its own place: its name is what is looked for.
    done = subprocess.run(
        ["bash", "-c", f"{program} --install-completion; exit $?"],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bash" in done.stdout
    scripts = [path for path in folder.rglob("bearmode*") if path.is_file()]
    assert len(scripts) == 1
    assert str(scripts[0]) in (folder / ".bashrc").read_text()
    subprocess.run(["bash", "-n", str(scripts[0])], check=True)


def test_the_command_line_starts_without_what_its_commands_need(root: Path) -> None:
    code = "import bearmode, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
