"""What every service stands on: one delivery, one transaction. Knows Kafka, PostgreSQL, HTTP, and no domain."""
