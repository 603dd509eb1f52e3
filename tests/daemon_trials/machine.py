"""The machine that breaks: daemon, code server and run workers as processes of one group, forked from one that has
everything imported. The forking process must have no threads of Python's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults import Plan, hook
from killing import fork
from launcher import ADDRESS

# Three times as fast as shipped: the waits between ticks and look-outs, against what a launch and a start take here.
PACE = 3
CODE_LOCATION = "revenue_assets"


def quicken() -> None:
    """Dagster's waits and the sensors' divided by PACE, in this process and all that it forks."""
    import dagster._daemon.sensor as sensor_daemon
    from dagster._core.instance import DagsterInstance
    from dagster._core.run_coordinator import QueuedRunCoordinator

    from revenue_assets import dead_runs
    from revenue_assets.sensors import dead_runs_sensor, ready_batches_sensor

    os.environ["DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS"] = "1"
    sensor_daemon.MIN_INTERVAL_LOOP_TIME /= PACE  # type: ignore[misc]
    QueuedRunCoordinator.dequeue_interval_seconds = property(lambda self: 5 / PACE)  # type: ignore[assignment]
    DagsterInstance.run_monitoring_poll_interval_seconds = property(lambda self: 120 // PACE)  # type: ignore[assignment]
    for sensor in (dead_runs_sensor, ready_batches_sensor):
        sensor._min_interval = sensor.minimum_interval_seconds // PACE
    dead_runs.START_SECONDS /= PACE


class Machine:
    """`root`: folder of the trial's files. `home`: DAGSTER_HOME. `module`: what the code server serves."""

    def __init__(self, root: Path, home: Path, module: str, dagster_yaml: str) -> None:
        self.root, self.home, self.module, self.dagster_yaml = root, home, module, dagster_yaml
        self.ticks = root / "ticks.log"
        self.daemon: int | None = None
        self.alive: set[int] = set()
        self.workers: set[int] = set()
        self.launched: list[float] = []  # when workers of this life were started, seconds since the epoch
        self.killed: list[int] = []  # workers of this life that died by a signal, not by `kill`
        self.on_worker: Callable[[int], None] = lambda pid: None
        self._lives, self._killing = 0, False
        self._listening = socket.socket(socket.AF_UNIX)
        os.environ[ADDRESS] = str(root / "player")
        self._listening.bind(os.environ[ADDRESS])
        self._listening.listen()
        self._listening.setblocking(False)

    def start(self, plan: Plan | None) -> None:
        """A daemon with a code server of its own, over what is left of DAGSTER_HOME."""
        self.home.mkdir(exist_ok=True)
        (self.home / "dagster.yaml").write_text(self.dagster_yaml)
        self._lives += 1
        path = self.root / f"code-{self._lives}"
        workspace = self.root / "workspace.yaml"
        workspace.write_text(f"load_from:\n  - grpc_server: {{socket: {path}, location_name: {CODE_LOCATION}}}\n")
        self.on_worker, self.killed, self.launched = lambda pid: None, [], []
        self.daemon = self._forked("daemon", partial(self._daemon, plan, path, workspace))
        self._forked("code", partial(self._code_server, path))

    def _forked(self, name: str, task: Callable[[], None]) -> int:
        """A child in the daemon's process group (the daemon itself leads it), its output in a file."""

        def child() -> None:
            self._listening.close()
            log = os.open(self.root / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            task()

        pid = fork(child)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the daemon, or this one, has died meanwhile
            os.setpgid(pid, pid if name == "daemon" else self.daemon or pid)
        self.alive.add(pid)
        return pid

    def _daemon(self, plan: Plan | None, path: Path, workspace: Path) -> None:
        from dagster._daemon.cli import cli

        hook(plan, self.ticks)
        while not path.exists():
            time.sleep(0.05)
        cli(["run", "-w", str(workspace)], obj={})

    def _code_server(self, path: Path) -> None:
        from dagster._cli.api import grpc_command

        arguments = ["--socket", str(path), "-m", self.module, "--location-name", CODE_LOCATION]
        grpc_command(arguments, standalone_mode=False)

    def _worker(self, run_id: str) -> None:
        """What `dagster api execute_run` does."""
        from dagster._cli.api import _execute_run_command_body
        from dagster._core.instance import DagsterInstance

        with DagsterInstance.get() as instance:
            _execute_run_command_body(run_id, instance, lambda event: None, set_exit_code_on_failure=False)

    def serve(self, seconds: float) -> None:
        """Forks the workers that the daemon asks for, and buries the dead, for this long."""
        until = time.monotonic() + seconds
        while True:
            try:
                asking, _ = self._listening.accept()
            except BlockingIOError:
                pass
            else:
                with asking:
                    run_id = asking.recv(64).decode()
                    if run_id:
                        pid = self._forked("worker", partial(self._worker, run_id))
                        self.workers.add(pid)
                        self.launched.append(time.time())
                        self.on_worker(pid)
                        with contextlib.suppress(BrokenPipeError):  # the daemon died meanwhile; the worker has begun
                            asking.sendall(b".")
            self._bury()
            if time.monotonic() >= until:
                return
            time.sleep(0.02)

    def _bury(self) -> None:
        for pid in list(self.alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.alive.discard(pid)
                if pid in self.workers and os.WIFSIGNALED(status) and not self._killing:
                    self.killed.append(pid)
                if pid == self.daemon:
                    self.daemon = None

    def kill(self, *, whole: bool) -> int:
        """SIGKILL of the daemon and its code server, or with the workers too; 1 if the daemon was still alive.

        A code server whose daemon is gone ends by itself (heartbeat); that its workers live on is what differs.
        """
        was = int(self.daemon is not None)
        spared, self._killing = set() if whole else self.workers, True
        for pid in self.alive - spared:
            os.kill(pid, signal.SIGKILL)
        while self.alive - spared:
            self._bury()
            time.sleep(0.01)
        self._killing = False
        return was

    def wipe(self) -> None:
        """rm -rf of DAGSTER_HOME, whoever writes into it."""
        while self.home.exists():
            shutil.rmtree(self.home, ignore_errors=True)

    def close(self) -> None:
        self.kill(whole=True)
        self._listening.close()
