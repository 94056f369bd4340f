-- PostgreSQL: what the ledger's first release made, as it made it; never to be edited.

CREATE TABLE imports (
	id BIGSERIAL NOT NULL, 
	policy VARCHAR NOT NULL, 
	content_hash VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	accepted INTEGER NOT NULL, 
	repeated INTEGER NOT NULL, 
	superseding INTEGER NOT NULL, 
	rejected_rows VARCHAR NOT NULL, 
	imported_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (id)
)

CREATE INDEX imports_by_content ON imports (policy, content_hash)

CREATE TABLE queue (
	policy VARCHAR NOT NULL, 
	iteration VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	pair_id VARCHAR, 
	group_id VARCHAR NOT NULL, 
	stratum VARCHAR, 
	stratum_size BIGINT, 
	inclusion_probability FLOAT, 
	revision INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	published_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	selected_by VARCHAR NOT NULL, 
	PRIMARY KEY (policy, iteration, item_id)
)

CREATE INDEX queue_by_item ON queue (policy, item_id)

CREATE TABLE votes (
	seq BIGINT NOT NULL, 
	vote_key VARCHAR NOT NULL, 
	policy VARCHAR NOT NULL, 
	item_id VARCHAR NOT NULL, 
	iteration VARCHAR NOT NULL, 
	rater VARCHAR NOT NULL, 
	label VARCHAR NOT NULL, 
	policy_version VARCHAR NOT NULL, 
	policy_fingerprint VARCHAR, 
	selected_by VARCHAR NOT NULL, 
	inclusion_probability FLOAT, 
	blind BOOLEAN NOT NULL, 
	comment VARCHAR, 
	source VARCHAR NOT NULL, 
	voted_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	recorded_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	supersedes BIGINT, 
	PRIMARY KEY (seq), 
	CONSTRAINT votes_vote_key UNIQUE (policy, vote_key)
)

CREATE INDEX votes_by_item ON votes (policy, iteration, item_id, rater, seq)

CREATE OR REPLACE FUNCTION al_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' is append-only: ' || TG_OP || ' is refused; a new row supersedes an old one';
END
$$

CREATE TRIGGER votes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON votes
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER queue_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON queue
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

CREATE TRIGGER imports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON imports
FOR EACH STATEMENT EXECUTE FUNCTION al_append_only()

INSERT INTO imports (policy, content_hash, name, accepted, repeated, superseding, rejected_rows, imported_at) VALUES ('spam', 'abc', 'v.csv', 1, 0, 0, '[3]', '2026-11-22 20:50:28.179739+00')

INSERT INTO queue (policy, iteration, item_id, text, reason, pair_id, group_id, stratum, stratum_size, inclusion_probability, revision, position, published_at, selected_by) VALUES ('spam', '0000', 'item000', 'text of item000', 'audit', NULL, 'item000', 'high', 100, 0.25, 0, 0, '2026-11-22 20:50:28.168603+00', '{"embedder": "bbb", "labeler": "aaa"}')

INSERT INTO queue (policy, iteration, item_id, text, reason, pair_id, group_id, stratum, stratum_size, inclusion_probability, revision, position, published_at, selected_by) VALUES ('spam', '0000', 'item001', 'text of item001', 'audit', NULL, 'item001', 'high', 100, 0.25, 0, 1, '2026-11-22 20:50:28.168603+00', '{"embedder": "bbb", "labeler": "aaa"}')

INSERT INTO queue (policy, iteration, item_id, text, reason, pair_id, group_id, stratum, stratum_size, inclusion_probability, revision, position, published_at, selected_by) VALUES ('spam', '0000', 'item002', 'text of item002', 'audit', NULL, 'item002', 'high', 100, 0.25, 0, 2, '2026-11-22 20:50:28.168603+00', '{"embedder": "bbb", "labeler": "aaa"}')

INSERT INTO queue (policy, iteration, item_id, text, reason, pair_id, group_id, stratum, stratum_size, inclusion_probability, revision, position, published_at, selected_by) VALUES ('spam', '0001', 'later', 'text of later', 'boundary', NULL, 'later', 'high', 100, 0.25, 0, 0, '2026-11-22 20:50:28.183552+00', '{"embedder": "bbb", "labeler": "aaa"}')

INSERT INTO votes (seq, vote_key, policy, item_id, iteration, rater, label, policy_version, policy_fingerprint, selected_by, inclusion_probability, blind, comment, source, voted_at, recorded_at, supersedes) VALUES (1, 'e0509e45c0960d55593b41935f597669', 'spam', 'item000', '0000', 'anna', 'positive', '1', 'f00', '{"embedder": "bbb", "labeler": "aaa"}', 0.25, true, NULL, 'desk', '2026-05-01 12:00:00.000000+00', '2026-11-22 20:50:28.173762+00', NULL)

INSERT INTO votes (seq, vote_key, policy, item_id, iteration, rater, label, policy_version, policy_fingerprint, selected_by, inclusion_probability, blind, comment, source, voted_at, recorded_at, supersedes) VALUES (2, '67faec2a82fb8cd3bebfc9bc472ea034', 'spam', 'item000', '0000', 'ben', 'negative', '1', NULL, '{"embedder": "bbb", "labeler": "aaa"}', 0.25, true, NULL, 'desk', '2026-05-01 12:01:00.000000+00', '2026-11-22 20:50:28.173762+00', NULL)

INSERT INTO votes (seq, vote_key, policy, item_id, iteration, rater, label, policy_version, policy_fingerprint, selected_by, inclusion_probability, blind, comment, source, voted_at, recorded_at, supersedes) VALUES (3, '4d62e1235ab6ed89b09b69a6b9ebf7c6', 'spam', 'item001', '0000', 'anna', 'undecided', '1', NULL, '{"embedder": "bbb", "labeler": "aaa"}', 0.25, true, 'näja', 'desk', '2026-05-01 12:02:00.000000+00', '2026-11-22 20:50:28.173762+00', NULL)

INSERT INTO votes (seq, vote_key, policy, item_id, iteration, rater, label, policy_version, policy_fingerprint, selected_by, inclusion_probability, blind, comment, source, voted_at, recorded_at, supersedes) VALUES (4, '863103135be440e0a7e73cd7d11acb49', 'spam', 'item000', '0000', 'anna', 'negative', '1', 'f00', '{"embedder": "bbb", "labeler": "aaa"}', 0.25, true, NULL, 'desk', '2026-05-01 12:09:00.000000+00', '2026-11-22 20:50:28.176933+00', 1)

INSERT INTO votes (seq, vote_key, policy, item_id, iteration, rater, label, policy_version, policy_fingerprint, selected_by, inclusion_probability, blind, comment, source, voted_at, recorded_at, supersedes) VALUES (5, '538f4614fb078fdb8f00ce8d43a98769', 'spam', 'item002', '0000', 'cleo', 'positive', '1', NULL, '{"embedder": "bbb", "labeler": "aaa"}', 0.25, true, NULL, 'file:v.csv', '2026-05-01 12:10:00.000000+00', '2026-11-22 20:50:28.179610+00', NULL)
