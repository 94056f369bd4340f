-- description: The life of each region: how confused its labeler is, iteration by iteration, and where experts differ.
-- source overlap_map: what each region was like when the iteration was curated
-- source cluster_assignments: where each item lay then
-- source stg_item_labels: what the experts answered
-- column iteration: the iteration
-- column region: number of the region in that iteration
-- column name: its number and the words that it has more of than the others
-- column continues: the region of the iteration before that it is, by its members; null for a new one
-- column shared: shared members / members of either, with that region or the one most like it; null in the first
-- column items: items of the pool in it
-- column positive_share: share of them that the incumbent calls positive
-- column error: share of the incumbent's labels in it that the experts would overturn, by what was known when curating
-- column error_low: lower end of its 95 % interval
-- column error_high: upper end
-- column error_before: the same of the region it continues, for the incumbent of that iteration
-- column labelled: items in it that experts have answered up to and including this iteration
-- column disputed: of them, those whose votes differ: a matter for the guideline rather than for more labels

with iterations as (
    select iteration, lag(iteration) over (order by iteration) as earlier
    from (select distinct iteration from overlap_map)
),

shared_members as (
    select now.iteration, now.region, past.region as earlier_region, count(*) as members
    from cluster_assignments as now
    inner join iterations using (iteration)
    inner join cluster_assignments as past on past.iteration = iterations.earlier and past.item_id = now.item_id
    group by now.iteration, now.region, past.region
),

sizes as (
    select iteration, region, count(*) as members from cluster_assignments group by iteration, region
),

likeness as (
    select
        shared_members.iteration,
        shared_members.region,
        shared_members.earlier_region,
        shared_members.members / (now.members + past.members - shared_members.members) as shared
    from shared_members
    inner join iterations using (iteration)
    inner join sizes as now on now.iteration = shared_members.iteration and now.region = shared_members.region
    inner join sizes as past on past.iteration = iterations.earlier and past.region = shared_members.earlier_region
),

likest as (
    select iteration, region, arg_max(earlier_region, shared) as earlier_region, max(shared) as shared
    from likeness
    group by iteration, region
),

answered as (
    select
        cluster_assignments.iteration,
        cluster_assignments.region,
        count(*) as labelled,
        count_if(stg_item_labels.positive_votes > 0 and stg_item_labels.negative_votes > 0) as disputed
    from cluster_assignments
    inner join stg_item_labels
        on stg_item_labels.item_id = cluster_assignments.item_id
        and stg_item_labels.iteration <= cluster_assignments.iteration
    group by cluster_assignments.iteration, cluster_assignments.region
)

select
    overlap_map.iteration,
    overlap_map.region::bigint as region,
    overlap_map.name,
    case when likest.shared >= 0.5 then likest.earlier_region end::bigint as continues,
    likest.shared,
    overlap_map.items,
    overlap_map.positive_share,
    overlap_map.error,
    overlap_map.error_low,
    overlap_map.error_high,
    past.error as error_before,
    coalesce(answered.labelled, 0)::bigint as labelled,
    coalesce(answered.disputed, 0)::bigint as disputed
from overlap_map
inner join iterations using (iteration)
left join likest on likest.iteration = overlap_map.iteration and likest.region = overlap_map.region
left join overlap_map as past
    on past.iteration = iterations.earlier and past.region = likest.earlier_region and likest.shared >= 0.5
left join answered on answered.iteration = overlap_map.iteration and answered.region = overlap_map.region
order by overlap_map.iteration, overlap_map.error * overlap_map.items desc, overlap_map.region
