-- Lines of JSON with DuckDB. Columns that are named have a type whatever the first rows hold.
SELECT date::DATE AS day,
       count(*) AS messages,
       coalesce(sum(views), 0)::BIGINT AS views,
       count(DISTINCT sender_id) AS writers
FROM read_json('chat_*/*.ndjson', format = 'newline_delimited',
               columns = {date: 'TIMESTAMP', sender_id: 'BIGINT', views: 'BIGINT'})
GROUP BY day
ORDER BY day;
