package leap.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.List;

/** One student's attendance on one school day. A day is its place in the school year: 1 July is day 0. */
record Mark(String student, String school, int schoolYear, int day, boolean absent, long version) {
    private static final JsonFactory JSON = new JsonFactory();
    private static final int NO_PART = -1;

    /** The marks that a record holds, one or a roll of them, none where it is about something else. */
    static List<Mark> in(byte[] json) {
        Columns read = new Columns();
        try (JsonParser parser = JSON.createParser(json)) { // streamed, Jackson's cheapest way
            parser.nextToken();
            for (String field; (field = parser.nextFieldName()) != null; ) {
                read.field(field, parser.nextToken(), parser);
            }
        } catch (IOException unreadable) {
            throw new UncheckedIOException(unreadable);
        }
        return switch (read.type == null ? "" : read.type) {
            case "attendance.recorded.v1" -> List.of(read.mark(
                    read.student, isAbsent(read.category, read.presentParts, read.dayParts), read.version));
            case "roll.recorded.v1" -> read.marks();
            default -> List.of();
        };
    }

    /** A record's fields, as they come. */
    private static final class Columns {
        String type, student, school, category, categories;
        int schoolYear, day;
        long version;
        int presentParts = NO_PART, dayParts = NO_PART;
        final List<String> students = new ArrayList<>();
        final List<Long> versions = new ArrayList<>();
        final List<int[]> parts = new ArrayList<>();

        void field(String name, JsonToken value, JsonParser parser) throws IOException {
            switch (name) {
                case "event_type" -> type = parser.getText();
                case "student_key" -> student = parser.getText();
                case "school" -> school = parser.getText();
                case "school_day" -> date(parser.getText());
                case "category" -> category = parser.getText();
                case "source_version" -> version = parser.getLongValue();
                case "present_parts" -> presentParts = value == JsonToken.VALUE_NULL ? NO_PART : parser.getIntValue();
                case "day_parts" -> dayParts = value == JsonToken.VALUE_NULL ? NO_PART : parser.getIntValue();
                case "categories" -> categories = parser.getText();
                case "students" -> {
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        students.add(parser.getText());
                    }
                }
                case "versions" -> {
                    if (value != JsonToken.START_ARRAY) {
                        version = parser.getLongValue();
                        return;
                    }
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        versions.add(parser.getLongValue());
                    }
                }
                case "parts" -> {
                    if (value == JsonToken.START_ARRAY) {
                        while (parser.nextToken() != JsonToken.END_ARRAY) {
                            parts.add(part(parser));
                        }
                    }
                }
                default -> parser.skipChildren();
            }
        }

        Mark mark(String student, boolean absent, long version) {
            return new Mark(student, school, schoolYear, day, absent, version);
        }

        List<Mark> marks() {
            List<Mark> marks = new ArrayList<>(students.size());
            for (int place = 0; place < students.size(); place++) {
                char letter = categories.charAt(place);
                int[] part = parts.isEmpty() ? null : parts.get(place);
                boolean absent = part != null && letter != 'x' ? 2 * part[0] < part[1] : letter >= 'h' && letter <= 'l';
                marks.add(mark(students.get(place), absent, versions.isEmpty() ? version : versions.get(place)));
            }
            return marks;
        }

        private void date(String text) {
            LocalDate date = LocalDate.of(
                    Integer.parseInt(text, 0, 4, 10),
                    Integer.parseInt(text, 5, 7, 10),
                    Integer.parseInt(text, 8, 10, 10));
            schoolYear = date.getMonthValue() >= 7 ? date.getYear() : date.getYear() - 1;
            day = (int) (date.toEpochDay() - LocalDate.of(schoolYear, 7, 1).toEpochDay());
        }

        private static int[] part(JsonParser parser) throws IOException {
            if (parser.currentToken() == JsonToken.VALUE_NULL) {
                return null;
            }
            int present = parser.nextIntValue(NO_PART), ofDay = parser.nextIntValue(NO_PART);
            parser.nextToken();
            return new int[] {present, ofDay};
        }
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
}
