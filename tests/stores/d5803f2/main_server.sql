BEGIN TRANSACTION;
CREATE TABLE device_tasks (
	device VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	num_samples INTEGER NOT NULL, 
	version INTEGER, 
	problem VARCHAR, 
	PRIMARY KEY (device, task), 
	FOREIGN KEY(device) REFERENCES devices (name) ON DELETE CASCADE
);
INSERT INTO "device_tasks" VALUES('device1','digits',10,2,NULL);
INSERT INTO "device_tasks" VALUES('device2','digits',10,2,NULL);
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
INSERT INTO "devices" VALUES('device1','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','1868b3a7fb374339b2618737ebbf6572ddfb953b59c2980c95dfbc62af4b73f3',1.79525393096832442283e+09,1.79525393111033344266e+09);
INSERT INTO "devices" VALUES('device2','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','6e39f855fc2bbe8f54d68382fc6aa37eb20b528b9d1577af74c666f10b9f7784',1.7952539309939069748e+09,1.79525393111478281018e+09);
CREATE TABLE evaluations (
	task VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	loss DOUBLE NOT NULL, 
	num_samples INTEGER NOT NULL, 
	PRIMARY KEY (task, version, device)
);
INSERT INTO "evaluations" VALUES('digits',1,'device1',0.5,1.0,4);
INSERT INTO "evaluations" VALUES('digits',1,'device2',0.5,1.0,4);
INSERT INTO "evaluations" VALUES('digits',2,'device1',0.5,1.0,4);
INSERT INTO "evaluations" VALUES('digits',2,'device2',0.5,1.0,4);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR, 
	device VARCHAR, 
	message VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,1.79525393096845221514e+09,'device_enrolled',NULL,'device1','device1 enrolled, at http://127.0.0.1:9');
