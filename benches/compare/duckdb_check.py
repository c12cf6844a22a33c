"""What `idshift check` finds out about the lines of a file that concern each other, asked in SQL. DuckDB, in memory."""

import sys

import duckdb

QUESTIONS = {
    "one account ID in several lines": "SELECT count(*) FROM (SELECT 1 FROM lines GROUP BY accountId HAVING count(*) > 1)",
    "one new ID in several lines": "SELECT count(*) FROM (SELECT 1 FROM lines GROUP BY newAccountId HAVING count(*) > 1)",
    "one location in several lines": "SELECT count(*) FROM (SELECT 1 FROM lines GROUP BY locationId HAVING count(*) > 1)",
    "a new ID that is another line's old one": "SELECT count(*) FROM lines a JOIN lines b ON a.newAccountId = b.accountId",
    "cells that are empty, or hold an error of a spreadsheet": """
        SELECT count(*) FROM lines WHERE accountId IS NULL OR newAccountId IS NULL
        OR accountId LIKE '#%' OR newAccountId LIKE '#%' OR locationId LIKE '#%' OR serviceId LIKE '#%'""",
}

db = duckdb.connect()
db.execute("CREATE TABLE lines AS SELECT * FROM read_csv(?, header = true, all_varchar = true)", [sys.argv[1]])
for question, sql in QUESTIONS.items():
    print(f"{question}: {db.execute(sql).fetchone()[0]}")
