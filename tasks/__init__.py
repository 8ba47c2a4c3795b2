"""The stages of a job: estimate, transpile, bind, execute, mitigate."""
