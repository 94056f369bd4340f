-- description: What is out of date, and why: one row per iteration and asset of the loop.
-- source materializations: when each asset was last materialized, under which settings, with which contents
-- source dependencies: which contents of its upstream assets each asset was made from
-- column iteration: the iteration; null for an asset that is not divided into iterations
-- column asset: the asset
-- column out_of_date: materializing it again could give another result
-- column reason: every reason in plain words; null if it is up to date
-- column materialized_at: when it was last materialized, null if never
-- column run_id: the run that did it

with recursive reasons as (
    select asset, iteration, 1 as place, 'never materialized' as reason
    from materializations
    where materialized_at is null

    union all

    select
        asset,
        iteration,
        2 as place,
        'settings changed (code version ' || code_version_then || ' -> ' || code_version_now || ')' as reason
    from materializations
    where code_version_then <> code_version_now

    union all

    select
        dependencies.asset,
        dependencies.iteration,
        3 as place,
        dependencies.upstream || ' was materialized with other contents after' as reason
    from dependencies
    where version_then <> version_now

    union all

    -- The report of an iteration announces who labels the next one, without running that step.
    select asset, iteration, 4 as place, 'other contents were announced for it after' as reason
    from materializations
    where computed_version <> data_version
),

causes as (
    select asset, iteration, string_agg(reason, '; ' order by place, reason) as reason
    from reasons
    group by asset, iteration
),

-- A cause reaches everything downstream, as far as the next asset that is out of date for a reason of its own.
reached as (
    select asset, iteration, asset as cause, iteration as cause_iteration
    from causes

    union

    select dependencies.asset, dependencies.iteration, reached.cause, reached.cause_iteration
    from reached
    inner join dependencies
        on dependencies.upstream = reached.asset
        and dependencies.upstream_iteration is not distinct from reached.iteration
    left join causes
        on causes.asset = dependencies.asset
        and causes.iteration is not distinct from dependencies.iteration
    where causes.asset is null
),

-- Of several causes, those of the asset's own iteration are named, else those of the latest one before.
nearest as (
    select asset, iteration, cause, cause_iteration
    from reached
    qualify rank() over (
        partition by asset, iteration
        order by cause_iteration is not distinct from iteration desc, cause_iteration desc nulls first
    ) = 1
),

followed as (
    select
        asset,
        iteration,
        'follows ' || string_agg(
            cause || case when cause_iteration <> iteration then ' of ' || cause_iteration else '' end,
            ', ' order by cause
        ) || case when count(*) = 1 then ', which is out of date' else ', which are out of date' end as reason
    from nearest
    group by asset, iteration
)

select
    materializations.iteration,
    materializations.asset,
    coalesce(causes.reason, followed.reason) is not null as out_of_date,
    coalesce(causes.reason, followed.reason) as reason,
    materializations.materialized_at,
    materializations.run_id
from materializations
left join causes
    on causes.asset = materializations.asset
    and causes.iteration is not distinct from materializations.iteration
left join followed
    on followed.asset = materializations.asset
    and followed.iteration is not distinct from materializations.iteration
order by materializations.iteration nulls first, materializations.asset
