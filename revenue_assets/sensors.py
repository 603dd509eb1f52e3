"""What is waited for. Level-triggered: a sensor asks the store what is ready and holds no cursor over business rows."""

from typing import Any

import dagster as dg

from revenue_assets.dead_runs import fail_dead_runs
from revenue_assets.jobs import erp_posting_job, monthly_close_job, near_real_time_job, publish_job
from revenue_assets.resources import Platform
from revenue_assets.settings import running

# Run tag: the piece of work that a run was asked to do, as the store names it.
WORK_TAG = "revenue/work"
# Runs that ended without having begun their work are replaced at once this often; then only as the store's key changes.
RELAUNCHES_MAX = 3


def _status(name: str) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if name in running() else dg.DefaultSensorStatus.STOPPED


def _request(context: dg.SensorEvaluationContext, work: str, config: dict[str, Any], **tags: str) -> dg.RunRequest:
    """The request for a piece of work, `config` for its one asset.

    Dagster drops a repeated run key for ever, whatever became of its run. A run that has ended while its work is still
    there did not begin it (else the store would name the work anew), so the number of those is part of the key.
    """
    ended = sum(run.is_finished for run in context.instance.get_runs(dg.RunsFilter(tags={WORK_TAG: work})))
    return dg.RunRequest(
        run_key=f"{work}:{min(ended, RELAUNCHES_MAX)}", run_config={"ops": config}, tags={WORK_TAG: work, **tags}
    )


@dg.sensor(minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING)
def dead_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tells Dagster which of its running runs have lost their process, so that they hold up nobody. Always on."""
    return dg.SkipReason(" ".join(fail_dead_runs(context.instance)) or "Every run in progress has its process.")


@dg.sensor(job=erp_posting_job, minimum_interval_seconds=30, default_status=_status("ready_batches_sensor"))
def ready_batches_sensor(context: dg.SensorEvaluationContext, platform: Platform):
    """Ready batches in the outbox -> one posting run per ERP company.

    No side effect and no cursor: a launch that fails is asked for again at the next tick. The run key carries the
    attempt number that the store gives, and how many runs of this attempt came to nothing.
    """
    from revenue_assets.posting.outbox import ready

    work = ready(platform.store)
    if not work:
        return dg.SkipReason("The outbox holds nothing that is ready to be posted.")
    return [
        _request(
            context,
            w.run_key,
            {"posting__erp_documents": {"config": {"companies": [w.erp_company]}}},
            erp=w.erp_company,
            batches=str(w.batches),
        )
        for w in work
    ]


@dg.sensor(job=near_real_time_job, minimum_interval_seconds=30, default_status=_status("near_real_time_sensor"))
def near_real_time_sensor(context: dg.SensorEvaluationContext, platform: Platform):
    """Booked lines of a class that is delivered near real time -> one cut; what it makes, ready_batches_sensor posts.

    Asks what the last cut left waiting; the run key carries the number of the next writer of the journal.
    """
    from revenue_assets.posting.unposted import ticks

    tick = ticks(platform.store, platform.settings.state)
    if tick is None:
        return dg.SkipReason("No booked line waits for a near real time delivery.")
    config = {"posting__posting_batches": {"config": {"tick": True}}}
    return _request(context, tick.run_key, config, lines=str(tick.lines))


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[monthly_close_job],
    request_job=publish_job,
    minimum_interval_seconds=30,
    default_status=_status("closed_period_sensor"),
)
def closed_period_sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    """A month was locked -> publish again, so that readers see it closed. Publishing twice changes nothing."""
    return dg.RunRequest(run_key=f"publish-after:{context.dagster_run.run_id}")


SENSORS = [dead_runs_sensor, ready_batches_sensor, near_real_time_sensor, closed_period_sensor]
