-- A table that `--to duckdb:FILE` wrote.
SELECT (date AT TIME ZONE 'UTC')::DATE AS day,
       count(*) AS messages,
       coalesce(sum(views), 0)::BIGINT AS views,
       count(DISTINCT sender_id) AS writers
FROM messages
GROUP BY day
ORDER BY day;
