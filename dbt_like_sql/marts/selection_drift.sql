-- description: The pairs the experts were asked about against those the same iteration would choose today.
-- source review_queue: the published queue
-- source boundary_pairs: the ranked pairs as they were last computed
-- source stg_item_labels: which items have a label already
-- column iteration: the iteration
-- column unit: pair, or item (the members of the pairs)
-- column published: in the published queue
-- column chosen_now: in today's choice, which is as large as the queue was when first published
-- column kept: in both
-- column dropped: published, but not chosen today
-- column new: chosen today, but never published
-- column jaccard: kept / (kept + dropped + new): 1 for the same choice, 0 for another; null if both are empty
-- column labelled: of today's choice, those with a decisive vote (a pair needs one for each member)
-- column labelled_share: labelled / chosen_now; null if nothing is chosen

with published as (
    select iteration, pair_id, min(revision) as revision
    from review_queue
    where reason = 'boundary' and pair_id is not null
    group by iteration, pair_id
),

-- Audit and control are drawn before the pairs, and a pair that lost a member to them gives way to the next in the draw.
free_pairs as (
    select
        iteration,
        pair_id,
        positive_item,
        negative_item,
        row_number() over (partition by iteration order by coalesce(draw_order, rank)) as place
    from boundary_pairs
    where rank is not null
    and not exists (
        select 1 from review_queue
        where review_queue.iteration = boundary_pairs.iteration
        and review_queue.reason in ('audit', 'control')
        and review_queue.item_id in (boundary_pairs.positive_item, boundary_pairs.negative_item)
    )
),

first_published as (
    select iteration, count(*) as pairs from published where revision = 0 group by iteration
),

selected as (
    select iteration, count_if(selected) as pairs from boundary_pairs group by iteration
),

size as (
    select iteration, coalesce(first_published.pairs, selected.pairs) as pairs
    from selected
    full join first_published using (iteration)
),

chosen as (
    select free_pairs.*
    from free_pairs
    inner join size using (iteration)
    where place <= size.pairs
),

published_units as (
    select iteration, 'pair' as unit, pair_id as id from published
    union
    select iteration, 'item' as unit, item_id as id from review_queue
    where reason = 'boundary' and pair_id is not null
),

chosen_members as (
    select iteration, pair_id, unnest([positive_item, negative_item]) as item_id from chosen
),

chosen_labels as (
    select chosen_members.*, coalesce(positive_votes + negative_votes, 0) > 0 as labelled
    from chosen_members
    left join stg_item_labels using (item_id)
),

chosen_units as (
    select iteration, 'pair' as unit, pair_id as id, bool_and(labelled) as labelled from chosen_labels
    group by iteration, pair_id
    union all
    select iteration, 'item' as unit, item_id as id, bool_and(labelled) as labelled from chosen_labels
    group by iteration, item_id
),

compared as (
    select
        iteration,
        unit,
        published_units.id is not null as was_published,
        chosen_units.id is not null as is_chosen,
        coalesce(chosen_units.labelled, false) as labelled
    from published_units
    full join chosen_units using (iteration, unit, id)
),

counted as (
    select
        size.iteration,
        units.unit,
        count_if(was_published) as published,
        count_if(is_chosen) as chosen_now,
        count_if(was_published and is_chosen) as kept,
        count_if(was_published and not is_chosen) as dropped,
        count_if(is_chosen and not was_published) as new,
        count_if(is_chosen and labelled) as labelled
    from size
    cross join (values ('pair'), ('item')) as units (unit)
    left join compared on compared.iteration = size.iteration and compared.unit = units.unit
    group by size.iteration, units.unit
)

select
    iteration,
    unit,
    published::bigint as published,
    chosen_now::bigint as chosen_now,
    kept::bigint as kept,
    dropped::bigint as dropped,
    new::bigint as new,
    kept / nullif(kept + dropped + new, 0) as jaccard,
    labelled::bigint as labelled,
    labelled / nullif(chosen_now, 0) as labelled_share
from counted
order by iteration, unit desc
