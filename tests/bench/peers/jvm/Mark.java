package leap.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.LocalDate;
import java.util.List;

/** One student's attendance on one school day. A day is its place in the school year: 1 July is day 0. */
record Mark(String student, String school, int schoolYear, int day, boolean absent, long version) {
    private static final JsonFactory JSON = new JsonFactory();

    /** The marks that a record holds, none where it is about something else; streamed, Jackson's cheapest way. */
    static List<Mark> in(byte[] json) {
        String type = null, student = null, school = null, category = null;
        LocalDate schoolDay = null;
        long version = 0;
        int presentParts = -1, dayParts = -1;
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            for (String field; (field = parser.nextFieldName()) != null; ) {
                JsonToken value = parser.nextToken();
                switch (field) {
                    case "event_type" -> type = parser.getText();
                    case "student_key" -> student = parser.getText();
                    case "school" -> school = parser.getText();
                    case "school_day" -> schoolDay = date(parser.getText());
                    case "category" -> category = parser.getText();
                    case "source_version" -> version = parser.getLongValue();
                    case "present_parts" -> presentParts = value == JsonToken.VALUE_NULL ? -1 : parser.getIntValue();
                    case "day_parts" -> dayParts = value == JsonToken.VALUE_NULL ? -1 : parser.getIntValue();
                    default -> parser.skipChildren();
                }
            }
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
        if (!"attendance.recorded.v1".equals(type)) {
            return List.of();
        }
        int schoolYear = schoolDay.getMonthValue() >= 7 ? schoolDay.getYear() : schoolDay.getYear() - 1;
        int day = (int) (schoolDay.toEpochDay() - LocalDate.of(schoolYear, 7, 1).toEpochDay());
        boolean absent = isAbsent(category, presentParts, dayParts);
        return List.of(new Mark(student, school, schoolYear, day, absent, version));
    }

    /** Less than half of the day attended, where the parts are known; else what the category says. */
    private static boolean isAbsent(String category, int presentParts, int dayParts) {
        if (presentParts >= 0 && dayParts >= 0) {
            return 2 * presentParts < dayParts;
        }
        return switch (category) {
            case "excused_absence", "unexcused_absence", "mental_health_day", "out_of_school_suspension", "expulsion" ->
                    true;
            default -> false;
        };
    }

    private static LocalDate date(String text) {
        return LocalDate.of(
                Integer.parseInt(text, 0, 4, 10), Integer.parseInt(text, 5, 7, 10), Integer.parseInt(text, 8, 10, 10));
    }
}
