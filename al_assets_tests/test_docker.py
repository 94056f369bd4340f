import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import yaml
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse
from dagster._serdes import deserialize_value
from dockerfile_parse import DockerfileParser

from al_assets.storage.ledger import Ledger
from al_assets_tests.support import REPOSITORY
from al_assets_tests.support.postgres import Cluster, postgres_cluster

__all__ = ["postgres_cluster"]

DOCKER = REPOSITORY / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN_IMAGES = {name: service for name, service in SERVICES.items() if "build" in service}
EXAMPLE_POLICY = """\
policy: {name: demo, question: "Is it?", guideline: It is.}
pool: {path: pool.jsonl}
labeler: {kind: functions, functions: ["builtins:float"]}
embedding: {model: none}
review: {raters: [ann, ben]}
student: {kind: linear, embedding: {model: none}}
storage: {root: runs}
"""


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage of the Dockerfile, those of the stages it builds on first."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    for each in DockerfileParser(path=str(DOCKER / "Dockerfile")).structure:
        if each["instruction"] == "FROM":
            parent, _, name = each["value"].partition(" AS ")
            current = found[name] = list(found.get(parent, []))
        elif each["instruction"] != "COMMENT":
            current.append((each["instruction"], each["value"]))
    return found


def last(stage: str, instruction: str) -> str:
    return [value for name, value in stages()[stage] if name == instruction][-1]


def commands(service: dict[str, Any]) -> Iterator[list[str]]:
    if service["healthcheck"]["test"][0] == "CMD":
        yield service["healthcheck"]["test"][1:]
    yield service.get("command") or yaml.safe_load(last(service["build"]["target"], "CMD"))


def environment(name: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[name]["environment"]
    return found


def test_the_services_of_a_deployment_are_there() -> None:
    assert set(SERVICES) == {"postgres", "code", "desk", "webserver", "daemon"}
    assert set(COMPOSE["volumes"]) == {
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if re.match(r"[a-z-]+:", mount)
    }


@pytest.mark.parametrize("name", OWN_IMAGES)
def test_images_are_built_from_stages_of_the_dockerfile(name: str) -> None:
    build = OWN_IMAGES[name]["build"]
    assert (DOCKER / build["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / build["dockerfile"]).resolve() == DOCKER / "Dockerfile"
    assert build["target"] in stages()


@pytest.mark.parametrize("stage", ["code", "dagster"])
def test_what_is_copied_exists_and_is_not_ignored(stage: str) -> None:
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    admitted = {line[1:] for line in lines if line.startswith("!")}
    for instruction, value in stages()[stage]:
        if instruction != "COPY":
            continue
        for source in [part for part in value.split() if not part.startswith("--")][:-1]:
            assert (REPOSITORY / source).exists(), source
            assert source in admitted


def test_passwords_and_local_data_stay_out_of_the_build() -> None:
    rules = [line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    for private in (".env", "docker/.env", ".al", ".venv", ".git", "policy.yaml"):
        assert not any(
            fnmatch(private, rule[1:]) or private.startswith(rule[1:] + "/") for rule in rules if rule[0] == "!"
        )


def test_the_environment_file_with_passwords_is_not_committed(tmp_path: Path) -> None:
    asked = subprocess.run(["git", "check-ignore", "docker/.env"], cwd=REPOSITORY, capture_output=True, text=True)
    assert asked.stdout.strip() == "docker/.env"


@pytest.mark.parametrize("stage", ["code", "dagster"])
def test_images_do_not_run_as_root(stage: str) -> None:
    assert last(stage, "USER") == "al"
    made = " ".join(value for instruction, value in stages()[stage] if instruction == "RUN")
    assert re.search(r"useradd --uid [1-9]\d{3,} ", made)


def test_versions_are_pinned_and_torch_is_the_cpu_build() -> None:
    installs = [
        line for stage in ("code", "dagster") for instruction, value in stages()[stage] if instruction == "RUN"
        for line in value.split("&&") if "pip install" in line and "--no-deps" not in line
    ]  # fmt: skip
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in each for each in installs)
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE))
    assert {"torch", "dagster", "dagster-webserver", "dagster-postgres", "psycopg"} <= set(pinned)
    assert pinned["dagster"] == pinned["dagster-webserver"]
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in [
        value for instruction, value in stages()["code"] if instruction == "ARG"
    ]
    assert '--extra-index-url "${TORCH_INDEX}"' in installs[0]
    assert not [each for each in installs[1].split() if each in ("torch", ".[postgres]")]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_the_loopback_interface(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]


def test_no_password_has_a_default() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    secrets = [
        value for name in SERVICES for key, value in environment(name).items() if "PASSWORD" in key
    ]  # fmt: skip
    assert len(secrets) == 8
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value) for value in secrets)
    required = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    example = (DOCKER / "example.env").read_text()
    assert set(re.findall(r"^([A-Z_]+)=$", example, re.MULTILINE)) == required
    with_defaults = {"AL_POSTGRES_PORT", "AL_WEBSERVER_PORT", "AL_DESK_PORT", "AL_DESK_URL"}
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) - required == with_defaults


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_when_it_is_healthy_and_waits_for_those_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    needed = {"postgres": set(), "code": {"postgres"}, "desk": {"postgres"}}.get(name, {"postgres", "code"})
    waits = service.get("depends_on", {})
    assert set(waits) == needed
    assert all(each == {"condition": "service_healthy"} for each in waits.values())


