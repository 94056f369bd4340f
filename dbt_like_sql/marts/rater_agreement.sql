-- description: How well each two raters agree, per iteration and over all iterations up to it.
-- source stg_votes: the first answers of the current votes
-- source stg_item_labels: which iteration first asked for an item
-- column iteration: the iteration
-- column scope: iteration (items first asked for in it) or so far (items of all iterations up to it)
-- column rater_a: one rater, the first by name
-- column rater_b: the other
-- column items: items both answered decisively
-- column both_positive: of them, both said positive
-- column only_a_positive: only the first said positive
-- column only_b_positive: only the second said positive
-- column both_negative: both said negative
-- column observed_agreement: share of the items on which they agree
-- column chance_agreement: agreement expected from their shares of positives alone
-- column cohen_kappa: (observed - chance) / (1 - chance); null where both used one and the same label throughout
-- column positive_agreement: 2 both_positive / (2 both_positive + disagreements); null if neither ever said positive
-- column negative_agreement: 2 both_negative / (2 both_negative + disagreements); null if neither ever said negative
-- column gwet_ac1: Gwet's AC1, whose chance agreement is 2 p (1 - p), p the mean of their shares of positives
-- column prevalence_index: |both_positive - both_negative| / items
-- column bias_index: |only_a_positive - only_b_positive| / items

with answered as (
    select
        asked.iteration,
        first.rater as rater_a,
        second.rater as rater_b,
        first.first_positive as a,
        second.first_positive as b
    from stg_votes as first
    inner join stg_votes as second on first.item_id = second.item_id and first.rater < second.rater
    inner join stg_item_labels as asked on first.item_id = asked.item_id
    where first.first_positive is not null and second.first_positive is not null
),

scoped as (
    select 'iteration' as scope, * from answered
    union all
    select 'so far' as scope, iterations.iteration, rater_a, rater_b, a, b
    from (select distinct iteration from answered) as iterations
    inner join answered on answered.iteration <= iterations.iteration
),

counted as (
    select
        iteration,
        scope,
        rater_a,
        rater_b,
        count(*) as items,
        count(*) filter (where a and b) as both_positive,
        count(*) filter (where a and not b) as only_a_positive,
        count(*) filter (where b and not a) as only_b_positive,
        count(*) filter (where not a and not b) as both_negative
    from scoped
    group by iteration, scope, rater_a, rater_b
),

agreed as (
    select
        *,
        (both_positive + both_negative) / items as observed_agreement,
        (
            (both_positive + only_a_positive) * (both_positive + only_b_positive)
            + (both_negative + only_b_positive) * (both_negative + only_a_positive)
        ) / (items * items) as chance_agreement,
        (2 * both_positive + only_a_positive + only_b_positive) / (2 * items) as positive_share
    from counted
)

select
    iteration,
    scope,
    rater_a,
    rater_b,
    items,
    both_positive,
    only_a_positive,
    only_b_positive,
    both_negative,
    observed_agreement,
    chance_agreement,
    (observed_agreement - chance_agreement) / nullif(1 - chance_agreement, 0) as cohen_kappa,
    2 * both_positive / nullif(2 * both_positive + only_a_positive + only_b_positive, 0) as positive_agreement,
    2 * both_negative / nullif(2 * both_negative + only_a_positive + only_b_positive, 0) as negative_agreement,
    (observed_agreement - 2 * positive_share * (1 - positive_share))
    / (1 - 2 * positive_share * (1 - positive_share)) as gwet_ac1,
    abs(both_positive - both_negative) / items as prevalence_index,
    abs(only_a_positive - only_b_positive) / items as bias_index
from agreed
order by iteration, scope, rater_a, rater_b
