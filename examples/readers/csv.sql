-- CSV with DuckDB. "" is an empty text, nothing at all is NULL; a text may hold line ends.
SELECT date::TIMESTAMP::DATE AS day, -- 2024-01-15T10:30:00Z
       count(*) AS messages,
       coalesce(sum(views::BIGINT), 0)::BIGINT AS views,
       count(DISTINCT sender_id) AS writers
FROM read_csv('chat_*/*.csv', union_by_name = true, all_varchar = true,
              allow_quoted_nulls = false)
GROUP BY day
ORDER BY day;
