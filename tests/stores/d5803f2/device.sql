BEGIN TRANSACTION;
CREATE TABLE events (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR, 
	device VARCHAR, 
	message VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,1.79525398111778187754e+09,'installed','shades','door','Version 3 installed');
INSERT INTO "events" VALUES(2,1.79525398112554907797e+09,'evaluated','shades','door','Version 3 on own test pictures: accuracy 0.500');
INSERT INTO "events" VALUES(3,1.79525398124503016475e+09,'trained','shades','door','Trained on 20 pictures from version 3: accuracy 0.500');
CREATE TABLE facts (
	name VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('federation','first');
CREATE TABLE installed_models (
	task VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	file VARCHAR NOT NULL, 
	etag VARCHAR NOT NULL, 
	evaluation JSON, 
	problem VARCHAR, 
	PRIMARY KEY (task)
);
INSERT INTO "installed_models" VALUES('shades',3,'shades-1795253981-8a4baaf4577a.safetensors','"etag"','{"accuracy": 0.5, "loss": 1.0, "num_samples": 4}',NULL);
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
INSERT INTO "jobs" VALUES('ed145de24ccd4373aae45bde3c72befe','modeltrain','shades','done','16991-ced3790d39ef',1.79525398125183963775e+09,1.79525398125260567672e+09,0,NULL,'{"epochs": 1}','null');
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
INSERT INTO "pending_updates" VALUES('shades',3,20,'{"accuracy": 0.5}','shades-1795253981-a780428c8328.safetensors','{"epochs": 5}',1.79525398124244880675e+09,'null');
CREATE TABLE tasks (
	name VARCHAR NOT NULL, 
	position INTEGER NOT NULL, 
	definition JSON NOT NULL, 
	version INTEGER, 
	distributed_version INTEGER, 
	PRIMARY KEY (name)
);
INSERT INTO "tasks" VALUES('shades',0,'{"name": "shades", "classes": ["dark", "light"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head", "strategy": "fedavg", "min_updates": 1, "seed": 1, "training": {"epochs": 5, "batch_size": 16, "learning_rate": 0.001}}',3,2);
CREATE TABLE unreadable_pictures (
	task VARCHAR NOT NULL, 
	pictures JSON NOT NULL, 
	PRIMARY KEY (task)
);
INSERT INTO "unreadable_pictures" VALUES('shades','[]');
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_started ON jobs (started);
COMMIT;
