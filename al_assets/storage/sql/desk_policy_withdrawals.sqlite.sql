CREATE TRIGGER desk_policy_withdrawals_no_update BEFORE UPDATE ON desk_policy_withdrawals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_withdrawals is append-only: a withdrawal is never changed or removed');
END

CREATE TRIGGER desk_policy_withdrawals_no_delete BEFORE DELETE ON desk_policy_withdrawals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_withdrawals is append-only: a withdrawal is never changed or removed');
END

CREATE TRIGGER desk_policy_withdrawals_no_replace BEFORE INSERT ON desk_policy_withdrawals
WHEN EXISTS (SELECT 1 FROM desk_policy_withdrawals AS old WHERE old.proposal_id = NEW.proposal_id)
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_withdrawals is append-only: this proposal is already withdrawn');
END
