-- Every price that changes writes each index anew. The first is the beginning of request_on_a_tab, the second a part of
-- request_on_the_desk, which has the stage beside it.
DROP INDEX request_by_district_and_stage;
DROP INDEX request_next;
