-- A table that `--to sqlite:FILE` wrote, also while it is written.
SELECT date(date) AS day,
       count(*) AS messages,
       coalesce(sum(views), 0) AS views,
       count(DISTINCT sender_id) AS writers
FROM messages
GROUP BY day
ORDER BY day;
