"""Visit log's tables, by whom they serve: what Kafka brings, the logs, the people, the office."""
