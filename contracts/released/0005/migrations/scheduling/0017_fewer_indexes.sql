-- It is the beginning of request_on_a_tab, and every price that changes writes each index anew.
DROP INDEX request_by_district_and_stage;
