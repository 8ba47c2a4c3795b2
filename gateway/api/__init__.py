"""What the gateway answers, room by room; every path begins with ``/v1``."""
