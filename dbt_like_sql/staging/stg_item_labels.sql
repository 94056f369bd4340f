-- description: One row per item that was voted on: its votes counted and their majority.
-- source stg_votes: the current votes
-- column item_id: the item
-- column iteration: iteration that first asked for it
-- column reason: why it was queued then
-- column stratum: audit stratum, null if it was not drawn for the audit
-- column stratum_size: items of the pool in that stratum
-- column positive_votes: decisive votes for positive
-- column negative_votes: decisive votes for negative
-- column undecided_votes: answers 'cannot decide'
-- column positive_share: share of the decisive votes that are positive; null without a decisive vote
-- column label: the majority of the decisive votes; null if tied or without one

with counted as (
    select
        item_id,
        min(iteration) as iteration,
        arg_min(reason, iteration) as reason,
        arg_min(stratum, iteration) as stratum,
        arg_min(stratum_size, iteration) as stratum_size,
        count(*) filter (where positive) as positive_votes,
        count(*) filter (where not positive) as negative_votes,
        count(*) filter (where positive is null) as undecided_votes
    from stg_votes
    group by item_id
)

select
    item_id,
    iteration,
    reason,
    stratum,
    stratum_size,
    positive_votes,
    negative_votes,
    undecided_votes,
    positive_votes / nullif(positive_votes + negative_votes, 0) as positive_share,
    case when positive_votes <> negative_votes then positive_votes > negative_votes end as label
from counted
order by item_id
