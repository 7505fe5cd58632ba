"""docker-compose.yml: accepted by compose itself where it is, closed to other machines, without secrets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.live.settings import LiveSettings
from serving.settings import ServingSettings

SECRETS = ("POSTGRES_PASSWORD", "GRAFANA_PASSWORD")


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docker-compose.yml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


def compose() -> list[str]:
    """The command, as a plugin of Docker or on its own."""
    plugin = ["docker", "compose"]
    if (
        shutil.which("docker")
        and not subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode
    ):
        return plugin
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither docker compose nor docker-compose is installed")


def config(root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | variables
    command = [*compose(), "--env-file", ".env.example", "-f", "docker-compose.yml", "config"]
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_compose_accepts_it(root: Path) -> None:
    done = config(root, POSTGRES_PASSWORD="aaaa", GRAFANA_PASSWORD="bbbb")
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load(done.stdout)
    assert set(merged["services"]) == {"bearmode", "postgres", "mlflow", "prometheus", "grafana"}
    address = merged["services"]["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert address == "postgresql://mlflow:aaaa@postgres:5432/mlflow"


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_refuses_without_a_password(root: Path, missing: str) -> None:
    done = config(root, **{name: "aaaa" for name in SECRETS if name != missing})
    assert done.returncode != 0
    assert "copy .env.example to .env" in done.stderr


def test_there_is_no_password_in_any_file(root: Path, text: str) -> None:
    example = dict(
        line.split("=", 1)
        for line in (root / ".env.example").read_text().splitlines()
        if re.match(r"\w+=", line)
    )
    assert [example[name] for name in SECRETS] == ["", ""]
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert used == set(example), "the example names other variables than the file uses"
    for name in SECRETS:
        assert not re.findall(rf"\$\{{{name}(?!:\?)", text), f"{name} could be left out"
    assert not re.search(r"password\S*:\s*[\"']?(?!\$\{)\w", text, re.IGNORECASE)
    assert "/.env" in (root / ".gitignore").read_text().splitlines()


def test_every_port_is_on_loopback_and_the_database_on_none(services: dict[str, Any]) -> None:
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published.pop("postgres") == []
    assert all(len(ports) == 1 and ports[0].startswith("127.0.0.1:") for ports in published.values())
    assert services["postgres"]["networks"] == ["database"]
    assert [name for name, service in services.items() if "database" in service["networks"]] == [
        "postgres",
        "mlflow",
    ]


def test_every_service_is_pinned_watched_and_confined(root: Path, services: dict[str, Any]) -> None:
    for name, service in services.items():
        own = service["image"].startswith(("bearmode-mlflow:", "${BEARMODE_IMAGE"))
        assert own or re.search(r":v?\d+[\d.]*(-\w+)?$", service["image"]), name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "postgres" or service["cap_drop"] == ["ALL"], name
        assert service.get("privileged") is None, name
        for needed in service.get("depends_on", {}):
            assert needed in services, name


def test_what_is_mounted_is_there(root: Path, text: str, services: dict[str, Any]) -> None:
    declared = set(yaml.safe_load(text)["volumes"])
    written_by_use = {"./bundles", "./data", "./keys"}
    for name, service in services.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert mount.endswith((":ro", ":${BEARMODE_DATA_MODE:-ro}")), f"{name} may write to {source}"
                assert source in written_by_use or (root / source).exists(), f"{name}: {source}"
            else:
                assert source in declared, f"{name}: {source}"


def test_the_settings_that_it_hands_over_exist(services: dict[str, Any]) -> None:
    given = services["bearmode"]["environment"]
    known = {f"BEARMODE_{name.upper()}" for name in ServingSettings.model_fields}
    known |= {f"BEARMODE_LIVE_{name.upper()}" for name in LiveSettings.model_fields}
    assert set(given) <= known


def test_prometheus_asks_the_service_by_its_name(root: Path, services: dict[str, Any]) -> None:
    config = yaml.safe_load((root / "deploy/compose/prometheus.yml").read_text())
    targets = [
        target
        for job in config["scrape_configs"]
        for one in job["static_configs"]
        for target in one["targets"]
    ]
    assert targets == ["bearmode:3000"]
    mounted = [mount.split(":")[1] for mount in services["prometheus"]["volumes"]]
    assert set(config["rule_files"]) <= set(mounted)


def test_grafana_finds_prometheus_and_its_dashboards(root: Path, services: dict[str, Any]) -> None:
    (source,) = yaml.safe_load((root / "deploy/compose/grafana-datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((root / "deploy/compose/grafana-dashboards.yml").read_text())["providers"]
    mounted = {mount.split(":")[1]: mount.split(":")[0] for mount in services["grafana"]["volumes"]}
    folder = root / mounted[provider["options"]["path"]]
    assert list(folder.glob("*.json"))


def test_mlflow_knows_every_option_that_it_is_started_with(root: Path) -> None:
    from mlflow.cli import cli

    recipe = (root / "deploy/mlflow/Dockerfile").read_text()
    command = re.findall(r'"([^"]*)"', recipe[recipe.rindex("CMD [") :])
    assert command[:2] == ["mlflow", "server"]
    context = cli.commands["server"].make_context("server", command[2:])
    assert context.params["artifacts_destination"] == "/srv/mlflow/artifacts"
    assert context.params["host"] == "0.0.0.0"
    variables = {param.envvar for param in cli.commands["server"].params}
    assert "MLFLOW_BACKEND_STORE_URI" in variables
