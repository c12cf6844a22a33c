"""Search, then PATCH, for each line of moves.csv; 64 tasks in one process; results to a CSV file."""

import asyncio
import csv
import sys

import aiohttp


async def main(base: str) -> None:
    with open("moves.csv", newline="") as file:
        lines = iter(list(csv.DictReader(file)))
    results = []
    headers = {"authorization": "Bearer x"}
    connector = aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:

        async def work() -> None:
            for line in lines:
                url = f"{base}/api/Partners/customers/search/{line['accountId']}"
                params = {"field": "accountId", "exactMatch": "true"}
                async with session.get(url, params=params) as answer:
                    customer = (await answer.json())[0]["id"]
                body = {"accountId": line["newAccountId"]}
                async with session.patch(f"{base}/api/Customers/{customer}", json=body) as answer:
                    await answer.json()
                    results.append((line["accountId"], customer, answer.status))

        await asyncio.gather(*(work() for _ in range(64)))
    with open("results.csv", "w", newline="") as file:
        csv.writer(file).writerows(results)


asyncio.run(main(sys.argv[1]))
