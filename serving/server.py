"""Running the service in the foreground: one child that is BentoML, and a clean end.

BentoML gives its workers a day to stop. Here the child leads its own process group, is asked to
stop on SIGTERM, drains for at most :data:`DRAIN_SECONDS`, and what is then left is killed.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import httpx

from features.errors import BearmodeError
from serving.live.settings import SECRET_VARIABLE, LiveSettings, secret_of
from serving.live.supervisor import Supervisor
from serving.metrics_folder import METRICS_FOLDER
from serving.safety.guard import check_exposure
from serving.settings import ServingSettings
from serving.tiers import TIERS_SETTING, tiers_file

__all__ = ["SERVICE", "serve"]

SERVICE = "serving.service:RegimeService"
DRAIN_SECONDS = 9
"""Time for requests that are being answered."""
KILL_SECONDS = 12
"""After this much of an end, whatever is left is killed."""


def serve(
    host: str | None = None,
    port: int | None = None,
    bundle: Path | None = None,
    bundles_dir: Path | None = None,
    *,
    live: Mapping[str, object] | None = None,
    service: str = SERVICE,
) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; what is ``None`` comes from the settings.

    Prints the address when the service answers, and whether it is ready.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 picks a free one.
    bundle : Path, optional
        Serve this bundle instead of the champion.
    bundles_dir : Path, optional
        Folder with ``champion.json``.
    live : mapping of str to object, optional
        Options of live mode, as :meth:`serving.live.settings.LiveSettings.load` takes them.
    service : str
        Import path of the BentoML service.

    Returns
    -------
    int
        0 after a signal, 1 when the service could not run; the reason is on stderr.
    """
    try:
        settings = ServingSettings.load(host=host, port=port, bundle=bundle, bundles=bundles_dir)
        check_exposure(settings)
        watching = LiveSettings.load(**(live or {}))
        for hook in watching.webhooks:
            secret_of(hook)
        address = "127.0.0.1" if settings.host == "localhost" else settings.host
        chosen = _free_port(address, settings.port)
    except BearmodeError as error:
        _say(error.one_line(), error=True)
        return error.exit_code
    with tempfile.TemporaryDirectory(prefix="bearmode-metrics-") as metrics, _signalled() as stopping:
        environment = _environment(settings, metrics) | _live_environment(watching, live or {})
        # start_new_session: a Ctrl-C of the terminal reaches this process only, which then ends the group.
        child = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            _command(address, chosen, service),
            env={name: value for name, value in environment.items() if not name.startswith(SECRET_VARIABLE)},
            start_new_session=True,
        )
        beside = Supervisor(watching.state, environment, _warn) if watching.is_on else None
        try:
            return _run(child, f"http://{_bracketed(address)}:{chosen}", stopping, beside)
        finally:
            if beside is not None:
                beside.ask_to_end()
            _end(child)
            if beside is not None:
                beside.end()


def _command(host: str, port: int, service: str) -> list[str]:
    options = ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
    return [sys.executable, "-m", "bentoml", "serve", service, *options]


def _environment(settings: ServingSettings, metrics: str) -> dict[str, str]:
    """Environment of the child: the settings for its workers, and no telemetry."""
    root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    environment = {
        "BENTOML_DO_NOT_TRACK": "True",
        # A worker computes `threads` answers at once; each on one core, or they wait for each other.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **os.environ,
        "PYTHONPATH": root if not inherited else os.pathsep.join([root, inherited]),
        "BEARMODE_BUNDLES": str(settings.bundles.absolute()),
        METRICS_FOLDER: metrics,
        TIERS_SETTING: str(tiers_file()),
    }
    environment.pop("BEARMODE_BUNDLE", None)
    if settings.bundle is not None:
        environment["BEARMODE_BUNDLE"] = str(settings.bundle.absolute())
    return environment


def _live_environment(watching: LiveSettings, given: Mapping[str, object]) -> dict[str, str]:
    """Settings of live mode for workers and live process, which read the settings file themselves."""
    found = watching.model_dump(mode="json", include={name for name, one in given.items() if one is not None})
    found["state"] = str(watching.state.absolute())
    if watching.path is not None:
        found["path"] = str(watching.path.absolute())
    if watching.symbols:
        found["symbols"] = ",".join(watching.symbols)
    return {
        f"BEARMODE_LIVE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in found.items()
    }


def _run(
    child: subprocess.Popen[bytes], address: str, stopping: threading.Event, beside: Supervisor | None
) -> int:
    """Wait for a signal or for the child to end by itself; announce the address once it answers."""
    announced = False
    while not stopping.is_set():
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(timeout=0.2)
            if stopping.is_set():
                break
            _say(f"the service ended by itself with exit status {code}; its log above says why", error=True)
            return 1
        announced = announced or _announce(address)
        if beside is not None:
            beside.look()
    return 0


def _announce(address: str) -> bool:
    """Print the address if the service answers there; says so if it did."""
    try:
        answer = httpx.get(f"{address}/readyz", timeout=2.0, trust_env=False)
        if answer.status_code == 200:
            _say(f"serving on {address}")
            return True
        reason = answer.json()["error"]["message"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
    _say(f"serving on {address}, not ready: {reason}")
    return True


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to stop, wait, then kill what is left of its group."""
    deadline = time.monotonic() + KILL_SECONDS
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=max(0.0, deadline - time.monotonic()))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextlib.contextmanager
def _signalled() -> Iterator[threading.Event]:
    """An event that the signals which ask for an end set; the old handlers come back after it."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port(host: str, port: int) -> int:
    """Port to listen on, known to be free a moment ago.

    Raises
    ------
    BearmodeError
        The host is no IP address of this machine, or the port is in use.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise BearmodeError(
            f"host is {host!r}, expected an IP address", code="cannot_listen", hint="such as 127.0.0.1"
        ) from error
    host_family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(host_family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            what = "is in use" if busy else f"cannot be listened on: {error.strerror or error}"
            raise BearmodeError(
                f"port {port} on {host} {what}",
                code="port_in_use" if busy else "cannot_listen",
                hint="choose another with --port" if busy else "--host takes an IP address of this machine",
            ) from error
        return int(probe.getsockname()[1])


def _bracketed(host: str) -> str:
    """Host as it stands in a URL; a wildcard is reached on loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{host}]" if ":" in host else host


def _warn(text: str) -> None:
    _say(text, error=True)


def _say(text: str, *, error: bool = False) -> None:
    """Print a line at once, for whoever reads it through a pipe."""
    stream = sys.stderr if error else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()
