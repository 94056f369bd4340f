CREATE TRIGGER votes_no_update BEFORE UPDATE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: a vote is never changed or removed; record a new one, it supersedes');
END

CREATE TRIGGER votes_no_delete BEFORE DELETE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: a vote is never changed or removed; record a new one, it supersedes');
END

CREATE TRIGGER queue_no_update BEFORE UPDATE ON queue
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: a published queue never loses or changes an item; append adds items');
END

CREATE TRIGGER queue_no_delete BEFORE DELETE ON queue
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: a published queue never loses or changes an item; append adds items');
END

CREATE TRIGGER policy_texts_no_update BEFORE UPDATE ON policy_texts
BEGIN
    SELECT RAISE(ABORT, 'policy_texts is append-only: a text that votes were cast under is never changed or removed');
END

CREATE TRIGGER policy_texts_no_delete BEFORE DELETE ON policy_texts
BEGIN
    SELECT RAISE(ABORT, 'policy_texts is append-only: a text that votes were cast under is never changed or removed');
END

CREATE TRIGGER imports_no_update BEFORE UPDATE ON imports
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: the record of an import is never changed or removed');
END

CREATE TRIGGER imports_no_delete BEFORE DELETE ON imports
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: the record of an import is never changed or removed');
END

CREATE TRIGGER adjudications_no_update BEFORE UPDATE ON adjudications
BEGIN
    SELECT RAISE(ABORT, 'adjudications is append-only: a decision is never changed or removed; record a new one, it supersedes');
END

CREATE TRIGGER adjudications_no_delete BEFORE DELETE ON adjudications
BEGIN
    SELECT RAISE(ABORT, 'adjudications is append-only: a decision is never changed or removed; record a new one, it supersedes');
END

CREATE TRIGGER rater_changes_no_update BEFORE UPDATE ON rater_changes
BEGIN
    SELECT RAISE(ABORT, 'rater_changes is append-only: who joined or left is never changed or removed; record the next change');
END

CREATE TRIGGER rater_changes_no_delete BEFORE DELETE ON rater_changes
BEGIN
    SELECT RAISE(ABORT, 'rater_changes is append-only: who joined or left is never changed or removed; record the next change');
END

-- INSERT OR REPLACE deletes the old row without firing a delete trigger: refuse the insert instead.
CREATE TRIGGER votes_no_replace BEFORE INSERT ON votes
WHEN EXISTS (
    SELECT 1 FROM votes AS old
    WHERE old.seq = NEW.seq OR (old.policy = NEW.policy AND old.vote_key = NEW.vote_key)
)
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: this seq or vote_key is already taken');
END

CREATE TRIGGER queue_no_replace BEFORE INSERT ON queue
WHEN EXISTS (
    SELECT 1 FROM queue AS old
    WHERE old.policy = NEW.policy AND old.iteration = NEW.iteration AND old.item_id = NEW.item_id
)
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: this item is already queued in this iteration');
END

CREATE TRIGGER policy_texts_no_replace BEFORE INSERT ON policy_texts
WHEN EXISTS (
    SELECT 1 FROM policy_texts AS old
    WHERE old.policy = NEW.policy AND old.fingerprint = NEW.fingerprint
)
BEGIN
    SELECT RAISE(ABORT, 'policy_texts is append-only: this text is already on record');
END

CREATE TRIGGER imports_no_replace BEFORE INSERT ON imports
WHEN EXISTS (SELECT 1 FROM imports AS old WHERE old.id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: this id is already taken');
END

CREATE TRIGGER adjudications_no_replace BEFORE INSERT ON adjudications
WHEN EXISTS (
    SELECT 1 FROM adjudications AS old
    WHERE old.seq = NEW.seq OR (old.policy = NEW.policy AND old.adjudication_key = NEW.adjudication_key)
)
BEGIN
    SELECT RAISE(ABORT, 'adjudications is append-only: this seq or adjudication_key is already taken');
END

CREATE TRIGGER rater_changes_no_replace BEFORE INSERT ON rater_changes
WHEN EXISTS (SELECT 1 FROM rater_changes AS old WHERE old.id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'rater_changes is append-only: this id is already taken');
END

-- Votes and adjudications share one order: a reader of one table up to a seq must not miss a row of the other.
CREATE TRIGGER votes_seq_is_free BEFORE INSERT ON votes
WHEN EXISTS (SELECT 1 FROM adjudications AS other WHERE other.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'votes: this seq is already taken by an adjudication');
END

CREATE TRIGGER adjudications_seq_is_free BEFORE INSERT ON adjudications
WHEN EXISTS (SELECT 1 FROM votes AS other WHERE other.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'adjudications: this seq is already taken by a vote');
END

CREATE TRIGGER desk_audit_no_update BEFORE UPDATE ON desk_audit
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: what was done is never changed or removed');
END

CREATE TRIGGER desk_audit_no_delete BEFORE DELETE ON desk_audit
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: what was done is never changed or removed');
END

CREATE TRIGGER desk_audit_no_replace BEFORE INSERT ON desk_audit
WHEN EXISTS (SELECT 1 FROM desk_audit AS old WHERE old.seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'desk_audit is append-only: this seq is already taken');
END

CREATE TRIGGER desk_policy_proposals_no_update BEFORE UPDATE ON desk_policy_proposals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: a proposal is never changed or removed');
END

CREATE TRIGGER desk_policy_proposals_no_delete BEFORE DELETE ON desk_policy_proposals
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: a proposal is never changed or removed');
END

CREATE TRIGGER desk_policy_proposals_no_replace BEFORE INSERT ON desk_policy_proposals
WHEN EXISTS (
    SELECT 1 FROM desk_policy_proposals AS old
    WHERE old.id = NEW.id OR (old.policy = NEW.policy AND old.proposal_key = NEW.proposal_key)
)
BEGIN
    SELECT RAISE(ABORT, 'desk_policy_proposals is append-only: this id or proposal_key is already taken');
END

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
