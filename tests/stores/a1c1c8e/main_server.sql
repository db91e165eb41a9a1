BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
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
INSERT INTO "device_steps" VALUES('digits',1,'modeltrain','device1','done','3a5432f4168a41c797c9db43a4428438',1.79579266017189097398e+09,1.79579266022973203656e+09,1,'{"base_version": 0, "epochs": 2, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "seconds": 0.1, "metrics": {"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}, "skipped": 1}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'modeltrain','device2','done','3a5432f4168a41c797c9db43a4428438',1.79579266017189097398e+09,1.79579266023856425286e+09,1,'{"base_version": 0, "epochs": 2, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "seconds": 0.1, "metrics": {"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}, "skipped": 1}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'sendmodel','device1','done','3ced7b3958e5438485518f9003298af9',1.7957926602616388797e+09,1.79579266037976932523e+09,1,'{"num_samples": 10, "bytes": 512}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'sendmodel','device2','done','3ced7b3958e5438485518f9003298af9',1.7957926602616388797e+09,1.7957926603909182548e+09,1,'{"num_samples": 10, "bytes": 512}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'aggregate_models','','done','0f95b493aba74ab1a2d914c430251557',1.79579266039661049848e+09,1.7957926604765436649e+09,1,'{"version": 1, "strategy": "fedavg", "updates": 2, "num_samples": 20, "seconds": 0.082}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'send_model_clients','device1','done','9aceb1887e4b4dfdbd1ab9a5df3925b1',1.7957926605095236301e+09,1.79579266051941633221e+09,1,'{"version": 1, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}',NULL);
INSERT INTO "device_steps" VALUES('digits',1,'send_model_clients','device2','done','9aceb1887e4b4dfdbd1ab9a5df3925b1',1.7957926605095236301e+09,1.79579266051754903791e+09,1,'{"version": 1, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'modeltrain','device1','done','bffcdf2d37434502827a787817cbb39f',1.79579266059612274166e+09,1795792660.61025,1,'{"base_version": 1, "epochs": 2, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "seconds": 0.1, "metrics": {"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}, "skipped": 1}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'modeltrain','device2','done','bffcdf2d37434502827a787817cbb39f',1.79579266059612274166e+09,1.79579266061350178713e+09,1,'{"base_version": 1, "epochs": 2, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "seconds": 0.1, "metrics": {"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}, "skipped": 1}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'sendmodel','device1','done','1110b8576aad47578db9345bf764d1b0',1.79579266066399478914e+09,1.7957926607457044125e+09,1,'{"num_samples": 10, "bytes": 512}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'sendmodel','device2','done','1110b8576aad47578db9345bf764d1b0',1.79579266066399478914e+09,1.79579266078752684595e+09,1,'{"num_samples": 10, "bytes": 512}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'aggregate_models','','done','ab8f3e6ddb574311b92771225c8b0c46',1795792660.80074,1.79579266084818601608e+09,1,'{"version": 2, "strategy": "fedavg", "updates": 2, "num_samples": 20, "seconds": 0.056}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'send_model_clients','device1','done','103904d3baf44f35aca0ab061bd130a9',1.79579266088952612875e+09,1.79579266090880036352e+09,1,'{"version": 2, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}',NULL);
INSERT INTO "device_steps" VALUES('digits',2,'send_model_clients','device2','done','103904d3baf44f35aca0ab061bd130a9',1.79579266088952612875e+09,1.79579266092377853392e+09,1,'{"version": 2, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}',NULL);
INSERT INTO "device_steps" VALUES('digits',3,'modeltrain','device1','done',NULL,1.79579266099411535267e+09,1.79579266099411535267e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('digits',3,'sendmodel','device1','done',NULL,1.79579266099411535267e+09,1.79579266099411535267e+09,1,'{"num_samples": 10, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('average',1,'modeltrain','device1','done',NULL,1795792661.19154,1795792661.19154,1,'{"num_samples": 30, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('average',1,'sendmodel','device1','done',NULL,1795792661.19154,1795792661.19154,1,'{"num_samples": 30, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('average',2,'modeltrain','device2','done',NULL,1.79579266125178027158e+09,1.79579266125178027158e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('average',2,'sendmodel','device2','done',NULL,1.79579266125178027158e+09,1.79579266125178027158e+09,1,'{"num_samples": 10, "bytes": 368}',NULL);
INSERT INTO "device_steps" VALUES('buffered',1,'modeltrain','device1','done',NULL,1.79579266134174942966e+09,1.79579266134174942966e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('buffered',1,'sendmodel','device1','done',NULL,1.79579266143675494189e+09,1.79579266143675494189e+09,2,'{"num_samples": 10, "bytes": 384}',NULL);
INSERT INTO "device_steps" VALUES('buffered',1,'modeltrain','device2','done',NULL,1.79579266136974072462e+09,1.79579266136974072462e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('buffered',1,'sendmodel','device2','done',NULL,1.79579266136974072462e+09,1.79579266136974072462e+09,1,'{"num_samples": 10, "bytes": 376}',NULL);
INSERT INTO "device_steps" VALUES('buffered',2,'modeltrain','device1','done',NULL,1.79579266151378178599e+09,1.79579266151378178599e+09,1,'{"num_samples": 20, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('buffered',2,'sendmodel','device1','done',NULL,1.79579266151378178599e+09,1.79579266151378178599e+09,1,'{"num_samples": 20, "bytes": 376}',NULL);
INSERT INTO "device_steps" VALUES('buffered',2,'modeltrain','device2','done',NULL,1.7957926615454514027e+09,1.7957926615454514027e+09,1,'{"num_samples": 10, "metrics": {"loss": 0.5}}',NULL);
INSERT INTO "device_steps" VALUES('buffered',2,'sendmodel','device2','done',NULL,1.7957926615454514027e+09,1.7957926615454514027e+09,1,'{"num_samples": 10, "bytes": 376}',NULL);
INSERT INTO "device_steps" VALUES('walks',1,'modeltrain','alice','done',NULL,1.79579266176874065394e+09,1.79579266176874065394e+09,1,'{"num_samples": 10, "metrics": {"loss": 1.0}}',NULL);
INSERT INTO "device_steps" VALUES('walks',1,'sendmodel','alice','done',NULL,1.79579266176874065394e+09,1.79579266176874065394e+09,1,'{"num_samples": 10, "bytes": 288}',NULL);
INSERT INTO "device_steps" VALUES('walks',2,'modeltrain','alice','done',NULL,1.79579266191999506949e+09,1.79579266191999506949e+09,1,'{"num_samples": 10, "metrics": {"loss": 1.0}}',NULL);
INSERT INTO "device_steps" VALUES('walks',2,'sendmodel','alice','done',NULL,1.79579266191999506949e+09,1.79579266191999506949e+09,1,'{"num_samples": 10, "bytes": 288}',NULL);
CREATE TABLE device_tasks (
	device VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	num_samples INTEGER NOT NULL, 
	version INTEGER, 
	problem VARCHAR, 
	reservation VARCHAR, 
	activity JSON, 
	failures INTEGER DEFAULT '0' NOT NULL, 
	rests_until INTEGER, 
	PRIMARY KEY (device, task), 
	FOREIGN KEY(device) REFERENCES devices (name) ON DELETE CASCADE
);
INSERT INTO "device_tasks" VALUES('device1','digits',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device2','digits',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device3','digits',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device1','average',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device1','buffered',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device2','average',10,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "device_tasks" VALUES('device2','buffered',10,NULL,NULL,NULL,NULL,0,NULL);
CREATE TABLE devices (
	name VARCHAR NOT NULL, 
	url VARCHAR, 
	address VARCHAR, 
	page_url VARCHAR, 
	token_hash VARCHAR NOT NULL, 
	enrolled DOUBLE NOT NULL, 
	last_seen DOUBLE NOT NULL, 
	revoked DOUBLE, 
	rotation_asked DOUBLE, 
	PRIMARY KEY (name), 
	UNIQUE (token_hash)
);
INSERT INTO "devices" VALUES('device1','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','1868b3a7fb374339b2618737ebbf6572ddfb953b59c2980c95dfbc62af4b73f3',1.79579266005559492116e+09,1.79579266109627699856e+09,NULL,NULL);
INSERT INTO "devices" VALUES('device2','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','6e39f855fc2bbe8f54d68382fc6aa37eb20b528b9d1577af74c666f10b9f7784',1.79579266012123155591e+09,1.79579266111111545559e+09,NULL,NULL);
INSERT INTO "devices" VALUES('device3','http://127.0.0.1:9','127.0.0.1','http://127.0.0.1:9','c7292991e1f13d7e401de3353eeb28e0617b11159271542b6a447d1a4d087426',1.79579266100665426255e+09,1.79579266100677347175e+09,1.7957926610239007473e+09,NULL);
INSERT INTO "devices" VALUES('alice',NULL,NULL,NULL,'905781ecb53901d38a542912a7a627ab374302e7077b5c185da22a08e132952c',1.79579266165167164798e+09,1.79579266204305648801e+09,NULL,NULL);
CREATE TABLE ended_sessions (
	id VARCHAR NOT NULL, 
	expires DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "ended_sessions" VALUES('9978344d04f008ccf68a0b0f1c1e7e68',1.79583586277045083043e+09);
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
INSERT INTO "evaluations" VALUES('digits',1,'device1',0.75,0.5,4,'[[0, 0, 2], [1, 0, 1], [1, 1, 1]]');
INSERT INTO "evaluations" VALUES('digits',1,'device2',0.75,0.5,4,'[[0, 0, 2], [1, 0, 1], [1, 1, 1]]');
INSERT INTO "evaluations" VALUES('digits',2,'device1',0.75,0.5,4,'[[0, 0, 2], [1, 0, 1], [1, 1, 1]]');
INSERT INTO "evaluations" VALUES('digits',2,'device2',0.75,0.5,4,'[[0, 0, 2], [1, 0, 1], [1, 1, 1]]');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	time DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	task VARCHAR, 
	device VARCHAR, 
	message VARCHAR NOT NULL, 
	actor VARCHAR, 
	address VARCHAR, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,1.79579266005572676665e+09,'device_enrolled',NULL,'device1','device1 enrolled, at http://127.0.0.1:34371','device1','127.0.0.1');
INSERT INTO "events" VALUES(2,1.79579266011360788339e+09,'version_made','digits','device1','version 0, from device1','device1','127.0.0.1');
INSERT INTO "events" VALUES(3,1.79579266012130141262e+09,'device_enrolled',NULL,'device2','device2 enrolled, at http://127.0.0.1:44737','device2','127.0.0.1');
INSERT INTO "events" VALUES(4,1.79579266023127651213e+09,'device_trained','digits','device1','device1 trained 2 epochs on 10 pictures: loss 0.5, accuracy 86.1 %, validation accuracy 84.0 %','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(5,1.79579266023943638803e+09,'device_trained','digits','device2','device2 trained 2 epochs on 10 pictures: loss 0.5, accuracy 86.1 %, validation accuracy 84.0 %','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(6,1.79579266024180841444e+09,'round_opened','digits',NULL,'round 1 from version 0','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(7,1.79579266035632944108e+09,'update_received','digits','device1','update of device1, 10 samples, 512 bytes','device1','127.0.0.1');
INSERT INTO "events" VALUES(8,1.79579266038390326495e+09,'update_received','digits','device2','update of device2, 10 samples, 512 bytes','device2','127.0.0.1');
INSERT INTO "events" VALUES(9,1.79579266044747161866e+09,'version_made','digits',NULL,'round 1: version 1 of 2 updates','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(10,1.79579266055722379684e+09,'version_measured','digits',NULL,'version 1: federated accuracy 75.0 %, loss 0.5 on 8 test pictures','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(11,1795792660.6109,'device_trained','digits','device1','device1 trained 2 epochs on 10 pictures: loss 0.5, accuracy 86.1 %, validation accuracy 84.0 %','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(12,1.79579266061410307885e+09,'device_trained','digits','device2','device2 trained 2 epochs on 10 pictures: loss 0.5, accuracy 86.1 %, validation accuracy 84.0 %','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(13,1.79579266061574912075e+09,'round_opened','digits',NULL,'round 2 from version 1','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(14,1.79579266072969985002e+09,'update_received','digits','device1','update of device1, 10 samples, 512 bytes','device1','127.0.0.1');
INSERT INTO "events" VALUES(15,1.79579266077497076985e+09,'update_received','digits','device2','update of device2, 10 samples, 512 bytes','device2','127.0.0.1');
INSERT INTO "events" VALUES(16,1.79579266083022212989e+09,'version_made','digits',NULL,'round 2: version 2 of 2 updates','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(17,1.79579266094370985028e+09,'version_measured','digits',NULL,'version 2: federated accuracy 75.0 %, loss 0.5 on 8 test pictures','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(18,1.79579266098778486246e+09,'round_opened','digits',NULL,'round 3 from version 2','device1','127.0.0.1');
INSERT INTO "events" VALUES(19,1.79579266099498939513e+09,'update_received','digits','device1','update of device1, 10 samples, 368 bytes','device1','127.0.0.1');
INSERT INTO "events" VALUES(20,1795792661.00673,'device_enrolled',NULL,'device3','device3 enrolled, at http://127.0.0.1:9','device3','127.0.0.1');
INSERT INTO "events" VALUES(21,1.79579266102487015727e+09,'token_revoked',NULL,'device3','The token of device3 was revoked','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(22,1.7957926611452875137e+09,'version_made','average','device1','version 0, from device1','device1','127.0.0.1');
INSERT INTO "events" VALUES(23,1.795792661192302227e+09,'version_made','average','device1','version 1, of an update of device1, 30 samples, staleness 0','device1','127.0.0.1');
INSERT INTO "events" VALUES(24,1.79579266125250267983e+09,'version_made','average','device2','version 2, of an update of device2, 10 samples, staleness 0','device2','127.0.0.1');
INSERT INTO "events" VALUES(25,1.79579266130217695233e+09,'version_made','buffered','device1','version 0, from device1','device1','127.0.0.1');
INSERT INTO "events" VALUES(26,1.79579266134273433678e+09,'update_received','buffered','device1','an update of device1, 10 samples, staleness 0: number 1 in the buffer','device1','127.0.0.1');
INSERT INTO "events" VALUES(27,1.79579266137050151826e+09,'update_received','buffered','device2','an update of device2, 10 samples, staleness 0: number 2 in the buffer','device2','127.0.0.1');
INSERT INTO "events" VALUES(28,1.79579266143742728237e+09,'version_made','buffered','device1','version 1, of an update of device1, 10 samples, staleness 0 and 2 before it','device1','127.0.0.1');
INSERT INTO "events" VALUES(29,1.7957926615149023533e+09,'update_received','buffered','device1','an update of device1, 20 samples, staleness 0: number 1 in the buffer','device1','127.0.0.1');
INSERT INTO "events" VALUES(30,1.79579266154654812815e+09,'update_received','buffered','device2','an update of device2, 10 samples, staleness 0: number 2 in the buffer','device2','127.0.0.1');
INSERT INTO "events" VALUES(31,1.79579266165175938608e+09,'device_enrolled',NULL,'alice','alice enrolled; it comes by itself','alice','127.0.0.1');
INSERT INTO "events" VALUES(32,1.79579266171837425235e+09,'version_made','walks','alice','version 0, from alice','alice','127.0.0.1');
INSERT INTO "events" VALUES(33,1.79579266176943755147e+09,'version_made','walks','alice','version 1, of an update of alice, 10 samples, staleness 0','alice','127.0.0.1');
INSERT INTO "events" VALUES(34,1.79579266192066526412e+09,'version_made','walks','alice','version 2, of an update of alice, 10 samples, staleness 0','alice','127.0.0.1');
INSERT INTO "events" VALUES(35,1.79579266273840379712e+09,'log_in_failed',NULL,NULL,'A wrong token, the 1st in a row','anonymous','127.0.0.1');
INSERT INTO "events" VALUES(36,1.79579266277051401135e+09,'log_in',NULL,NULL,'Logged in as operator','operator','127.0.0.1');
INSERT INTO "events" VALUES(37,1.79579266278127932547e+09,'log_out',NULL,NULL,'Logged out','operator','127.0.0.1');
INSERT INTO "events" VALUES(38,1.7957926628004832267e+09,'log_in_failed',NULL,NULL,'A wrong token, the 1st in a row','anonymous','127.0.0.1');
CREATE TABLE failed_log_ins (
	address VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	last DOUBLE NOT NULL, 
	blocked_until DOUBLE NOT NULL, 
	PRIMARY KEY (address)
);
INSERT INTO "failed_log_ins" VALUES('127.0.0.1',1,1.79579266279723501207e+09,1.79579266279723501207e+09);
CREATE TABLE federation (
	id VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "federation" VALUES('62d0b4e5b46750004f34bb739e1fadd6');
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
INSERT INTO "jobs" VALUES('3a5432f4168a41c797c9db43a4428438','modeltrain','digits','done','4329-ba62a1d081fc',1.79579266014741444588e+09,1.79579266024912881849e+09,0,NULL,'{"round": 1, "devices": {"device1": {"task": "digits", "base_version": 0, "base": "newest", "reservation": null, "epochs": 2, "batch_size": 8, "learning_rate": 0.1, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "skipped": 1, "seconds": 0.1}, "device2": {"task": "digits", "base_version": 0, "base": "newest", "reservation": null, "epochs": 2, "batch_size": 8, "learning_rate": 0.1, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "skipped": 1, "seconds": 0.1}}, "left_out": {}}','null');
INSERT INTO "jobs" VALUES('3ced7b3958e5438485518f9003298af9','sendmodel','digits','done','4329-ba62a1d081fc',1.79579266025132441514e+09,1.79579266039232516294e+09,0,NULL,'{"round": 1, "devices": {"device1": {"round": 1, "device": "device1", "num_samples": 10, "bytes": 512}, "device2": {"round": 1, "device": "device2", "num_samples": 10, "bytes": 512}}}','null');
INSERT INTO "jobs" VALUES('0f95b493aba74ab1a2d914c430251557','aggregate_models','digits','done','4329-ba62a1d081fc',1.79579266039346337321e+09,1.79579266050204324725e+09,0,NULL,'{"round": 1, "version": 1, "strategy": "fedavg", "updates": 2, "num_samples": 20, "seconds": 0.082}','null');
INSERT INTO "jobs" VALUES('9aceb1887e4b4dfdbd1ab9a5df3925b1','send_model_clients','digits','done','4329-ba62a1d081fc',1.79579266050378870966e+09,1.79579266057196187977e+09,0,NULL,'{"version": 1, "devices": {"device1": {"task": "digits", "version": 1, "installed": true, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}, "device2": {"task": "digits", "version": 1, "installed": true, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}}, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 8}}','null');
INSERT INTO "jobs" VALUES('bffcdf2d37434502827a787817cbb39f','modeltrain','digits','done','4329-ba62a1d081fc',1.79579266057355546948e+09,1.79579266061924409871e+09,0,NULL,'{"round": 2, "devices": {"device1": {"task": "digits", "base_version": 1, "base": "newest", "reservation": null, "epochs": 2, "batch_size": 8, "learning_rate": 0.1, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "skipped": 1, "seconds": 0.1}, "device2": {"task": "digits", "base_version": 1, "base": "newest", "reservation": null, "epochs": 2, "batch_size": 8, "learning_rate": 0.1, "num_samples": 10, "history": {"loss": [1.0, 0.5], "accuracy": [0.5, 0.861], "val_accuracy": [0.4, 0.84]}, "evaluation": null, "skipped": 1, "seconds": 0.1}}, "left_out": {}}','null');
INSERT INTO "jobs" VALUES('1110b8576aad47578db9345bf764d1b0','sendmodel','digits','done','4329-ba62a1d081fc',1.79579266062397766108e+09,1.79579266079007530219e+09,0,NULL,'{"round": 2, "devices": {"device1": {"round": 2, "device": "device1", "num_samples": 10, "bytes": 512}, "device2": {"round": 2, "device": "device2", "num_samples": 10, "bytes": 512}}}','null');
INSERT INTO "jobs" VALUES('ab8f3e6ddb574311b92771225c8b0c46','aggregate_models','digits','done','4329-ba62a1d081fc',1.79579266079152369498e+09,1.79579266085869884489e+09,0,NULL,'{"round": 2, "version": 2, "strategy": "fedavg", "updates": 2, "num_samples": 20, "seconds": 0.056}','null');
INSERT INTO "jobs" VALUES('103904d3baf44f35aca0ab061bd130a9','send_model_clients','digits','done','4329-ba62a1d081fc',1.79579266086347413061e+09,1.795792660954650402e+09,0,NULL,'{"version": 2, "devices": {"device1": {"task": "digits", "version": 2, "installed": true, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}, "device2": {"task": "digits", "version": 2, "installed": true, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 4}, "reservation": null, "skipped": 0}}, "evaluation": {"accuracy": 0.75, "loss": 0.5, "num_samples": 8}}','null');
CREATE TABLE revoked_tokens (
	token_hash VARCHAR NOT NULL, 
	device VARCHAR NOT NULL, 
	revoked DOUBLE NOT NULL, 
	PRIMARY KEY (token_hash)
);
INSERT INTO "revoked_tokens" VALUES('c7292991e1f13d7e401de3353eeb28e0617b11159271542b6a447d1a4d087426','device3',1.7957926610239007473e+09);
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
	selected JSON, 
	quorum INTEGER, 
	deadline DOUBLE, 
	PRIMARY KEY (id), 
	UNIQUE (task, number)
);
INSERT INTO "rounds" VALUES(1,'digits',1,'distributed','fedavg',0,1,1.7957926601489861011e+09,1.79579266055447268491e+09,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(2,'digits',2,'distributed','fedavg',1,2,1.79579266058242464063e+09,1.79579266094274234773e+09,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(3,'digits',3,'open','fedavg',2,NULL,1.79579266098720431331e+09,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(4,'average',1,'distributed','running_average',0,1,1.7957926611873614788e+09,1.79579266119229507443e+09,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(5,'average',2,'distributed','running_average',1,2,1.79579266125032258028e+09,1.79579266125249624257e+09,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(6,'buffered',1,'distributed','fedbuff',0,1,1.79579266133683133127e+09,1795792661.43742,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(7,'buffered',2,'open','fedbuff',1,NULL,1.795792661501458168e+09,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(8,'walks',1,'distributed','fedasync',0,1,1.79579266176739668842e+09,1.79579266176943063738e+09,NULL,NULL,NULL,NULL);
INSERT INTO "rounds" VALUES(9,'walks',2,'distributed','fedasync',1,2,1.79579266191860556596e+09,1.79579266192065858847e+09,NULL,NULL,NULL,NULL);
CREATE TABLE updates (
	round_id INTEGER NOT NULL, 
	device VARCHAR NOT NULL, 
	number INTEGER DEFAULT '0' NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	num_samples INTEGER NOT NULL, 
	metrics JSON NOT NULL, 
	bytes INTEGER NOT NULL, 
	received DOUBLE NOT NULL, 
	base_version INTEGER, 
	weight DOUBLE, 
	norm DOUBLE, 
	outlier VARCHAR, 
	PRIMARY KEY (round_id, device, number), 
	FOREIGN KEY(round_id) REFERENCES rounds (id)
);
INSERT INTO "updates" VALUES(1,'device1',0,'e724d5b54c86cdb669c56555fb1dc24c4c617ffe1d4e5f3e277bb68879e1f7b9',10,'{"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}',512,1.79579266031064677241e+09,NULL,NULL,2.82842712474619029094e+00,NULL);
INSERT INTO "updates" VALUES(1,'device2',0,'a78279f34e5e338d70f4a2b58d21e70579a19f6d91959d40d35838a99b21cb15',10,'{"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}',512,1.7957926603810670376e+09,NULL,NULL,2.82842712474619029094e+00,NULL);
INSERT INTO "updates" VALUES(2,'device1',0,'e1f595eef81957f8083ee39d4a8334dbabfd02b130b0361b855a766210ec0a19',10,'{"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}',512,1.79579266072556304931e+09,NULL,NULL,2.82842712474619029094e+00,NULL);
INSERT INTO "updates" VALUES(2,'device2',0,'e0e819bc9775d93b91aab1766b32788271cba1a5f373163453af28961b847775',10,'{"loss": 0.5, "accuracy": 0.861, "val_accuracy": 0.84}',512,1.7957926607557675838e+09,NULL,NULL,2.82842712474619029094e+00,NULL);
INSERT INTO "updates" VALUES(3,'device1',0,'5c9b186b7ee63ad155ba9f16f5cd2ab68d061538f70ecf84bd07d897abc26a40',10,'{"loss": 0.5}',368,1.7957926609887471199e+09,NULL,NULL,5.65685424949238058189e+00,NULL);
INSERT INTO "updates" VALUES(4,'device1',1,'2a66571bd7f5867b7679509e7b280a87b0bbc83fb93e9d5bfd771f9be205167d',30,'{"loss": 0.5}',368,1.79579266119011020656e+09,0,1.0,1.27671453348037040593e+01,NULL);
INSERT INTO "updates" VALUES(5,'device2',1,'3a3cb2eb9c0c0c44c6f2e4ff6d640013ff0e0a0d097f7fb6485ab9dbd472645f',10,'{"loss": 0.5}',368,1.79579266125094890596e+09,1,1.0,1.13137084989847611635e+01,NULL);
INSERT INTO "updates" VALUES(6,'device1',1,'6d5db68d15bfbd3ccaf5a611b606fbcf62c6992411b385f3a7faaef19e150d42',10,'{"loss": 0.5}',376,1.79579266133738517765e+09,0,1.0,6.08276253029821933893e+00,NULL);
INSERT INTO "updates" VALUES(6,'device2',2,'bc1e8cd2faea905250df1cebe321b999605fc8d9e57514d7c30ff72bb3ae4649',10,'{"loss": 0.5}',376,1795792661.36757,0,1.0,1.27671453348037040593e+01,NULL);
INSERT INTO "updates" VALUES(6,'device1',3,'0eeed5f942d95ac8baeb16696e87d415ac838c438758d9d24223f689062f4ca4',10,'{"loss": 0.5}',384,1.79579266143595552441e+09,0,1.0,2.08086520466848128312e+01,NULL);
INSERT INTO "updates" VALUES(7,'device1',1,'ebb49cf22133ecb0f475d4038f422cf578b889bd4397153fd7d0a2f662f97c34',20,'{"loss": 0.5}',376,1.79579266150617909434e+09,1,1.0,1.69705627484771390811e+01,NULL);
INSERT INTO "updates" VALUES(7,'device2',2,'1d4e53311c16f99212819e23a3232eb154e4a8f3b7ae817968bf785ff01940d2',10,'{"loss": 0.5}',376,1.79579266153698110576e+09,1,1.0,2.54558441227157103989e+01,NULL);
INSERT INTO "updates" VALUES(8,'alice',1,'348354ba6f0ba3bea02ff778ca6edaab7e305e0baff700fafe0413dd85d6a035',10,'{"loss": 1.0}',288,1.79579266176800131796e+09,0,1.0,2.89109980132063038027e+00,NULL);
INSERT INTO "updates" VALUES(9,'alice',1,'b603a4201a07bc9e7e1608006e4784adf75f2d4e084125c629069024b563d37d',10,'{"loss": 1.0}',288,1.79579266191922807694e+09,1,1.0,3.01453979426306428734e+00,NULL);
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
	state JSON, 
	pruned DOUBLE, 
	PRIMARY KEY (task, version)
);
INSERT INTO "versions" VALUES('digits',0,'a6a30d3464009b0702be4c3baf43ac2df73e9930577f1cce7a5e504c012eb711','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.7957926601034932137e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('digits',1,'a03ffa6c5c6c8b5f2811576192428da97a55279dd77de1fc8d788ae4ee086fb7','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266041946601865e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('digits',2,'5faf56545a4cc526bc05a7b259dd065e609d7837ac3a9c19a26d9fa6ebfff52d','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266081606268878e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('average',0,'37bf6cbbc6d5895426dd169e03ec6fd9c2347fd2a6dbbbb4419e7423ca486e03','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.7957926611385164261e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('average',1,'c8f530229abed2c2f87310d970f455abb70ed6ecf720325214b257c0ba615799','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266118177938464e+09,1,NULL,'{"num_samples": 30}',NULL);
INSERT INTO "versions" VALUES('average',2,'018d7d1f956b973d13eaf45027386eb6778b1484ab8bfeab9462d526fe469236','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266123416519162e+09,1,NULL,'{"num_samples": 40}',NULL);
INSERT INTO "versions" VALUES('buffered',0,'d5ac249549753635de7587e9d017c9694d20166e70732b13d670227f807fdc71','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266129500246052e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('buffered',1,'d250f1070984ebb9ecab53189c2e130ae34d6e6307e15f0ea7286172a07b14a8','f67a5c9d1bf73221fd00257dd1f51fb69fe37e6e79520bc8f5db0273b1ad1c56','b1dbff04e5a9ef4836fdb9325b207f408184929c8094ad24d78180fde2c33c11','{"classes": ["0", "1"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',424,1.79579266143067932132e+09,1,NULL,'{"num_samples": 30}',NULL);
INSERT INTO "versions" VALUES('walks',0,'ee155296ba1e998ed6ac6ac21b7200b8189a072de3281e993b80c8f91438a6d1','0a924132902ed6b6d07d1709eef75d55e0deff093681cef8c7be3f120d0acdb1','0000000000000000000000000000000000000000000000000000000000000000','{"classes": ["a", "b"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',328,1.79579266171425557139e+09,1,NULL,NULL,NULL);
INSERT INTO "versions" VALUES('walks',1,'c92de1bf89e21555a683dc717df0996d68969fca1199c0567b2d79a7d61238ea','0a924132902ed6b6d07d1709eef75d55e0deff093681cef8c7be3f120d0acdb1','0000000000000000000000000000000000000000000000000000000000000000','{"classes": ["a", "b"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',328,1.79579266176325750355e+09,1,NULL,'{"num_samples": 10}',NULL);
INSERT INTO "versions" VALUES('walks',2,'de1c6076ef21dad9e63f72ca9d49228cbb68b74a77d5ad48f864f16c3036dfb9','0a924132902ed6b6d07d1709eef75d55e0deff093681cef8c7be3f120d0acdb1','0000000000000000000000000000000000000000000000000000000000000000','{"classes": ["a", "b"], "architecture": "mobilenet", "alpha": 0.25, "image_size": 96, "backbone": "builtin", "trainable": "head"}',328,1.79579266189928770064e+09,1,NULL,'{"num_samples": 20}',NULL);
CREATE INDEX versions_promoted ON versions (task, version) WHERE promoted_from IS NOT NULL;
CREATE INDEX versions_kept ON versions (task, version) WHERE pruned IS NULL;
CREATE INDEX rounds_version ON rounds (task, version);
CREATE INDEX device_steps_done ON device_steps (task, step, device, state, round);
CREATE INDEX device_steps_running ON device_steps (task) WHERE state = 'running';
CREATE INDEX device_steps_failed ON device_steps (task, device, started) WHERE state = 'failed';
CREATE INDEX updates_sent ON updates (device, sha256);
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_jobs_started ON jobs (started);
COMMIT;
