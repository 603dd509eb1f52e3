"""The run launcher of the trials: a run worker is forked by the player, which has everything imported already.

It stands for Dagster's own launcher, which asks the code server to start a Python of its own (some 8 CPU seconds).
Nobody watches the workers: one that dies is noticed by what the platform ships, or not at all.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

# Address of the player, in the daemon's environment.
ADDRESS = "DAEMON_TRIAL_PLAYER"


class ForkedWorkers(RunLauncher, ConfigurableClass):
    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> ForkedWorkers:
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Returns when the worker has been forked; raises ConnectionError if nobody is there to do it. As Dagster's own
        does, it notes first which code server is responsible."""
        run = context.dagster_run
        assert context.workspace is not None
        assert run.remote_job_origin is not None
        name = run.remote_job_origin.repository_origin.code_location_origin.location_name
        client = context.workspace.get_code_location(name).client  # type: ignore[attr-defined]
        known = json.dumps({"host": client.host, "socket": client.socket})
        self._instance.add_run_tags(run.run_id, {GRPC_INFO_TAG: known})
        with socket.socket(socket.AF_UNIX) as player:
            player.settimeout(30)
            player.connect(os.environ[ADDRESS])
            player.sendall(run.run_id.encode())
            if not player.recv(1):
                raise ConnectionError("the player of the trial did not fork a run worker")

    def terminate(self, run_id: str) -> bool:
        return False
