-- description: How curation enriches positives: their share in the pool, in the queue and among the labels, by reason.
-- source pseudo_labels: what the incumbent calls each item of the pool
-- source review_queue: what was asked, and why; hidden gold and repeats are left out, curation did not choose them
-- source stg_item_labels: what the experts answered; check items are left out, they are asked to measure
-- source kappa_report: what the experts' votes say of the whole pool
-- column iteration: the iteration
-- column stage: pool, queue or labels
-- column basis: whose word it is: pseudo-labels, audit estimate (experts' votes so far, weighted to the pool) or expert
--   labels (majorities, tied items left out)
-- column reason: why the items were queued; all for the stage as a whole
-- column items: items the share rests on
-- column positives: of them positive; null for the audit estimate
-- column positive_share: share of positives

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

estimated as (
    select
        iteration,
        'pool' as stage,
        'audit estimate' as basis,
        'all' as reason,
        items,
        null as positives,
        estimate as positive_share
    from kappa_report
    where figure = 'prevalence' and scope = 'audit'
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
    from estimated
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
