"""What a person does in the Dagster UI, through the same GraphQL."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx

LOCATION = "al_assets.definitions"
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}
ASSET_JOB = "__ASSET_JOB"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(frozen=True)
class Run:
    """A run as the UI lists it; times in seconds since 1970."""

    run_id: str
    job: str
    status: str
    tags: Mapping[str, str]
    assets: frozenset[str]
    created: float
    started: float | None
    ended: float | None

    @property
    def iteration(self) -> str | None:
        """The iteration it is for."""
        return self.tags.get("dagster/partition")

    @property
    def worker(self) -> int | None:
        """The process that executes it, once it wrote its name on the run."""
        worker = self.tags.get("al/worker")
        return int(worker.split("/")[1]) if worker else None


@dataclass(frozen=True)
class Tick:
    """What a sensor or schedule did at one moment."""

    status: str
    timestamp: float
    skip_reason: str | None
    error: str | None


class Webserver:
    """A client of the webserver.

    :param url: of its GraphQL endpoint.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=180)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """Return the answer's data.

        :raises AssertionError: the answer names errors.
        """
        answer = self._client.post(self._url, json={"query": text, "variables": variables}).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def is_loaded(self) -> bool:
        """Tell whether the code location is loaded.

        :raises AssertionError: it failed to load.
        """
        try:
            entry = self.query(
                "query Q($name: String!) {workspaceLocationEntryOrError(name: $name) {__typename "
                "... on WorkspaceLocationEntry {loadStatus locationOrLoadError {__typename "
                "... on PythonError {message} ... on RepositoryLocation {repositories {name}}}}}}",
                name=LOCATION,
            )["workspaceLocationEntryOrError"]
        except httpx.TransportError:
            return False
        found = (entry or {}).get("locationOrLoadError") or {}
        assert found.get("__typename") != "PythonError", found
        return entry["loadStatus"] == "LOADED" and found.get("__typename") == "RepositoryLocation" if entry else False

    def reload(self) -> None:
        """Load the code location again, as the button does."""
        answer = self.query(
            "mutation M($name: String!) {reloadRepositoryLocation(repositoryLocationName: $name) {__typename "
            "... on WorkspaceLocationEntry {loadStatus locationOrLoadError {__typename ... on PythonError {message}}} "
            "... on PythonError {message}}}",
            name=LOCATION,
        )["reloadRepositoryLocation"]
        assert answer["locationOrLoadError"]["__typename"] == "RepositoryLocation", answer

    def add_iteration(self, key: str) -> None:
        """Add a partition of the dynamic partitions."""
        answer = self.query(
            "mutation M($key: String!, $repository: RepositorySelector!) {addDynamicPartition(partitionKey: $key, "
            'partitionsDefName: "iteration", repositorySelector: $repository) {__typename}}',
            key=key,
            repository=REPOSITORY,
        )["addDynamicPartition"]
        assert answer["__typename"] == "AddDynamicPartitionSuccess", answer

    def launch(self, job: str, iteration: str | None = None, assets: Iterable[str] = ()) -> str:
        """Launch a job, or some assets of it, and return the run's id."""
        selection = [{"path": [name]} for name in assets]
        tags = [{"key": "dagster/partition", "value": iteration}] if iteration else []
        answer = self.query(
            "mutation M($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params) {__typename "
            "... on LaunchRunSuccess {run {runId}} ... on Error {message}}}",
            params={
                "selector": {**REPOSITORY, "pipelineName": job, **({"assetSelection": selection} if selection else {})},
                "executionMetadata": {"tags": tags},
            },
        )["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, assets: Iterable[str], iterations: Iterable[str]) -> str:
        """Launch a backfill and return its id."""
        answer = self.query(
            "mutation M($params: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $params) {__typename "
            "... on LaunchBackfillSuccess {backfillId} ... on Error {message}}}",
            params={"assetSelection": [{"path": [name]} for name in assets], "partitionNames": list(iterations)},
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """Return the status of a backfill."""
        answer = self.query(
            "query Q($id: String!) {partitionBackfillOrError(backfillId: $id) {__typename "
            "... on PartitionBackfill {status error {message}}}}",
            id=backfill_id,
        )["partitionBackfillOrError"]
        assert answer["error"] is None, answer
        return str(answer["status"])

    def runs(self, **tags: str) -> list[Run]:
        """Return all runs, or those with certain tags, oldest first."""
        wanted = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self.query(
            "query Q($filter: RunsFilter) {runsOrError(filter: $filter) {__typename ... on Runs {results {runId "
            "jobName status tags {key value} assetSelection {path} creationTime startTime endTime}}}}",
            filter={"tags": wanted},
        )["runsOrError"]
        return sorted((_run(each) for each in answer["results"]), key=lambda run: run.created)

    def run(self, run_id: str) -> Run:
        """Return one run."""
        return next(run for run in self.runs() if run.run_id == run_id)

    def failures(self, run_id: str) -> str:
        """Return what a run's failures say, with their causes."""
        answer = self.query(
            "query Q($id: ID!) {logsForRun(runId: $id) {... on EventConnection {events {__typename "
            "... on RunFailureEvent {message error {message}} "
            "... on ExecutionStepFailureEvent {error {message causes {message}}}}}}}",
            id=run_id,
        )["logsForRun"]
        said = []
        for event in answer["events"]:
            error = event.get("error") or {}
            said += [event.get("message"), error.get("message"), *(each["message"] for each in error.get("causes", []))]
        return "\n".join(each for each in said if each)

    def numbers(self, asset: str, iteration: str) -> list[dict[str, int]]:
        """Return the whole numbers in the metadata of an asset's materializations, newest first."""
        answer = self.query(
            "query Q($key: AssetKeyInput!, $partitions: [String!]) {assetOrError(assetKey: $key) {... on Asset "
            "{assetMaterializations(partitions: $partitions) {runId metadataEntries {label "
            "... on IntMetadataEntry {intValue}}}}}}",
            key={"path": [asset]},
            partitions=[iteration],
        )["assetOrError"]["assetMaterializations"]
        return [
            {each["label"]: each["intValue"] for each in event["metadataEntries"] if "intValue" in each}
            for event in answer
        ]

    def sensor_ticks(self) -> list[Tick]:
        """Return the sensor's ticks that have ended, newest first."""
        answer = self.query(
            f"query Q($selector: SensorSelector!) {{sensorOrError(sensorSelector: $selector) {{... on Sensor "
            f"{{sensorState {{{_TICKS}}}}}}}}}",
            selector={**REPOSITORY, "sensorName": "loop_sensor"},
        )["sensorOrError"]
        return _ended(answer["sensorState"]["ticks"])

    def nightly_ticks(self) -> list[Tick]:
        """Return the nightly schedule's ticks that have ended, newest first."""
        answer = self.query(
            f"query Q($selector: ScheduleSelector!) {{scheduleOrError(scheduleSelector: $selector) {{... on Schedule "
            f"{{scheduleState {{{_TICKS}}}}}}}}}",
            selector={**REPOSITORY, "scheduleName": "nightly"},
        )["scheduleOrError"]
        return _ended(answer["scheduleState"]["ticks"])

    def try_nightly(self) -> str | None:
        """Evaluate the nightly schedule now, as the UI's test button does, and return why it would skip."""
        answer = self.query(
            "mutation M($selector: ScheduleSelector!, $now: Float) {scheduleDryRun(selectorData: $selector, "
            "timestamp: $now) {__typename ... on DryRunInstigationTick {evaluationResult {skipReason "
            "runRequests {runKey} error {message}}} ... on PythonError {message}}}",
            selector={**REPOSITORY, "scheduleName": "nightly"},
            now=time.time(),
        )["scheduleDryRun"]
        result = answer["evaluationResult"]
        assert result["error"] is None, result
        assert not result["runRequests"], result
        reason: str | None = result["skipReason"]
        return reason


def overlapping(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Return the pairs of runs of which one started before the other had ended."""
    in_order = sorted((run for run in runs if run.started), key=lambda run: run.started or 0)
    return [(a, b) for a, b in pairwise(in_order) if not a.ended or (b.started or 0) < a.ended]


_TICKS = "ticks(limit: 500) {status timestamp skipReason error {message causes {message}}}"


def _run(found: Mapping[str, Any]) -> Run:
    return Run(
        found["runId"],
        found["jobName"],
        found["status"],
        {tag["key"]: tag["value"] for tag in found["tags"]},
        frozenset("/".join(key["path"]) for key in found["assetSelection"] or ()),
        found["creationTime"],
        found["startTime"],
        found["endTime"],
    )


def _ended(ticks: Iterable[Mapping[str, Any]]) -> list[Tick]:
    return [_tick(each) for each in ticks if each["status"] != "STARTED"]


def _tick(found: Mapping[str, Any]) -> Tick:
    error = found["error"]
    message = "\n".join([error["message"], *(each["message"] for each in error["causes"])]) if error else None
    return Tick(found["status"], found["timestamp"], found["skipReason"], message)
