"""What the gateway tells of itself: figures for Prometheus, traces for OpenTelemetry."""
