"""The broker's users, rules, quotas and topics: made, compared with the contract, and mended."""
