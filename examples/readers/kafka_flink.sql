-- The topic of --to kafka://localhost:9092/messages with Flink: sql-client.sh -f kafka_flink.sql
-- In lib/: flink-sql-connector-kafka, and zstd-jni (com.github.luben), as the messages are compressed.
--
-- This reads up to the topic's end and answers. To follow the topic: runtime-mode streaming, no
-- scan.bounded.mode, no ORDER BY at the end; what a rollback takes back or a newer message replaces
-- is then retracted.
SET 'execution.runtime-mode' = 'batch';
SET 'sql-client.execution.result-mode' = 'tableau';
SET 'table.local-time-zone' = 'UTC';

-- Values are raw, as the json format passes over the messages without a value: the rollbacks.
CREATE TEMPORARY TABLE log (
    key STRING,
    `value` STRING,
    `offset` BIGINT METADATA VIRTUAL,
    headers MAP<STRING, BYTES> METADATA VIRTUAL
) WITH (
    'connector' = 'kafka',
    'properties.bootstrap.servers' = 'localhost:9092',
    'topic' = 'messages',
    'properties.isolation.level' = 'read_committed',
    'scan.startup.mode' = 'earliest-offset',
    'scan.bounded.mode' = 'latest-offset',
    'key.format' = 'raw',
    'key.fields' = 'key',
    'value.format' = 'raw',
    'value.fields-include' = 'EXCEPT_KEY'
);

CREATE TEMPORARY VIEW message AS
SELECT key,
       `offset`,
       CAST(DECODE(headers['tgdata.commit'], 'UTF-8') AS BIGINT) AS number,
       CAST(JSON_VALUE(`value`, '$.owner') AS BIGINT) AS owner,
       CAST(JSON_VALUE(`value`, '$.chat_id') AS BIGINT) AS chat_id,
       CAST(JSON_VALUE(`value`, '$.id') AS BIGINT) AS id,
       JSON_VALUE(`value`, '$.date') AS `date`, -- 2024-01-15T10:30:00Z
       CAST(JSON_VALUE(`value`, '$.sender_id') AS BIGINT) AS sender_id,
       CAST(JSON_VALUE(`value`, '$.views') AS BIGINT) AS `views`,
       JSON_VALUE(`value`, '$.text') AS text
FROM log
WHERE headers['tgdata.rollback'] IS NULL;

CREATE TEMPORARY VIEW taken_back AS
SELECT key, `offset`, CAST(DECODE(headers['tgdata.rollback'], 'UTF-8') AS BIGINT) AS behind
FROM log
WHERE headers['tgdata.rollback'] IS NOT NULL;

-- Each message once: what a later rollback of its chat takes back is left out, the last wins.
CREATE TEMPORARY VIEW messages AS
SELECT owner, chat_id, id, `date`, sender_id, `views`, text
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY owner, chat_id, id ORDER BY `offset` DESC) AS age
    FROM message
    WHERE NOT EXISTS (
        SELECT 1
        FROM taken_back
        WHERE taken_back.key = message.key
          AND taken_back.`offset` > message.`offset`
          AND taken_back.behind < message.number
    )
)
WHERE age = 1;

SELECT SUBSTRING(`date`, 1, 10) AS `day`,
       COUNT(*) AS messages,
       COALESCE(SUM(`views`), 0) AS `views`,
       COUNT(DISTINCT sender_id) AS writers
FROM messages
GROUP BY SUBSTRING(`date`, 1, 10)
ORDER BY `day`;
