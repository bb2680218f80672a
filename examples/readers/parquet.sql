-- Parquet with DuckDB. Only the columns that are asked for are read.
SELECT (date AT TIME ZONE 'UTC')::DATE AS day,
       count(*) AS messages,
       coalesce(sum(views), 0)::BIGINT AS views,
       count(DISTINCT sender_id) AS writers
FROM read_parquet('chat_*/*.parquet', union_by_name = true) -- later parts may have more columns
GROUP BY day
ORDER BY day;
