"""Processes that a measurement needs: what they find and used, and a real PostgreSQL that is thrown away afterwards."""

import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil

USER = "postgres"
_ROOT = Path(__file__).parents[1]


def child_environment() -> dict[str, str]:
    """Return this process's environment, in which ``python -m benchmarks...`` finds this folder from anywhere."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_rss_mb(process: int | None = None) -> float:
    """Return the most resident memory that a process had, in MB of 2**20 bytes.

    Read from /proc where there is one: ``ru_maxrss`` of a started process begins at the peak of the process that
    started it, which Linux keeps over fork and exec.

    :param process: its number; None is this one. Without /proc, what another one has now stands for its peak.
    """
    status = Path(f"/proc/{process or 'self'}/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    if process is not None:
        return float(psutil.Process(process).memory_info().rss / 2**20)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


class MissingPostgresError(RuntimeError):
    """PostgreSQL's server programs are not installed."""


def binaries() -> Path | None:
    """Return the newest folder with PostgreSQL's server programs, None if there is none."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


@dataclass
class Cluster:
    """A running server; ``crash`` and ``start`` take it down and up again."""

    programs: Path
    folder: Path
    password: str
    port: int
    durable: bool = False
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        import psycopg

        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        import psycopg

        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "fsync": "on" if self.durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # SIGINT is PostgreSQL's fast shutdown: the server goes even if the tests are killed.
        command = ["setpriv", *_identity(), "--pdeathsig", "INT"]
        command += [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        for _ in range(300):
            try:
                psycopg.connect(self._dsn("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def crash(self) -> None:
        """Take the server down without any clean-up, as a power cut would."""
        self._stop(signal.SIGQUIT)

    def stop(self) -> None:
        """Take the server down."""
        self._stop(signal.SIGINT)

    def _stop(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} password={self.password} dbname={database}"


@contextmanager
def running_cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """Yield a new cluster; it is stopped and deleted at the end, whatever happens.

    :param durable: wait for the disk, as a real server does; without it tests are several times faster.
    :raises MissingPostgresError: the server's programs are not on this machine.
    """
    programs = binaries()
    if programs is None or shutil.which("setpriv") is None:
        raise MissingPostgresError("PostgreSQL's programs are not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="al_postgres_"))
    try:
        cluster = Cluster(programs, folder, secrets.token_hex(16), free_port(), durable)
        _initialise(cluster)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _initialise(cluster: Cluster) -> None:
    password_file = cluster.folder / "password"
    password_file.write_text(cluster.password)
    if os.geteuid() == 0:
        for path in (cluster.folder, password_file):
            shutil.chown(path, USER, USER)
    command = ["setpriv", *_identity(), str(cluster.programs / "initdb"), "-D", str(cluster.folder / "data")]
    command += ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C"]
    subprocess.run(command, check=True, capture_output=True, cwd=cluster.folder, timeout=120)


def _identity() -> list[str]:
    """Return the options that turn root into the postgres user, whom PostgreSQL insists on."""
    return [f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
