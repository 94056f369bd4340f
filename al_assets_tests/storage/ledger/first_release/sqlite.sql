-- SQLite: what the ledger's first release made, as it made it; never to be edited.

BEGIN TRANSACTION;
CREATE TABLE imports (
	id INTEGER NOT NULL, 
	policy VARCHAR NOT NULL, 
	content_hash VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	accepted INTEGER NOT NULL, 
	repeated INTEGER NOT NULL, 
	superseding INTEGER NOT NULL, 
	rejected_rows VARCHAR NOT NULL, 
	imported_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "imports" VALUES(1,'spam','abc','v.csv',1,0,0,'[3]','2026-11-22 20:50:28.179739');
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
	published_at DATETIME NOT NULL, 
	selected_by VARCHAR NOT NULL, 
	PRIMARY KEY (policy, iteration, item_id)
);
INSERT INTO "queue" VALUES('spam','0000','item000','text of item000','audit',NULL,'item000','high',100,0.25,0,0,'2026-11-22 20:50:28.168603','{"embedder": "bbb", "labeler": "aaa"}');
INSERT INTO "queue" VALUES('spam','0000','item001','text of item001','audit',NULL,'item001','high',100,0.25,0,1,'2026-11-22 20:50:28.168603','{"embedder": "bbb", "labeler": "aaa"}');
INSERT INTO "queue" VALUES('spam','0000','item002','text of item002','audit',NULL,'item002','high',100,0.25,0,2,'2026-11-22 20:50:28.168603','{"embedder": "bbb", "labeler": "aaa"}');
INSERT INTO "queue" VALUES('spam','0001','later','text of later','boundary',NULL,'later','high',100,0.25,0,0,'2026-11-22 20:50:28.183552','{"embedder": "bbb", "labeler": "aaa"}');
CREATE TABLE votes (
	seq INTEGER NOT NULL, 
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
	voted_at DATETIME NOT NULL, 
	recorded_at DATETIME NOT NULL, 
	supersedes INTEGER, 
	PRIMARY KEY (seq), 
	CONSTRAINT votes_vote_key UNIQUE (policy, vote_key)
);
INSERT INTO "votes" VALUES(1,'e0509e45c0960d55593b41935f597669','spam','item000','0000','anna','positive','1','f00','{"embedder": "bbb", "labeler": "aaa"}',0.25,1,NULL,'desk','2026-05-01 12:00:00.000000','2026-11-22 20:50:28.173762',NULL);
INSERT INTO "votes" VALUES(2,'67faec2a82fb8cd3bebfc9bc472ea034','spam','item000','0000','ben','negative','1',NULL,'{"embedder": "bbb", "labeler": "aaa"}',0.25,1,NULL,'desk','2026-05-01 12:01:00.000000','2026-11-22 20:50:28.173762',NULL);
INSERT INTO "votes" VALUES(3,'4d62e1235ab6ed89b09b69a6b9ebf7c6','spam','item001','0000','anna','undecided','1',NULL,'{"embedder": "bbb", "labeler": "aaa"}',0.25,1,'näja','desk','2026-05-01 12:02:00.000000','2026-11-22 20:50:28.173762',NULL);
INSERT INTO "votes" VALUES(4,'863103135be440e0a7e73cd7d11acb49','spam','item000','0000','anna','negative','1','f00','{"embedder": "bbb", "labeler": "aaa"}',0.25,1,NULL,'desk','2026-05-01 12:09:00.000000','2026-11-22 20:50:28.176933',1);
INSERT INTO "votes" VALUES(5,'538f4614fb078fdb8f00ce8d43a98769','spam','item002','0000','cleo','positive','1',NULL,'{"embedder": "bbb", "labeler": "aaa"}',0.25,1,NULL,'file:v.csv','2026-05-01 12:10:00.000000','2026-11-22 20:50:28.179610',NULL);
CREATE INDEX queue_by_item ON queue (policy, item_id);
CREATE INDEX votes_by_item ON votes (policy, iteration, item_id, rater, seq);
CREATE INDEX imports_by_content ON imports (policy, content_hash);
CREATE TRIGGER votes_no_update BEFORE UPDATE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: a vote is never changed or removed; record a new one, it supersedes');
END;
CREATE TRIGGER votes_no_delete BEFORE DELETE ON votes
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: a vote is never changed or removed; record a new one, it supersedes');
END;
CREATE TRIGGER queue_no_update BEFORE UPDATE ON queue
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: a published queue never loses or changes an item; append adds items');
END;
CREATE TRIGGER queue_no_delete BEFORE DELETE ON queue
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: a published queue never loses or changes an item; append adds items');
END;
CREATE TRIGGER imports_no_update BEFORE UPDATE ON imports
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: the record of an import is never changed or removed');
END;
CREATE TRIGGER imports_no_delete BEFORE DELETE ON imports
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: the record of an import is never changed or removed');
END;
CREATE TRIGGER votes_no_replace BEFORE INSERT ON votes
WHEN EXISTS (
    SELECT 1 FROM votes AS old
    WHERE old.seq = NEW.seq OR (old.policy = NEW.policy AND old.vote_key = NEW.vote_key)
)
BEGIN
    SELECT RAISE(ABORT, 'votes is append-only: this seq or vote_key is already taken');
END;
CREATE TRIGGER queue_no_replace BEFORE INSERT ON queue
WHEN EXISTS (
    SELECT 1 FROM queue AS old
    WHERE old.policy = NEW.policy AND old.iteration = NEW.iteration AND old.item_id = NEW.item_id
)
BEGIN
    SELECT RAISE(ABORT, 'queue is append-only: this item is already queued in this iteration');
END;
CREATE TRIGGER imports_no_replace BEFORE INSERT ON imports
WHEN EXISTS (SELECT 1 FROM imports AS old WHERE old.id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'imports is append-only: this id is already taken');
END;
COMMIT;
