"""The Kubernetes example: whole, and within the strictest of the built-in pod security policies."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.settings import ServingSettings

SERVED = {"/livez", "/readyz", "/metrics"}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def objects(folder: Path) -> dict[str, dict[str, Any]]:
    """Objects by kind; each file that is there is listed and each that is listed is there."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(
        path.name for path in folder.glob("*.yaml") if path.stem != "kustomization"
    )
    documents = [one for name in listed for one in yaml.safe_load_all((folder / name).read_text())]
    found = {one["kind"]: one for one in documents}
    assert len(found) == len(documents)
    return found


@pytest.fixture(scope="module")
def pod(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def test_it_runs_as_nobody_with_nothing_to_write_to(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]


def test_probes_and_limits(pod: dict[str, Any], container: dict[str, Any]) -> None:
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")
    }
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": ServingSettings.load().port}
    assert (
        set(container["resources"]["limits"]) == set(container["resources"]["requests"]) == {"cpu", "memory"}
    )
    assert pod["terminationGracePeriodSeconds"] >= 15 + 5


def test_every_volume_and_setting_exists(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }
    known = {f"BEARMODE_{name.upper()}" for name in ServingSettings.model_fields}
    values = {one["name"]: one["value"] for one in container["env"]}
    assert set(values) <= known
    fields = {name.removeprefix("BEARMODE_").lower(): value for name, value in values.items()}
    assert ServingSettings.load(**fields).allow_open is False
    assert not [one for one in container["env"] if re.search("SECRET|PASSWORD|TOKEN", one["name"])]


def test_objects_fit_each_other(objects: dict[str, dict[str, Any]], pod: dict[str, Any]) -> None:
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == [objects["PersistentVolumeClaim"]["metadata"]["name"]]
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    label = {"app.kubernetes.io/name": "bearmode"}
    assert objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == label
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == label
    assert objects["Deployment"]["spec"]["replicas"] > objects["PodDisruptionBudget"]["spec"]["minAvailable"]


def test_kustomize_builds_it(folder: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    built = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    selector = built["Deployment"]["spec"]["selector"]["matchLabels"]
    assert selector == built["Service"]["spec"]["selector"] == {"app.kubernetes.io/name": "bearmode"}
    assert selector.items() <= built["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    (only,) = built["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert only["image"] == "registry.example.org/bearmode:0.1.0"
    assert all(one["metadata"].get("namespace", "bearmode") == "bearmode" for one in built.values())
