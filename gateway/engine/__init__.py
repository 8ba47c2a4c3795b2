"""The engine behind the gateway: Prefect's API, in the platform's words."""
