"""What is kept beyond a call: jobs, cases, revisions, repairs, webhooks, recordings by content.

SQL and files, and nothing of HTTP, recognition or settings. A function takes a connection inside a
transaction; `store` puts them together. Importing `database` takes half a second, so a server does
it only once there are jobs.
"""
