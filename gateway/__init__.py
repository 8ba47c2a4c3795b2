"""The API gateway and workflow manager: where a multi-user HTTP front belongs.

Clients speak to Prefect's API through ``qcpaas.transport.Transport``; a gateway takes the place
of that transport without a change to the programming model.
"""
