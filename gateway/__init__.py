"""The API gateway and workflow manager: who may what, where and when jobs run.

`api` is what clients reach over HTTP, behind `front_door`; `submission` takes a job in; `admission`
keeps the backlog and hands it to `engine`, by `scheduling`'s policy. It runs no code of users, and
imports no flow: runs are those of Prefect's deployments, by name.
"""
