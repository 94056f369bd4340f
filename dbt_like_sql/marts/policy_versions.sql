-- description: What was answered under each version of the policy, and how well the raters agreed under it.
-- source stg_votes: the current votes
-- column policy_version: the version the votes were cast under
-- column latest: it is the version of the newest vote
-- column votes: current votes cast under it, hidden gold and repeats aside
-- column items: items with such a vote
-- column raters: who cast them
-- column positive_share: share of the decisive votes that are positive; null without one
-- column undecided_share: share of the votes that are 'cannot decide'
-- column shared_items: items that two raters or more decided under this version
-- column observed_agreement: share of the pairs of decisive first answers to one item that agree; null without a pair
-- column cohen_kappa: mean over pairs of raters of their kappa under this version; null if undefined for all of them
-- column first_voted_at: when the first of the votes was cast
-- column last_voted_at: when the last was

with answered as (
    select
        first.policy_version,
        first.item_id,
        first.rater as rater_a,
        second.rater as rater_b,
        first.first_positive as a,
        second.first_positive as b
    from stg_votes as first
    inner join stg_votes as second
        on first.item_id = second.item_id
        and first.policy_version = second.policy_version
        and first.rater < second.rater
    where first.first_positive is not null and second.first_positive is not null
),

pairs as (
    select
        policy_version,
        rater_a,
        rater_b,
        count(*) as items,
        count_if(a = b) / count(*) as observed,
        (count_if(a) * count_if(b) + count_if(not a) * count_if(not b)) / (count(*) * count(*)) as chance
    from answered
    group by policy_version, rater_a, rater_b
),

agreed as (
    select
        policy_version,
        sum(observed * items) / sum(items) as observed_agreement,
        avg((observed - chance) / nullif(1 - chance, 0)) as cohen_kappa
    from pairs
    group by policy_version
),

shared as (
    select policy_version, count(distinct item_id) as items from answered group by policy_version
),

cast_under as (
    select
        policy_version,
        count(*) as votes,
        count(distinct item_id) as items,
        count(distinct rater) as raters,
        count_if(positive) / nullif(count(positive), 0) as positive_share,
        count_if(positive is null) / count(*) as undecided_share,
        min(voted_at) as first_voted_at,
        max(voted_at) as last_voted_at,
        max(seq) as last_seq
    from stg_votes
    group by policy_version
)

select
    policy_version,
    last_seq = max(last_seq) over () as latest,
    cast_under.votes,
    cast_under.items,
    cast_under.raters,
    cast_under.positive_share,
    cast_under.undecided_share,
    coalesce(shared.items, 0) as shared_items,
    agreed.observed_agreement,
    agreed.cohen_kappa,
    cast_under.first_voted_at,
    cast_under.last_voted_at
from cast_under
left join agreed using (policy_version)
left join shared using (policy_version)
order by cast_under.first_voted_at, policy_version
