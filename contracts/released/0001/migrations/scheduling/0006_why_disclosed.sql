-- Disclosures are recorded with who, what and why (FERPA). What was shown before was shown on a request's page.
ALTER TABLE contact_disclosure
    ADD COLUMN why text NOT NULL DEFAULT 'request'
        CHECK (why IN ('request', 'search', 'day_sheet', 'confirmation'));
-- A family may ask to whom it was shown.
CREATE INDEX contact_disclosure_by_request ON contact_disclosure (request_id, shown_at);
