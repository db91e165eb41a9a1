BEGIN TRANSACTION;
CREATE TABLE device_steps (
	task VARCHAR NOT NULL, 
	round INTEGER NOT NULL, 
	step VARCHAR NOT NULL, 
	device VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	job VARCHAR, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	attempts INTEGER NOT NULL, 
	result JSON, 
	problem JSON, 
	PRIMARY KEY (task, round, step, device)
);
INSERT INTO "device_steps" VALUES('digits',1,'modeltrain','device1','done',NULL,1.79525393286534118647e+09,1.79525393286534118647e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'sendmodel','device1','done',NULL,1.79525393286534118647e+09,1.79525393286534118647e+09,1,'{"num_samples": 10, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'modeltrain','device2','done',NULL,1.79525393287956023212e+09,1.79525393287956023212e+09,1,'{"num_samples": 11, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'sendmodel','device2','done',NULL,1.79525393287956023212e+09,1.79525393287956023212e+09,1,'{"num_samples": 11, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'aggregate_models','','done','c9ff24ef565c47ee9460c95cde0a9824',1.79525393288846063619e+09,1.79525393290033316619e+09,1,'{"version": 1, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.015}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'send_model_clients','device1','failed','05fc8004bc0c41b7bb788d2d6cb27f43',1.79525393292988586424e+09,1.79525393293647527693e+09,1,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
INSERT INTO "device_steps" VALUES('digits',1,'send_model_clients','device2','failed','05fc8004bc0c41b7bb788d2d6cb27f43',1.79525393292988586424e+09,1.79525393293371224399e+09,1,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
INSERT INTO "device_steps" VALUES('digits',2,'modeltrain','device1','done',NULL,1.7952539329479627609e+09,1.7952539329479627609e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'sendmodel','device1','done',NULL,1.7952539329479627609e+09,1.7952539329479627609e+09,1,'{"num_samples": 10, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'modeltrain','device2','done',NULL,1.79525393295786404607e+09,1.79525393295786404607e+09,1,'{"num_samples": 11, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'sendmodel','device2','done',NULL,1.79525393295786404607e+09,1.79525393295786404607e+09,1,'{"num_samples": 11, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'aggregate_models','','done','9222250ab2714740862f7be954729b95',1.79525393296389627461e+09,1.79525393297144365313e+09,1,'{"version": 2, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.009}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'send_model_clients','device1','failed','cf6879a258a04a24be34d0c549c80660',1.79525393299002313613e+09,1.79525393299376749989e+09,1,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
INSERT INTO "device_steps" VALUES('digits',2,'send_model_clients','device2','failed','cf6879a258a04a24be34d0c549c80660',1.79525393299002313613e+09,1.79525393299581122403e+09,1,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
INSERT INTO "device_steps" VALUES('digits',3,'modeltrain','device1','failed','eab9737e41b94e278745737478a1a518',1.79525393301346278185e+09,1.79525393301741576198e+09,2,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
INSERT INTO "device_steps" VALUES('digits',3,'sendmodel','device1','done',NULL,1.79525393300642585755e+09,1.79525393300642585755e+09,1,'{"num_samples": 10, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('digits',3,'modeltrain','device2','failed','eab9737e41b94e278745737478a1a518',1.79525393301346278185e+09,1.79525393301931476593e+09,1,NULL,'{"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}');
CREATE TABLE device_tasks (
	device VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	num_samples INTEGER NOT NULL, 
	version INTEGER, 
	problem VARCHAR, 
	reservation VARCHAR, 
	activity JSON, 
	PRIMARY KEY (device, task), 
	FOREIGN KEY(device) REFERENCES devices (name) ON DELETE CASCADE
);
INSERT INTO "device_tasks" VALUES('device1','digits',10,2,NULL,NULL,NULL);
INSERT INTO "device_tasks" VALUES('device2','digits',10,2,NULL,NULL,NULL);
CREATE TABLE devices (
	name VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	address VARCHAR, 
	page_url VARCHAR NOT NULL, 
	token_hash VARCHAR NOT NULL, 
	enrolled DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	PRIMARY KEY (name), 
	UNIQUE (token_hash)
);
INSERT INTO "devices" VALUES('device1','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','1868b3a7fb374339b2618737ebbf6572ddfb953b59c2980c95dfbc62af4b73f3',1.79525393281745028494e+09,1.79525393297721338279e+09);
INSERT INTO "devices" VALUES('device2','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','6e39f855fc2bbe8f54d68382fc6aa37eb20b528b9d1577af74c666f10b9f7784',1.79525393284243130684e+09,1.79525393298367786408e+09);
CREATE TABLE evaluations (
	task VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	loss DOUBLE NOT NULL, 
	num_samples INTEGER NOT NULL, 
	confusion JSON, 
	PRIMARY KEY (task, version, device)
);
INSERT INTO "evaluations" VALUES('digits',1,'device1',0.5,1.0,4,NULL);
INSERT INTO "evaluations" VALUES('digits',1,'device2',0.5,1.0,4,NULL);
INSERT INTO "evaluations" VALUES('digits',2,'device1',0.5,1.0,4,NULL);
INSERT INTO "evaluations" VALUES('digits',2,'device2',0.5,1.0,4,NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR, 
	device VARCHAR, 
	message VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,1.79525393281757092477e+09,'device_enrolled',NULL,'device1','device1 enrolled, at http://127.0.0.1:9');
INSERT INTO "events" VALUES(2,1.79525393283691668509e+09,'version_made','digits','device1','version 0, from device1');
INSERT INTO "events" VALUES(3,1.79525393284251523016e+09,'device_enrolled',NULL,'device2','device2 enrolled, at http://127.0.0.1:9');
INSERT INTO "events" VALUES(4,1795253932.86011,'round_opened','digits',NULL,'round 1 from version 0');
INSERT INTO "events" VALUES(5,1.79525393286841392515e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
INSERT INTO "events" VALUES(6,1.79525393288063359262e+09,'update_received','digits','device2','update of device2, 11 samples, 368 bytes');
INSERT INTO "events" VALUES(7,1.79525393289816212654e+09,'version_made','digits',NULL,'round 1: version 1 of 2 updates');
INSERT INTO "events" VALUES(8,1.79525393293470454216e+09,'step_failed','digits','device2','Installing on device2 failed: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
INSERT INTO "events" VALUES(9,1.79525393293722033503e+09,'step_failed','digits','device1','Installing on device1 failed: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
INSERT INTO "events" VALUES(10,1.79525393294606375694e+09,'round_opened','digits',NULL,'round 2 from version 1');
INSERT INTO "events" VALUES(11,1.79525393294891333576e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
INSERT INTO "events" VALUES(12,1.79525393295872187616e+09,'update_received','digits','device2','update of device2, 11 samples, 368 bytes');
INSERT INTO "events" VALUES(13,1.79525393297007942201e+09,'version_made','digits',NULL,'round 2: version 2 of 2 updates');
INSERT INTO "events" VALUES(14,1.79525393299464201932e+09,'step_failed','digits','device1','Installing on device1 failed: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
INSERT INTO "events" VALUES(15,1.7952539329965252876e+09,'step_failed','digits','device2','Installing on device2 failed: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
INSERT INTO "events" VALUES(16,1.79525393300446033475e+09,'round_opened','digits',NULL,'round 3 from version 2');
INSERT INTO "events" VALUES(17,1.79525393300733256338e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
INSERT INTO "events" VALUES(18,1.79525393301825308802e+09,'step_failed','digits','device1','Training on device1 failed: device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
INSERT INTO "events" VALUES(19,1.79525393301992082593e+09,'step_failed','digits','device2','Training on device2 failed: device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.');
CREATE TABLE federation (
	id VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "federation" VALUES('8c4059dad35bc4adf91fee2f53360412');
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
INSERT INTO "jobs" VALUES('c9ff24ef565c47ee9460c95cde0a9824','aggregate_models','digits','done','16264-116a7d4c4607',1.79525393288333773612e+09,1.79525393290574455254e+09,0,NULL,'{"round": 1, "version": 1, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.015}','null');
INSERT INTO "jobs" VALUES('05fc8004bc0c41b7bb788d2d6cb27f43','send_model_clients','digits','failed','16264-116a7d4c4607',1.79525393292509675025e+09,1.79525393293830871585e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
INSERT INTO "jobs" VALUES('9222250ab2714740862f7be954729b95','aggregate_models','digits','done','16264-116a7d4c4607',1.79525393296099877358e+09,1.79525393297435641292e+09,0,NULL,'{"round": 2, "version": 2, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.009}','null');
INSERT INTO "jobs" VALUES('cf6879a258a04a24be34d0c549c80660','send_model_clients','digits','failed','16264-116a7d4c4607',1.79525393298700547224e+09,1.79525393299767804149e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
INSERT INTO "jobs" VALUES('eab9737e41b94e278745737478a1a518','modeltrain','digits','failed','16264-116a7d4c4607',1.79525393301004862782e+09,1.79525393302176809306e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
CREATE TABLE rounds (
	id INTEGER NOT NULL, 
	task VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	strategy VARCHAR NOT NULL, 
	base_version INTEGER NOT NULL, 
	version INTEGER, 
	started DOUBLE NOT NULL, 
	finished DOUBLE, 
	unchanged JSON, 
	PRIMARY KEY (id), 
	UNIQUE (task, number)
);
INSERT INTO "rounds" VALUES(1,'digits',1,'distributed','fedavg',0,1,1.79525393285814571387e+09,1.79525393291316342353e+09,NULL);
INSERT INTO "rounds" VALUES(2,'digits',2,'distributed','fedavg',1,2,1.79525393294538664814e+09,1.79525393297899103165e+09,NULL);
INSERT INTO "rounds" VALUES(3,'digits',3,'open','fedavg',2,NULL,1.79525393300388622281e+09,NULL,NULL);
CREATE TABLE updates (
	round_id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	num_samples INTEGER NOT NULL, 
	metrics JSON NOT NULL, 
	bytes INTEGER NOT NULL, 
	received DOUBLE NOT NULL, 
	PRIMARY KEY (round_id, device), 
	FOREIGN KEY(round_id) REFERENCES rounds (id)
);
INSERT INTO "updates" VALUES(1,'device1','ce6af2a120481597a57b5d57c4c358767c3d6772b50006d620179cdaba2057d8',10,'{"loss": 0.5}',368,1.79525393286377215381e+09);
INSERT INTO "updates" VALUES(1,'device2','5028d646b41fb0ad466943481c951e90467bd68c47263db7878e4cd83266019e',11,'{"loss": 0.5}',368,1.7952539328787219525e+09);
INSERT INTO "updates" VALUES(2,'device1','075a031f8b187075c58737545f841371afd802a3fa5822ce8d6ded0744757418',10,'{"loss": 0.5}',368,1.79525393294703912733e+09);
INSERT INTO "updates" VALUES(2,'device2','893ca26f1065b7a4931f0e5d797d9d5ec9e956d07900ad4e0f2062421728cdb1',11,'{"loss": 0.5}',368,1.7952539329571807385e+09);
INSERT INTO "updates" VALUES(3,'device1','4610c0c02304f74b861983720a34a232f883551c7c6689fa3aa4cdbeb721e38a',10,'{"loss": 0.5}',368,1.79525393300536441798e+09);
CREATE TABLE versions (
	task VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	backbone VARCHAR NOT NULL, 
	network JSON NOT NULL, 
	bytes INTEGER NOT NULL, 
	created DOUBLE NOT NULL, 
	released BOOLEAN NOT NULL, 
	promoted_from INTEGER, 
	PRIMARY KEY (task, version)
);
INSERT INTO "versions" VALUES('digits',0,'6920995044e9284ab3c3cc57d3c4c162050877e3e4f0c22ac1b9e71862fa8b4f','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393283476805686e+09,1,NULL);
INSERT INTO "versions" VALUES('digits',1,'8b69f94b25ed20d9a20185906f9c87c7774aedede6f13d1cbd06c5a2a330a8ae','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393289549899103e+09,1,NULL);
INSERT INTO "versions" VALUES('digits',2,'1fddf68e03acd594db3e0d00634b5463f2f4773878316472a40e33fda47fd70f','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393296863365177e+09,1,NULL);
CREATE INDEX device_steps_running ON device_steps (task) WHERE state = 'running';
CREATE INDEX device_steps_done ON device_steps (task, step, device, state, round);
CREATE INDEX device_steps_failed ON device_steps (task, device, started) WHERE state = 'failed';
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_started ON jobs (started);
COMMIT;
