"""A worker that keeps the imports loaded and forks a process for each run.

`zygote` forks, in a process of one thread that has imported what runs need (`preload`); `child` is
what a fork becomes; `nursery` is the worker's side of both; `runs` puts them under Prefect's own
executor of flow runs; `signals` hears from the server what is to be done; `worker` is the worker.
"""
