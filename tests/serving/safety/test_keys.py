"""The file of keys, the ring that follows it, and the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import UsageError
from serving.safety import Keyring, add_key, read_keys, revoke_key
from serving.safety.key_file import KEY_PREFIX


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_is_found_and_stands_nowhere_in_the_file(file: Path) -> None:
    key = add_key(file, "desk")
    assert key.startswith(KEY_PREFIX)
    assert len(key) >= 40
    text = file.read_text()
    assert key not in text
    assert key.removeprefix(KEY_PREFIX) not in text
    assert file.stat().st_mode & 0o077 == 0
    found = Keyring(file).find(key)
    assert found is not None
    assert found.name == "desk"


@pytest.mark.parametrize("wrong", ["", "x", KEY_PREFIX, "\udc80", "é" * 50, "k" * 100_000])
def test_other_keys_are_not(file: Path, wrong: str) -> None:
    key = add_key(file, "desk")
    ring = Keyring(file)
    assert ring.find(wrong) is None
    assert ring.find(key[:-1]) is None
    assert ring.find(key + "x") is None


def test_a_revoked_key_ends_and_its_name_may_come_again(file: Path) -> None:
    old = add_key(file, "desk")
    ring = Keyring(file, clock=Clock())
    assert ring.find(old) is not None
    revoke_key(file, "desk")
    assert ring.find(old) is None
    with pytest.raises(UsageError, match="no key 'desk' to revoke"):
        revoke_key(file, "desk")
    new = add_key(file, "desk")
    assert new != old
    assert ring.find(new) is not None
    assert ring.find(old) is None
    assert [key.name for key in read_keys(file)] == ["desk"]


def test_a_key_expires(file: Path) -> None:
    key = add_key(file, "guest", expires_days=1e-9)
    (kept,) = read_keys(file)
    assert kept.expires is not None
    assert Keyring(file).find(key) is None


def test_a_name_is_given_once(file: Path) -> None:
    add_key(file, "desk")
    with pytest.raises(UsageError, match="already") as caught:
        add_key(file, "desk")
    assert caught.value.code == "key_exists"


@pytest.mark.parametrize("name", ["", "Desk", "a b", "../x", "-a", "a" * 41, "ä", "a\n"])
def test_names_that_are_none(file: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a key"):
        add_key(file, name)
    assert not file.exists()


@pytest.mark.parametrize("bad", [{"per_minute": 0}, {"per_minute": -1}, {"expires_days": 0}])
def test_rates_and_lives_that_make_no_sense(file: Path, bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        add_key(file, "desk", **bad)


def test_additions_at_once_lose_none(file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda i: add_key(file, f"bot{i}"), range(16)))
    ring = Keyring(file)
    assert {found.name for key in keys if (found := ring.find(key))} == {f"bot{i}" for i in range(16)}


def test_without_a_file_no_key_is_needed_until_there_is_one(file: Path) -> None:
    ring = Keyring(file, clock=Clock())
    assert not ring.required
    key = add_key(file, "desk")
    assert ring.find(key) is not None
    assert ring.required


def test_a_file_that_vanishes_or_breaks_opens_nothing(file: Path) -> None:
    key = add_key(file, "desk")
    ring = Keyring(file, clock=Clock())
    text = file.read_text()
    for content in ("", "{", "[]", '{"keys": [{"name": "x"}]}', text.replace('"desk"', '"../x"')):
        file.write_text(content)
        assert ring.find(key) is not None
        assert ring.required
    file.unlink()
    assert ring.find(key) is not None
    assert ring.find("other") is None
    assert ring.required


def test_a_broken_file_that_appears_refuses_everybody(file: Path) -> None:
    ring = Keyring(file, clock=Clock())
    file.write_text("{")
    assert ring.find("x") is None
    assert ring.required


def test_an_expected_file_must_be_there_and_be_right(file: Path) -> None:
    with pytest.raises(UsageError) as missing:
        Keyring(file, expected=True)
    assert missing.value.code == "no_keys_file"
    file.write_text('{"keys": [{"name": "desk", "sha256": "bearmode_secret"}]}')
    with pytest.raises(UsageError) as broken:
        Keyring(file)
    assert broken.value.code == "bad_keys_file"
    assert "bearmode_secret" not in broken.value.one_line()


def test_a_name_twice_is_refused(file: Path) -> None:
    add_key(file, "desk")
    content = json.loads(file.read_text())
    content["keys"] *= 2
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="twice"):
        read_keys(file)


def bearmode(folder: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "bearmode.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_add_list_and_revoke(tmp_path: Path, root: Path) -> None:
    added = bearmode(tmp_path, root, "keys", "add", "desk", "--per-minute", "30", "--expires-days", "90")
    assert added.returncode == 0, added.stderr
    key = added.stdout.strip()
    assert key.startswith(KEY_PREFIX)
    assert key not in added.stderr
    assert Keyring(tmp_path / "keys.json").find(key) is not None
    assert bearmode(tmp_path, root, "keys", "revoke", "desk").returncode == 0
    listed = bearmode(tmp_path, root, "keys", "list", "--json", "out.json")
    assert "desk" in listed.stdout
    assert "revoked" in listed.stdout
    (entry,) = json.loads((tmp_path / "out.json").read_text())["keys"]
    assert (entry["name"], entry["state"], entry["per_minute"]) == ("desk", "revoked", 30.0)
    assert "sha256" not in entry
    again = bearmode(tmp_path, root, "keys", "revoke", "nobody")
    assert again.returncode == 2
    assert "nobody" in again.stderr
