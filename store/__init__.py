"""The configuration database: devices, calibration snapshots, jobs and results."""
