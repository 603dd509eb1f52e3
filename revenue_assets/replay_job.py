"""The replay of exceptions as a Dagster job, for those who work in its UI: the same function as the command line's."""

import dagster as dg
from pydantic import Field

from revenue_assets.resources import Platform


class ReplayConfig(dg.Config):
    """`exception_ids` (or their first characters), or `exception_class` for all open ones of a class.

    `actor`: who asks for it; Dagster's UI has no login. Empty: the user this process runs as.
    """

    exception_ids: list[str] = Field(default_factory=list)
    exception_class: str | None = None
    actor: str = ""
    note: str = ""


@dg.op(tags={"kind": "finance"})
def replay_exceptions(context: dg.OpExecutionContext, config: ReplayConfig, platform: Platform) -> None:
    """Takes exceptions up again after the fix; ready_batches_sensor then posts what went dead. Twice is nothing."""
    from revenue_assets import exception_queue
    from revenue_assets.settings import actor

    if bool(config.exception_ids) == bool(config.exception_class):
        raise dg.Failure("Name exception_ids, or an exception_class.")
    done = exception_queue.replay(
        platform.store,
        ids=config.exception_ids,
        category=config.exception_class,
        actor=config.actor.strip() or actor(),
        note=config.note,
    )
    platform.export_state()
    for one in done:
        context.log.info("%s %s: %s", one.exception_id[:8], one.category, one.words)
    moved = sum(one.moved for one in done)
    context.add_output_metadata(
        {
            "replayed": moved,
            "left_alone": len(done) - moved,
            "exceptions": dg.MetadataValue.json([o._asdict() for o in done]),
        }
    )


@dg.job(description="Replays exceptions by id or class; nothing is re-keyed, repeating it changes nothing.")
def exception_replay_job():
    replay_exceptions()
