"""Amazon Braket: devices on AWS through boto3, simulators and emulators of its SDK here."""
