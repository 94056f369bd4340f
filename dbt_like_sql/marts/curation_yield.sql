-- description: How curation enriches positives: their share in the pool, in the queue and among the labels, by reason.
-- source pseudo_labels: what the incumbent calls each item of the pool
-- source review_queue: what was asked, and why; hidden gold and repeats are left out, curation did not choose them
-- source stg_item_labels: what the experts answered; check items are left out, they are asked to measure
-- column iteration: the iteration
-- column stage: pool, queue or labels
-- column basis: whose word it is: pseudo-labels, audit estimate (experts' votes on the audit of this iteration,
--   weighted to the pool it was drawn from) or expert labels (majorities, tied items left out)
-- column reason: why the items were queued; all for the stage as a whole
-- column items: items the share rests on
-- column positives: of them positive; in the audit estimate the sum of the items' shares of positive votes
-- column positive_share: share of positives; in the audit estimate each stratum counts by its size in the pool

with pool as (
    select
        iteration,
        'pool' as stage,
        'pseudo-labels' as basis,
        'all' as reason,
        count(*) as items,
        count_if(label) as positives
    from pseudo_labels
    group by iteration
),

-- Each stratum by what was answered in it, so that a missing answer does not shift weight to other strata.
strata as (
    select
        iteration,
        stratum,
        any_value(stratum_size) as size,
        count(*) as items,
        sum(positive_share) as positives,
        avg(positive_share) as positive_share
    from stg_item_labels
    where reason = 'audit' and positive_share is not null
    group by iteration, stratum
),

audit as (
    select
        iteration,
        'pool' as stage,
        'audit estimate' as basis,
        'all' as reason,
        sum(items) as items,
        sum(positives) as positives,
        sum(size * positive_share) / sum(size) as positive_share
    from strata
    group by iteration
),

queued as (
    select
        review_queue.iteration,
        'queue' as stage,
        'pseudo-labels' as basis,
        coalesce(review_queue.reason, 'all') as reason,
        count(*) as items,
        count_if(pseudo_labels.label) as positives
    from review_queue
    inner join pseudo_labels using (iteration, item_id)
    where review_queue.reason not in ('gold', 'repeat')
    group by grouping sets ((review_queue.iteration), (review_queue.iteration, review_queue.reason))
),

labelled as (
    select
        iteration,
        'labels' as stage,
        'expert labels' as basis,
        coalesce(reason, 'all') as reason,
        count(*) as items,
        count_if(label) as positives
    from stg_item_labels
    where label is not null and reason <> 'check'
    group by grouping sets ((iteration), (iteration, reason))
),

counted as (
    from pool
    union all
    from queued
    union all
    from labelled
),

stages as (
    select *, positives / items as positive_share from counted
    union all
    from audit
)

select
    iteration,
    stage,
    basis,
    reason,
    items::bigint as items,
    positives::double as positives,
    positive_share
from stages
order by iteration, list_position(['pool', 'queue', 'labels'], stage), basis desc, reason
