-- description: The current votes: the newest answer of each rater to each item, over all iterations.
-- source expert_labels: votes as each iteration's labels were last read from the ledger
-- column item_id: the item
-- column rater: who voted
-- column iteration: iteration whose queue asked for the vote
-- column reason: why the item was queued
-- column label: positive, negative or undecided
-- column positive: true or false; null if undecided
-- column first_positive: the same of the answer that agreement rests on, see first_label of expert_labels
-- column stratum: audit stratum, null if the item was not drawn for the audit
-- column stratum_size: items of the pool in that stratum
-- column policy_version: policy version the vote was cast under
-- column seq: place in the ledger
-- column voted_at: when the rater answered

-- An iteration's file holds the votes as of its last materialization, those of earlier iterations included, so a vote
-- may be in several files and a superseded one may still be in an older file.
select
    item_id,
    rater,
    queued_iteration as iteration,
    reason,
    label,
    case label when 'positive' then true when 'negative' then false end as positive,
    case first_label when 'positive' then true when 'negative' then false end as first_positive,
    stratum,
    stratum_size,
    policy_version,
    seq,
    voted_at
from expert_labels
-- A vote that was taken back since is in older files still: only files as of the ledger's latest place count.
where
    coalesce(as_of, 0) = (
        select max(coalesce(newer.as_of, 0))
        from expert_labels as newer
        where newer.iteration >= expert_labels.queued_iteration
    )
qualify row_number() over (partition by item_id, rater order by seq desc, expert_labels.iteration desc) = 1
order by seq
