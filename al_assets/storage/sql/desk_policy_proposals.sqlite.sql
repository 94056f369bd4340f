CREATE TRIGGER desk_policy_proposals_no_update BEFORE UPDATE ON desk_policy_proposals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: a proposal is never changed or removed');
END

CREATE TRIGGER desk_policy_proposals_no_delete BEFORE DELETE ON desk_policy_proposals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: a proposal is never changed or removed');
END

-- INSERT OR REPLACE deletes the old row without firing a delete trigger: refuse the insert instead.
CREATE TRIGGER desk_policy_proposals_no_replace BEFORE INSERT ON desk_policy_proposals
WHEN EXISTS (
    SELECT 1 FROM desk_policy_proposals AS old
    WHERE old.id = NEW.id OR (old.policy = NEW.policy AND old.proposal_key = NEW.proposal_key)
)
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: this id or proposal_key is already taken');
END