INSERT INTO "events" VALUES(2,1.79525393098835062979e+09,'version_made','digits','device1','version 0, from device1');
INSERT INTO "events" VALUES(3,1.79525393099398589136e+09,'device_enrolled',NULL,'device2','device2 enrolled, at http://127.0.0.1:9');
INSERT INTO "events" VALUES(4,1.79525393100961709017e+09,'round_opened','digits',NULL,'round 1 from version 0');
INSERT INTO "events" VALUES(5,1.79525393101410746569e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
INSERT INTO "events" VALUES(6,1.79525393102527236945e+09,'update_received','digits','device2','update of device2, 11 samples, 368 bytes');
INSERT INTO "events" VALUES(7,1.79525393104257130622e+09,'version_made','digits',NULL,'round 1: version 1 of 2 updates');
INSERT INTO "events" VALUES(8,1795253931.06779,'version_released','digits',NULL,'version 1 goes out');
INSERT INTO "events" VALUES(9,1.79525393108052730558e+09,'round_opened','digits',NULL,'round 2 from version 1');
INSERT INTO "events" VALUES(10,1.79525393108270597463e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
INSERT INTO "events" VALUES(11,1.79525393109165191645e+09,'update_received','digits','device2','update of device2, 11 samples, 368 bytes');
INSERT INTO "events" VALUES(12,1.79525393110305500035e+09,'version_made','digits',NULL,'round 2: version 2 of 2 updates');
INSERT INTO "events" VALUES(13,1.79525393111964273445e+09,'version_released','digits',NULL,'version 2 goes out');
INSERT INTO "events" VALUES(14,1.79525393113133621214e+09,'round_opened','digits',NULL,'round 3 from version 2');
INSERT INTO "events" VALUES(15,1.79525393113338136677e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes');
CREATE TABLE federation (
	id VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "federation" VALUES('1ab45910088122e6a19fabc4249e9b90');
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
INSERT INTO "jobs" VALUES('c0a16df5ae8c495f9b3011e2b5a145f9','aggregate_models','digits','done','16245-023e69f2c169',1.79525393102822089196e+09,1.79525393104829430581e+09,0,NULL,'{"round": 1, "version": 1, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.018}','null');
INSERT INTO "jobs" VALUES('2eb02506f61d48d99a7182fafdaeab2c','send_model_clients','digits','failed','16245-023e69f2c169',1.79525393106554079052e+09,1.79525393107305884362e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
INSERT INTO "jobs" VALUES('eb7eed4615194c4b8871b588797b169b','aggregate_models','digits','done','16245-023e69f2c169',1.79525393109417581551e+09,1.7952539311071922779e+09,0,NULL,'{"round": 2, "version": 2, "strategy": "fedavg", "updates": 2, "num_samples": 21, "seconds": 0.012}','null');
INSERT INTO "jobs" VALUES('bc13c857b01f4150b29d026b0705941f','send_model_clients','digits','failed','16245-023e69f2c169',1.79525393111778235437e+09,1.7952539311238865852e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/aggmodel ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
INSERT INTO "jobs" VALUES('2e895472acb5448a98add70d285ec95e','modeltrain','digits','failed','16245-023e69f2c169',1.79525393113582515717e+09,1.79525393114158558849e+09,0,NULL,'null','{"type": "urn:fedbell:problem:every-device-failed", "title": "The step failed on every device", "status": 502, "detail": "device1: device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.; device2: device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed.", "devices": {"device1": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device1 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}, "device2": {"error": {"type": "urn:fedbell:problem:device-away", "title": "The step failed", "detail": "device2 cannot be reached at http://127.0.0.1:9/modeltrain ([Errno 111] Connection refused). Start it; it then fetches the versions it missed."}}}}');
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
	PRIMARY KEY (id), 
	UNIQUE (task, number)
);
INSERT INTO "rounds" VALUES(1,'digits',1,'aggregated','fedavg',0,1,1.79525393100753545756e+09,1795253931.04256);
INSERT INTO "rounds" VALUES(2,'digits',2,'aggregated','fedavg',1,2,1.79525393107987451548e+09,1.79525393110304474835e+09);
INSERT INTO "rounds" VALUES(3,'digits',3,'open','fedavg',2,NULL,1.79525393113064169877e+09,NULL);
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
INSERT INTO "updates" VALUES(1,'device1','b8cf943c7cd88b0b5f6722f1f066f4223f1a90622a888eb18cdccfc1068af30d',10,'{"loss": 0.5}',368,1.79525393101243114471e+09);
INSERT INTO "updates" VALUES(1,'device2','eaeb728ac7831dae5f380efb68d0c48cddc5b2b24f0806d4c5b8e951f90b416a',11,'{"loss": 0.5}',368,1.79525393102422404284e+09);
INSERT INTO "updates" VALUES(2,'device1','ddbf111be1ef2d7136d6bdefcae666dae661eeb144d46ea068ed4c24219a83de',10,'{"loss": 0.5}',368,1.79525393108159732821e+09);
INSERT INTO "updates" VALUES(2,'device2','8bae1b5995d92930ee1b809cd1f7e04c35991d95378b870794f655d262ecfe9d',11,'{"loss": 0.5}',368,1.79525393109082627299e+09);
INSERT INTO "updates" VALUES(3,'device1','1df0e151500c3ab03f11311bea41522bc74393407bd26dac793d922b116148bc',10,'{"loss": 0.5}',368,1.79525393113233661655e+09);
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
	PRIMARY KEY (task, version)
);
INSERT INTO "versions" VALUES('digits',0,'eb844bf623c0e21164599df8018dbf97ccc94c7d2a3e6c7e721a7b7a66a11482','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393098639869694e+09,1);
INSERT INTO "versions" VALUES('digits',1,'e69aa21d3e4daffa0afc45a21e7689d75d2fe0a368f4a41c5c74ada7bb686e04','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393103971028329e+09,1);
INSERT INTO "versions" VALUES('digits',2,'8bd0e6e7ee43aaf19507a341b2b3f654c9cea0b1c04eb8307eeee54211896518','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79525393110118198398e+09,1);
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_started ON jobs (started);
COMMIT;
