"""The page for reviewers: listen to a call, see what was found and why, decide.

Server-made HTML (Jinja2) and small scripts without a library; everything comes from this server.
Nothing here is imported unless `REVIEW_PAGE` is on, and nothing else imports it. Text of calls,
names of files and words of people are hostile: templates escape them, and the browser runs no
script and no style but the files below `static`.
"""
