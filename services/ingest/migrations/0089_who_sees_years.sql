-- For how many years a district keeps what: its own business, and nothing that people's requests ask.
SELECT keep_apart('retention_policy', 'false');
