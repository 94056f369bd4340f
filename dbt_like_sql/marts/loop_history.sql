-- description: The course of the loop: one row per iteration with its labels, agreement, threshold and verdict.
-- source incumbent_model: who labelled the pool in the iteration
-- source review_queue: what the experts were asked
-- source check_queue: what they were asked after training, before the report; empty without check items
-- source stg_item_labels: what they answered, counted as of now
-- source kappa_report: what the report found when it was made
-- column iteration: the iteration
-- column incumbent: who labelled the pool: llm0 or checkpoint
-- column incumbent_from: iteration whose student that is; null for LLM-0
-- column queued_items: items asked for in the iteration, hidden gold and repeats aside
-- column check_items: of them, check items, asked after training
-- column hidden_items: gold and repeats hidden in its queue
-- column labelled_items: of them, items with a decisive vote
-- column labelled_so_far: items with a decisive vote, all iterations up to this one
-- column votes_so_far: votes on items of all iterations up to this one, undecided ones included
-- column expert_kappa: kappa among the experts on the evaluation items
-- column expert_kappa_low: lower end of its 95 % interval
-- column expert_kappa_high: upper end
-- column student_kappa: kappa of the new student with the experts, on the same items
-- column student_kappa_low: lower end of its 95 % interval
-- column student_kappa_high: upper end
-- column parity_difference: student_kappa - expert_kappa; parity is 0
-- column parity_difference_low: lower end of its 95 % interval
-- column parity_difference_high: upper end
-- column panel_kappa: student's kappa on the panel, the items that stay the same through all iterations
-- column panel_kappa_low: lower end of its 95 % interval
-- column panel_kappa_high: upper end
-- column audit_kappa: student's kappa in the whole pool
-- column audit_kappa_low: lower end of its 95 % interval
-- column audit_kappa_high: upper end
-- column pool_gain: how much more it agrees with the experts, in the pool, than the model recommended before
-- column pool_gain_low: lower end of its 95 % interval
-- column pool_gain_high: upper end
-- column prevalence: share of the pool that is positive
-- column prevalence_low: lower end of its 95 % interval
-- column prevalence_high: upper end
-- column student_threshold: score from which the student calls an item positive
-- column promoted: whether the student selects next, as the incumbent
-- column promotion_reason: why
-- column better: which is surely better in the pool: student, recommended (the model before), undecided
-- column recommended: the model to take: the iteration whose student it is, or LLM-0
-- column verdict: continue, parity, plateau, stable, budget spent or guideline problem; null before there is a report
-- column verdict_reason: why

with iterations as (
    select iteration from incumbent_model
    union
    select iteration from review_queue
    union
    select iteration from kappa_report
),

queued as (
    select
        iteration,
        count_if(reason not in ('gold', 'repeat')) as items,
        count_if(reason in ('gold', 'repeat')) as hidden
    from review_queue
    group by iteration
),

checked as (
    select iteration, count(*) as items from check_queue group by iteration
),

labelled as (
    select
        iteration,
        count(*) filter (where positive_votes + negative_votes > 0) as items,
        sum(positive_votes + negative_votes + undecided_votes) as votes
    from stg_item_labels
    group by iteration
),

intervals as (
    select
        iteration,
        any_value(figures) filter (where scope = 'evaluation' and figure = 'expert_expert_kappa') as expert,
        any_value(figures) filter (where scope = 'evaluation' and figure = 'model_expert_kappa') as student,
        any_value(figures) filter (where scope = 'evaluation' and figure = 'parity_difference') as parity,
        any_value(figures) filter (where scope = 'panel' and figure = 'model_expert_kappa') as panel,
        any_value(figures) filter (where scope = 'audit' and figure = 'model_expert_kappa') as audit,
        any_value(figures) filter (where scope = 'audit' and figure = 'gain_over_recommended') as gain,
        any_value(figures) filter (where scope = 'audit' and figure = 'prevalence') as prevalence,
        any_value(estimate) filter (where scope = 'pool' and figure = 'threshold') as threshold,
        any_value(promoted) as promoted,
        any_value(promotion_reason) as promotion_reason,
        any_value(better) as better,
        any_value(recommended) as recommended,
        any_value(verdict) as verdict,
        any_value(verdict_reason) as verdict_reason
    from kappa_report as figures
    group by iteration
)

select
    iterations.iteration,
    incumbent_model.kind as incumbent,
    incumbent_model.promoted_from as incumbent_from,
    (coalesce(queued.items, 0) + coalesce(checked.items, 0))::bigint as queued_items,
    coalesce(checked.items, 0)::bigint as check_items,
    coalesce(queued.hidden, 0)::bigint as hidden_items,
    coalesce(labelled.items, 0) as labelled_items,
    coalesce(sum(labelled.items) over so_far, 0)::bigint as labelled_so_far,
    coalesce(sum(labelled.votes) over so_far, 0)::bigint as votes_so_far,
    intervals.expert.estimate as expert_kappa,
    intervals.expert.low as expert_kappa_low,
    intervals.expert.high as expert_kappa_high,
    intervals.student.estimate as student_kappa,
    intervals.student.low as student_kappa_low,
    intervals.student.high as student_kappa_high,
    intervals.parity.estimate as parity_difference,
    intervals.parity.low as parity_difference_low,
    intervals.parity.high as parity_difference_high,
    intervals.panel.estimate as panel_kappa,
    intervals.panel.low as panel_kappa_low,
    intervals.panel.high as panel_kappa_high,
    intervals.audit.estimate as audit_kappa,
    intervals.audit.low as audit_kappa_low,
    intervals.audit.high as audit_kappa_high,
    intervals.gain.estimate as pool_gain,
    intervals.gain.low as pool_gain_low,
    intervals.gain.high as pool_gain_high,
    intervals.prevalence.estimate as prevalence,
    intervals.prevalence.low as prevalence_low,
    intervals.prevalence.high as prevalence_high,
    intervals.threshold as student_threshold,
    intervals.promoted,
    intervals.promotion_reason,
    intervals.better,
    intervals.recommended,
    intervals.verdict,
    intervals.verdict_reason
from iterations
left join incumbent_model using (iteration)
left join queued using (iteration)
left join checked using (iteration)
left join labelled using (iteration)
left join intervals using (iteration)
window so_far as (order by iterations.iteration)
order by iterations.iteration
