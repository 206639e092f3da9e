PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE domains  (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO domains VALUES('*','{"domain":"*","aliases":[],"live":"c","previous":"a","http_to_https":true,"balance":"round-robin","tls":"auto","hsts_max_age_secs":0,"options":{"pause":{"max_wait_secs":5,"max_waiting":1000}}}');
INSERT INTO domains VALUES('*.example.org','{"domain":"*.example.org","aliases":[],"live":"b","previous":null,"http_to_https":true,"balance":"least-connections","tls":"off","hsts_max_age_secs":0,"options":{"maintenance":{"message":"closed","retry_after_secs":30}}}');
INSERT INTO domains VALUES('made.example.com','{"domain":"made.example.com","aliases":[],"live":"c","previous":null,"http_to_https":true,"balance":"least-latency","tls":"auto","hsts_max_age_secs":5,"options":{"max_body_bytes":77}}');
INSERT INTO domains VALUES('shop.example.com','{"domain":"shop.example.com","aliases":["www.shop.example.com"],"live":"a","previous":null,"http_to_https":false,"balance":"hash-cookie:session","tls":"auto","hsts_max_age_secs":3600,"options":{"canonical_host":"shop.example.com","paths":[{"prefix":"/api","tag":"api","strip":true},{"prefix":"/assets","tag":"b"}],"request_headers":{"set":{"x-site":"shop"},"add":{"x-seen":"vhost"},"remove":["x-secret"]},"response_headers":{"set":{"x-frame-options":"DENY"},"remove":["server"]},"basic_auth":{"realm":"staging","users":{"ann":"$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe"}},"compression":["zstd","br","gzip"],"error_pages":{"404":"/nonexistent/404.html"},"sticky":{"cookie":"stay","max_age_secs":900},"max_body_bytes":1048576,"rate_limit":{"requests":100,"burst":200},"client_rate_limit":{"requests":50},"allow":["127.0.0.0/8","::1/128"],"deny":["127.0.0.9/32"]}}');
CREATE TABLE backends (id   TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO backends VALUES('by-hand','{"id":"by-hand","address":"127.0.0.1:45999","tags":["c"],"weight":3,"scheme":"http","state":"ready","backup":false,"send_proxy_protocol":"off"}');
INSERT INTO backends VALUES('web-a','{"id":"web-a","address":"127.0.0.1:45999","tags":["a","api"],"weight":9,"scheme":"http","state":"ready","backup":false,"send_proxy_protocol":"v2"}');
INSERT INTO backends VALUES('web-b','{"id":"web-b","address":"localhost:45999","tags":["b"],"weight":1,"scheme":"https","tls":{"server_name":"inner.example.com","insecure_skip_verify":true},"state":"ready","backup":true,"send_proxy_protocol":"off"}');
INSERT INTO backends VALUES('web-c','{"id":"web-c","address":"unix:/run/nowhere.sock","tags":["b"],"weight":1,"scheme":"h2c","state":"disabled","backup":false,"send_proxy_protocol":"off"}');
CREATE TABLE meta     (key  TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('revision','8');
CREATE TABLE applied_file (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT NOT NULL);
INSERT INTO applied_file VALUES(1,'{"domains":[{"domain":"shop.example.com","aliases":["www.shop.example.com"],"live":"a","http_to_https":false,"balance":"hash-cookie:session","tls":"auto","hsts_max_age_secs":3600,"options":{"canonical_host":"shop.example.com","paths":[{"prefix":"/api","tag":"api","strip":true},{"prefix":"/assets","tag":"b"}],"request_headers":{"set":{"x-site":"shop"},"add":{"x-seen":"vhost"},"remove":["x-secret"]},"response_headers":{"set":{"x-frame-options":"DENY"},"remove":["server"]},"basic_auth":{"realm":"staging","users":{"ann":"$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe"}},"compression":["zstd","br","gzip"],"error_pages":{"404":"/nonexistent/404.html"},"sticky":{"cookie":"stay","max_age_secs":600},"max_body_bytes":1048576,"rate_limit":{"requests":100,"burst":200},"client_rate_limit":{"requests":50},"allow":["127.0.0.0/8","::1/128"],"deny":["127.0.0.9/32"]}},{"domain":"*.example.org","aliases":[],"live":"b","http_to_https":true,"balance":"least-connections","tls":"off","hsts_max_age_secs":0,"options":{"maintenance":{"message":"closed","retry_after_secs":30}}},{"domain":"*","aliases":[],"live":"a","http_to_https":true,"balance":"round-robin","tls":"auto","hsts_max_age_secs":0,"options":{"pause":{"max_wait_secs":5,"max_waiting":1000}}}],"backends":[{"id":"web-a","address":"127.0.0.1:45999","tags":["a","api"],"weight":7,"scheme":"http","backup":false,"send_proxy_protocol":"v2"},{"id":"web-b","address":"localhost:45999","tags":["b"],"weight":1,"scheme":"https","tls":{"server_name":"inner.example.com","insecure_skip_verify":true},"backup":true,"send_proxy_protocol":"off"},{"id":"web-c","address":"unix:/run/nowhere.sock","tags":["b"],"weight":1,"scheme":"h2c","state":"disabled","backup":false,"send_proxy_protocol":"off"}]}');
CREATE TABLE events (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        revision INTEGER NOT NULL,
        at_ms    INTEGER NOT NULL,
        actor    TEXT NOT NULL,
        value    TEXT NOT NULL
    );
INSERT INTO events VALUES(1,1,1795959388368,'{"via":"file"}','{"kind":"file_applied","path":"vhost.toml","changed":["backend `web-a` added","backend `web-b` added","backend `web-c` added","domain `shop.example.com` added","domain `*.example.org` added","domain `*` added"],"domains":["shop.example.com","*.example.org","*"]}');
INSERT INTO events VALUES(2,2,1795959391752,'{"via":"socket","uid":0,"pid":30644}','{"kind":"backend_added","backend":"by-hand"}');
INSERT INTO events VALUES(3,3,1795959391921,'{"via":"socket","uid":0,"pid":30647}','{"kind":"domain_added","domain":"made.example.com","live":"c"}');
INSERT INTO events VALUES(4,4,1795959392003,'{"via":"socket","uid":0,"pid":30650}','{"kind":"backend_set","backend":"web-a","changed":["weight: 7 → 9"]}');
INSERT INTO events VALUES(5,5,1795959392076,'{"via":"socket","uid":0,"pid":30652}','{"kind":"domain_set","domain":"shop.example.com","changed":["sticky: {\"cookie\":\"stay\",\"max_age_secs\":600} → {\"cookie\":\"stay\",\"max_age_secs\":900}"]}');
INSERT INTO events VALUES(6,6,1795959392281,'{"via":"socket","uid":0,"pid":30654}','{"kind":"switch","steps":[{"domain":"*","from":"a","to":"c"}],"outcome":{"state":"done"},"undo":false,"forced":false,"reason":null}');
INSERT INTO events VALUES(7,7,1795959392436,'{"via":"socket","uid":0,"pid":30658}','{"kind":"domain_removed","domain":"made.example.com"}');
INSERT INTO events VALUES(8,8,1795959392577,'{"via":"socket","uid":0,"pid":30661}','{"kind":"domain_added","domain":"made.example.com","live":"c"}');
CREATE TABLE event_domains (
        domain TEXT NOT NULL,
        event  INTEGER NOT NULL REFERENCES events(id),
        PRIMARY KEY (domain, event)
    ) WITHOUT ROWID;
INSERT INTO event_domains VALUES('*',1);
INSERT INTO event_domains VALUES('*.example.org',1);
INSERT INTO event_domains VALUES('shop.example.com',1);
INSERT INTO event_domains VALUES('made.example.com',3);
INSERT INTO event_domains VALUES('shop.example.com',5);
INSERT INTO event_domains VALUES('*',6);
INSERT INTO event_domains VALUES('made.example.com',7);
INSERT INTO event_domains VALUES('made.example.com',8);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('events',8);
COMMIT;
