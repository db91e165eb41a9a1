BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003_access');
CREATE TABLE ended_sessions (
	id VARCHAR NOT NULL, 
	expires DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "ended_sessions" VALUES('5f0c',1.79579626370058417317e+09);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR, 
	device VARCHAR, 
	message VARCHAR NOT NULL, actor VARCHAR, address VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,1.79525398273163461684e+09,'installed','shades','door','Version 3 installed',NULL,NULL);
INSERT INTO "events" VALUES(2,1.7952539827547621727e+09,'evaluated','shades','door','Version 3 on own test pictures: accuracy 0.500',NULL,NULL);
INSERT INTO "events" VALUES(3,1.79525398297135853767e+09,'trained','shades','door','Trained on 20 pictures from version 3: accuracy 0.500',NULL,NULL);
CREATE TABLE facts (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('federation','first');
CREATE TABLE failed_log_ins (
	address VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	last DOUBLE NOT NULL, 
	blocked_until DOUBLE NOT NULL, 
	PRIMARY KEY (address)
);
INSERT INTO "failed_log_ins" VALUES('192.0.2.7',2,1.79579266370049643519e+09,0.0);
CREATE TABLE installed_models (
	task VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	file VARCHAR NOT NULL, 
	etag VARCHAR NOT NULL, 
	evaluation JSON, 
	problem VARCHAR, 
	PRIMARY KEY (task)
);
INSERT INTO "installed_models" VALUES('shades',3,'shades-1795253983-bb9e89a836f3.safetensors','"etag"','{"accuracy": 0.5, "loss": 1.0, "num_samples": 4}',NULL);
CREATE TABLE jobs (
	id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	process VARCHAR NOT NULL, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	cancel_requested BOOLEAN NOT NULL, 
	progress JSON, 
	result JSON, 
	problem JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('b7fc567efeaa4bd4aee4f1f76f3224c4','modeltrain','shades','done','17031-bce603bc4700',1.79525398298922371866e+09,1.79525398298999333381e+09,0,NULL,'{"epochs": 1}','null');
CREATE TABLE pending_updates (
	task VARCHAR NOT NULL, 
	base_version INTEGER NOT NULL, 
	num_samples INTEGER NOT NULL, 
	metrics JSON NOT NULL, 
	file VARCHAR NOT NULL, 
	result JSON NOT NULL, 
	trained DOUBLE NOT NULL, 
	answer JSON, 
	PRIMARY KEY (task)
);
INSERT INTO "pending_updates" VALUES('shades',3,20,'{"accuracy": 0.5}','shades-1795253983-68d8512f5152.safetensors','{"epochs": 5}',1.79525398296849822993e+09,'null');
CREATE TABLE tasks (
	name VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	definition JSON NOT NULL, 
	version INTEGER, 
	distributed_version INTEGER, 
	PRIMARY KEY (name)
);
INSERT INTO "tasks" VALUES('shades',0,'{"name": "shades", "classes": ["dark", "light"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head", "strategy": "fedavg", "min_updates": 1, "auto_aggregate": false, "seed": 1, "training": {"epochs": 5, "batch_size": 16, "learning_rate": 0.001}}',3,2);
CREATE TABLE unreadable_pictures (
	task VARCHAR NOT NULL, 
	pictures JSON NOT NULL, 
	PRIMARY KEY (task)
);
INSERT INTO "unreadable_pictures" VALUES('shades','[]');
CREATE TABLE uploaded_pictures (
	task VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	label VARCHAR, 
	label_from VARCHAR, 
	split VARCHAR, 
	name VARCHAR NOT NULL, 
	format VARCHAR NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	bytes INTEGER NOT NULL, 
	added DOUBLE NOT NULL, 
	labelled DOUBLE, 
	tried BOOLEAN NOT NULL, 
	trained DOUBLE, 
	file VARCHAR NOT NULL, 
	PRIMARY KEY (task, sha256)
);
INSERT INTO "uploaded_pictures" VALUES('shades','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','dark','name','train','dark.png','png',8,8,100,1.79525398299103569979e+09,NULL,0,NULL,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png');
CREATE TABLE uploaded_thumbnails (
	task VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	jpeg BLOB NOT NULL, 
	PRIMARY KEY (task, sha256)
);
INSERT INTO "uploaded_thumbnails" VALUES('shades','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',X'6A706567');
CREATE INDEX ix_jobs_started ON jobs (started);
CREATE INDEX ix_jobs_status ON jobs (status);
COMMIT;
