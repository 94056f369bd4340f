"""A real Dagster deployment for tests: code server, webserver and daemon, each a process group of its own."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.daemon.gate import GATE_VARIABLE, Gate
from al_assets_tests.support.daemon.webserver import LOCATION, Webserver
from al_assets_tests.support.processes import Service, is_open, wait_for
from benchmarks.processes import free_port

LOG_TAIL = 3_000
START_SECONDS = 150.0


@dataclass
class Services:
    """The three services of one Dagster home and one policy file.

    :param gate: halts the labelling function of the module ``gate``.
    """

    home: Path
    policy: Path
    gate: Gate
    code_port: int = field(default_factory=lambda: free_port())
    web_port: int = field(default_factory=lambda: free_port())

    def __post_init__(self) -> None:
        # Not "logs": that folder belongs to Dagster's telemetry, which removes it.
        logs = self.home / "service_logs"
        logs.mkdir(parents=True, exist_ok=True)
        environment = self._environment()
        here = ["-w", str(self._write_workspace())]
        python = [sys.executable, "-W", "ignore", "-m"]
        self.code = Service(
            "code",
            [*python, "dagster", "code-server", "start", "-m", "al_assets.definitions", "-h", "127.0.0.1"]
            + ["-p", str(self.code_port), "--log-level", "warning"],
            environment,
            logs,
        )
        web = [*python, "dagster_webserver", "-h", "127.0.0.1", "-p", str(self.web_port), *here]
        self.web = Service("web", web, environment, logs)
        self.daemon = Service("daemon", [*python, "dagster._daemon", "run", *here], environment, logs)
        self.webserver = Webserver(f"http://127.0.0.1:{self.web_port}/graphql")

    def start_without_daemon(self) -> None:
        """Start code server and webserver and wait until the code location is loaded."""
        self.code.start()
        wait_for("code server", lambda: self._listens(self.code, self.code_port), START_SECONDS)
        self.web.start()
        wait_for("webserver", lambda: self._listens(self.web, self.web_port), START_SECONDS)
        self.wait_until_loaded()

    def wait_until_loaded(self) -> None:
        """Wait until the webserver sees the loop's definitions."""
        wait_for("code location", self.webserver.is_loaded, START_SECONDS)

    def crash(self) -> None:
        """Kill the daemon, the code server and every run it started, without a moment's notice."""
        self.code.kill()
        self.daemon.kill()

    def stop(self) -> None:
        """Stop everything; nothing is left running."""
        for service in (self.daemon, self.web, self.code):
            service.stop()
        self.webserver.close()

    def log_tails(self) -> str:
        """Return the last lines of every log, for a failure's report."""
        logs = (service.log for service in (self.code, self.web, self.daemon))
        return "\n".join(
            f"== {log.name}\n{log.read_text(errors='replace')[-LOG_TAIL:]}" for log in logs if log.exists()
        )

    def _write_workspace(self) -> Path:
        server = {"host": "127.0.0.1", "port": self.code_port, "location_name": LOCATION}
        file = self.home / "workspace.yaml"
        file.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        return file

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "AL_POLICY": str(self.policy),
            GATE_VARIABLE: str(self.gate.folder),
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
            # The machine may be busy; the default of 60 s for a sensor's evaluation is then too short.
            "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS": "180",
            "DAGSTER_SCHEDULE_GRPC_TIMEOUT_SECONDS": "180",
            "DAGSTER_GRPC_TIMEOUT_SECONDS": "180",
            "DAGSTER_REPOSITORY_GRPC_TIMEOUT_SECONDS": "180",
        }

    def _listens(self, service: Service, port: int) -> bool:
        if service.has_ended:
            pytest.fail(f"the {service.name} service ended\n{self.log_tails()}")
        return is_open(port)


RUNNING: list[Services] = []
"""Those whose logs belong into the report of a test that fails now."""


@contextlib.contextmanager
def running(services: Services) -> Iterator[Services]:
    """Stop the services at the end, however it comes."""
    RUNNING.append(services)
    try:
        yield services
    finally:
        services.stop()
        RUNNING.remove(services)
