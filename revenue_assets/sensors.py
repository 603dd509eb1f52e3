"""What is waited for. Level-triggered: a sensor asks the store what is ready and holds no cursor over business rows."""

import dagster as dg

from revenue_assets.jobs import erp_posting_job, monthly_close_job, near_real_time_job, publish_job
from revenue_assets.resources import Platform


@dg.sensor(job=erp_posting_job, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.STOPPED)
def ready_batches_sensor(platform: Platform):
    """Ready batches in the outbox -> one posting run per ERP company.

    No side effect and no cursor: a launch that fails is asked for again at the next tick. The run key carries the
    attempt number that the store gives, since Dagster drops a repeated run key for ever, even after a failure.
    """
    from revenue_assets.posting.outbox import ready

    work = ready(platform.store)
    if not work:
        return dg.SkipReason("The outbox holds nothing that is ready to be posted.")
    return [
        dg.RunRequest(
            run_key=w.run_key,
            run_config={"ops": {"posting__erp_documents": {"config": {"companies": [w.erp_company]}}}},
            tags={"erp": w.erp_company, "batches": str(w.batches)},
        )
        for w in work
    ]


@dg.sensor(job=near_real_time_job, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.STOPPED)
def near_real_time_sensor(platform: Platform):
    """Booked lines of a class that is delivered near real time -> one cut; what it makes, ready_batches_sensor posts.

    Asks what the last cut left waiting; the run key carries the number of the next writer of the journal.
    """
    from revenue_assets.posting.unposted import ticks

    tick = ticks(platform.store, platform.settings.state)
    if tick is None:
        return dg.SkipReason("No booked line waits for a near real time delivery.")
    config = {"ops": {"posting__posting_batches": {"config": {"tick": True}}}}
    return dg.RunRequest(run_key=tick.run_key, run_config=config, tags={"lines": str(tick.lines)})


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[monthly_close_job],
    request_job=publish_job,
    minimum_interval_seconds=30,
)
def closed_period_sensor(context: dg.RunStatusSensorContext) -> dg.RunRequest:
    """A month was locked -> publish again, so that readers see it closed. Publishing twice changes nothing."""
    return dg.RunRequest(run_key=f"publish-after:{context.dagster_run.run_id}")


SENSORS = [ready_batches_sensor, near_real_time_sensor, closed_period_sensor]
