-- outside a transaction
CREATE INDEX CONCURRENTLY receipt_by_age ON receipt (district, received_at);
