"""What ingest does: with what districts land, and with what flagging says of their uploads."""