@pytest.mark.parametrize("name", OWN_IMAGES)
def test_commands_are_those_of_the_pinned_packages(name: str) -> None:
    scripts = {each.name for each in entry_points(group="console_scripts")}
    for command in commands(OWN_IMAGES[name]):
        if command[0] == "python":
            compile(command[-1], name, "exec")
            continue
        assert command[0] in scripts
        subcommands = command[1 : next((n for n, part in enumerate(command) if part.startswith("--")), len(command))]
        helped = subprocess.run(
            [str(Path(sys.executable).parent / command[0]), *subcommands, "--help"],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout  # fmt: skip
        assert all(option in helped for option in command if option.startswith("--"))


def test_the_workspace_finds_the_code_location() -> None:
    (location,) = yaml.safe_load((DOCKER / "workspace.yaml").read_text())["load_from"]
    server = location["grpc_server"]
    assert server["host"] in SERVICES
    command = yaml.safe_load(last("code", "CMD"))
    assert command[command.index("--port") + 1] == str(server["port"]) == last("code", "EXPOSE")
    health = SERVICES["code"]["healthcheck"]["test"]
    assert health[health.index("--port") + 1] == str(server["port"])
    local = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert command[command.index("--module-name") + 1] == local["module_name"]
    assert command[command.index("--attribute") + 1] == local["attribute"]


def test_configuration_files_are_where_the_commands_look() -> None:
    home = dict(part.split("=", 1) for part in last("dagster", "ENV").split() if "=" in part)["DAGSTER_HOME"]
    copied = [value.split()[1:] for instruction, value in stages()["dagster"] if instruction == "COPY"][-1]
    assert copied == ["docker/dagster.yaml", "docker/workspace.yaml", f"{home}/"]
    for name in ("webserver", "daemon"):
        command = SERVICES[name]["command"]
        assert command[command.index("--workspace") + 1] == f"{home}/workspace.yaml"
    policy = Path(environment("code")["AL_POLICY"])
    assert any(mount.endswith(f":{policy.parent}:ro") for mount in SERVICES["code"]["volumes"])


def test_logs_and_data_are_on_volumes_that_the_user_may_write() -> None:
    config = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    folders = {Path(config[each]["config"]["base_dir"]) for each in ("compute_logs", "local_artifact_storage")}
    owned = re.search(r"chown al:al (.*)", next(value for name, value in stages()["code"] if name == "RUN"))
    assert owned
    for name in OWN_IMAGES:
        mounted = [Path(each.split(":")[1]) for each in SERVICES[name]["volumes"] if not each.startswith("$")]
        assert all(str(each) in owned[1].split() for each in mounted)
        assert all(any(folder.is_relative_to(each) for each in mounted) for folder in folders)


def test_concurrency_is_that_of_the_local_instance() -> None:
    local = yaml.safe_load((REPOSITORY / "al_assets" / "automation" / "dagster.yaml").read_text())
    team = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    assert {key: team[key] for key in local} == local


def read_variables(config: Any) -> set[str]:
    if not isinstance(config, dict):
        return set()
    return {value for key, value in config.items() if key == "env"}.union(*map(read_variables, config.values()))


@pytest.mark.parametrize("name", OWN_IMAGES)
def test_every_process_gets_what_the_instance_reads_from_the_environment(name: str) -> None:
    assert read_variables(yaml.safe_load((DOCKER / "dagster.yaml").read_text())) <= set(environment(name))


@pytest.fixture
def deployment(postgres_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A PostgreSQL set up as its container would be: a database ``dagster``, then the scripts that are mounted."""
    monkeypatch.setenv("AL_LEDGER_PASSWORD", 'it\'s a "ledger" $ecret')
    monkeypatch.setenv("PGPASSWORD", postgres_cluster.password)
    for statement in (
        "drop database if exists ledger", "drop database if exists dagster", "drop role if exists al_ledger",
        "create database dagster",
    ):  # fmt: skip
        postgres_cluster.execute(statement)
    mounted = [mount.split(":")[0] for mount in SERVICES["postgres"]["volumes"] if "initdb" in mount]
    (folder,) = mounted
    for script in sorted((DOCKER / folder).glob("*.sql")):
        server = ["-h", "127.0.0.1", "-p", str(postgres_cluster.port), "-U", "postgres", "-d", "dagster"]
        subprocess.run(["psql", "-v", "ON_ERROR_STOP=1", "-q", *server, "-f", str(script)], check=True, timeout=180)
    return postgres_cluster


@pytest.mark.postgres
def test_the_ledger_has_a_database_and_a_role_of_its_own(deployment: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", os.environ["AL_LEDGER_PASSWORD"])
    with Ledger(f"postgresql+psycopg://al_ledger@127.0.0.1:{deployment.port}/ledger", "demo") as ledger:
        assert ledger.watermark() == 0
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(host="127.0.0.1", port=deployment.port, user="al_ledger", dbname="dagster")


@pytest.mark.postgres
def test_dagster_keeps_its_storage_in_postgresql(
    deployment: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = yaml.safe_load((DOCKER / "dagster.yaml").read_text())
    database = config["storage"]["postgres"]["postgres_db"]
    assert (database["port"], environment("code")["DAGSTER_POSTGRES_HOST"]) == (5432, "postgres")
    database["port"] = deployment.port
    for each in ("compute_logs", "local_artifact_storage"):
        config[each]["config"]["base_dir"] = str(tmp_path / each)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    for name, value in {
        "HOST": "127.0.0.1",
        "USER": "postgres",
        "PASSWORD": deployment.password,
        "DB": "dagster",
    }.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)

    @dg.asset
    def kept() -> int:
        return 1

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert type(instance.run_storage).__name__ == "PostgresRunStorage"
        assert dg.materialize([kept], instance=instance).success
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("kept")) is not None


def test_nothing_else_of_the_repository_is_needed_by_the_code_image(tmp_path: Path) -> None:
    """The package, built from what the image copies, holds the SQL of the marts."""
    for instruction, value in stages()["code"]:
        if instruction == "COPY":
            for source in [part for part in value.split() if not part.startswith("--")][:-1]:
                target = tmp_path / "context" / source
                target.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-r", str(REPOSITORY / source), str(target)], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "./context"],
        cwd=tmp_path, check=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(tmp_path / "site")], check=True)
    listed = subprocess.run(
        [sys.executable, "-c", "from al_assets.storage import warehouse as w; print(*w.load_models(), w.__file__)"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert "loop_history" in listed
    assert listed[-1].startswith(str(tmp_path))


@pytest.mark.daemon
def test_the_code_location_starts_and_says_it_is_healthy(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(EXAMPLE_POLICY)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    start, check = (
        [str(Path(sys.executable).parent / command[0]), *command[1:]]
        for command in (yaml.safe_load(last("code", "CMD")), SERVICES["code"]["healthcheck"]["test"][1:])
    )
    for command in (start, check):
        command[command.index("--port") + 1] = port
    start[start.index("--host") + 1] = "127.0.0.1"
    variables = {**os.environ, "AL_POLICY": str(tmp_path / "policy.yaml"), "DAGSTER_HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(start, env=variables, stdout=log, stderr=log, cwd=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(check, env=variables, capture_output=True, timeout=180).returncode:
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        # A code server is healthy even if its policy is wrong, so that the UI can show the mistake: ask what it serves.
        served = deserialize_value(DagsterGrpcClient(port=int(port)).list_repositories())
    finally:
        server.terminate()
        server.wait(30)
    assert isinstance(served, ListRepositoriesResponse), served
    assert [symbol.repository_name for symbol in served.repository_symbols] == ["__repository__"]
